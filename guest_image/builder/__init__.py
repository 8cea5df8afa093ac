"""Door of the image builder: recipe in, bootable image out. Everything else in this package is its own business."""

from guest_image.builder.build import Progress, build_image, find_image, image_digest
from guest_image.builder.errors import BuildCancelledError, BuildError
from guest_image.builder.machine import agent_ports, kernel_arguments
from guest_image.builder.store import Image, Store

__all__ = [
    "BuildCancelledError",
    "BuildError",
    "Image",
    "Progress",
    "Store",
    "agent_ports",
    "build_image",
    "find_image",
    "image_digest",
    "kernel_arguments",
]
