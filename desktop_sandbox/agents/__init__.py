"""Runs what vendors' models ask for on a desktop: one module a vendor, with a synchronous and an asynchronous class.

They take a vendor's tool calls as its SDK or its JSON has them, and return what to send back. They ask no model and
need no vendor's SDK, except where a class of it is subclassed (anthropic_toolset, openai_agents, langchain, ...).
The asynchronous classes are the source; the synchronous ones are generated (`make fix`).
"""
