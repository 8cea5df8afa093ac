"""Tests of the pages: their pure modules in node, the pages themselves in real browsers."""
