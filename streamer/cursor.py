"""The cursor as a message for pages. Pure."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from desktop_sandbox.screen.encode import Cursor
from streamer.messages import Message


def cursor_message(serial: int, cursor: Cursor) -> Message:
    """A `cursor` message; `png` is None for a cursor without a visible pixel."""
    height, width = cursor.pixels.shape[:2]
    visible = bool(cursor.pixels.size) and bool(cursor.pixels[..., 3].any())
    return {
        "t": "cursor",
        "serial": serial,
        "width": width if visible else 0,
        "height": height if visible else 0,
        "hot_x": cursor.hot_x if visible else 0,
        "hot_y": cursor.hot_y if visible else 0,
        "png": base64.b64encode(_png(cursor)).decode() if visible else None,
    }


def _png(cursor: Cursor) -> bytes:
    pixels = cursor.pixels.astype(np.uint16)
    alpha = pixels[..., 3:]
    # X gives colours multiplied by alpha, PNG has them plain
    plain = np.minimum((pixels[..., :3] * 255 + alpha // 2) // np.maximum(alpha, 1), 255)
    done, data = cv2.imencode(".png", np.concatenate([plain, alpha], axis=2).astype(np.uint8))
    if not done:
        raise ValueError(f"a cursor of shape {cursor.pixels.shape} cannot be a PNG")
    return data.tobytes()
