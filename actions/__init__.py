"""What can be done to a desktop: typed actions, keysyms, planning of keys and pointer paths. Knows no other room."""
