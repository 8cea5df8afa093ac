"""The asynchronous SDK: the source from which the synchronous one is generated."""
