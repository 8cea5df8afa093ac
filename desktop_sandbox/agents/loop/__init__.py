"""A small agent: a model that works on a desktop until it is done, with a budget and a record of what it did."""
