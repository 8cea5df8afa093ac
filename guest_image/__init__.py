"""The guest: recipes, the builder that makes images of them, and the agent that runs inside."""
