"""The HTTP API: FastAPI routes over a node."""
