"""One machine: a QEMU process, its jail, its control socket and its agent channel."""
