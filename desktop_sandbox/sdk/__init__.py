"""The Python SDK: the asynchronous client is the source, the synchronous one is generated."""
