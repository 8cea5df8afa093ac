"""The guest agent: runs as root inside the machine and does what the host asks, over virtio-serial ports."""
