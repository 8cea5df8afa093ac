"""A frame as PNG (W3C PNG, third edition): 8-bit RGB, one filter for all rows, quick deflate.

Why not a library's own encoder: docs/screenshots.md has the figures. All heavy steps release the GIL.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
from isal import isal_zlib

from desktop_sandbox.screen.scratch import colours, scratch_rows

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB_8_BIT = struct.pack("!BBBBB", 8, 2, 0, 0, 0)
FILTER_SUB = 1
LEVEL = 1


def encode_png(frame: Frame) -> bytes:
    """The (height, width, 4) BGRX frame as PNG file; lossless, the fourth byte is left out."""
    height, width, _ = frame.shape
    pixels = isal_zlib.compress(_filter_sub(frame), LEVEL)
    header = struct.pack("!II", width, height) + RGB_8_BIT
    return b"".join((SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", pixels), *_chunk(b"IEND", b"")))


def _filter_sub(frame: Frame) -> Frame:
    """Rows as PNG wants them: the filter's number, then each byte less that of the pixel to its left."""
    height, width, _ = frame.shape
    rows = colours(frame, cv2.COLOR_BGRA2RGB).reshape(height, 3 * width)
    filtered = scratch_rows(height, 1 + 3 * width)
    filtered[:, 0] = FILTER_SUB
    filtered[:, 1:4] = rows[:, :3]
    np.subtract(rows[:, 3:], rows[:, :-3], out=filtered[:, 4:])
    return filtered


def _chunk(kind: bytes, data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack("!I", len(data)), kind, data, struct.pack("!I", checksum)
