"""What can be done to a desktop: typed actions, keysyms, and the planning of keys and pointer paths. Knows no other room."""
