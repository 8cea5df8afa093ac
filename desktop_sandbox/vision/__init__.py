"""Eyes on the host: waiting for what a screen shows, finding pictures and text on it, numbering what is there."""
