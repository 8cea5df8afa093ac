"""What the clipboard carries, and how much of it. Pure; imports nothing, so that the agent starts without Xlib."""

TEXT = "text"
PNG = "png"
MAX_TEXT_BYTES = 1 << 20
MAX_PICTURE_BYTES = 16 << 20
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LIMITS = {TEXT: MAX_TEXT_BYTES, PNG: MAX_PICTURE_BYTES}
