"""Frames read from a machine's memory, and screenshots encoded from them."""
