"""The live view against others: x11vnc with noVNC, and Selkies, on one framebuffer, in one run; see docs/bench.md."""
