"""The accessibility tree (AT-SPI 2): read and acted on in a process of its own, as the desktop's user (`worker`)."""
