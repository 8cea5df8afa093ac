"""Linux desktops in microVMs for agents."""
