"""Performs actions on an X display; reads windows and screen sizes. One X connection, used by one thread."""
