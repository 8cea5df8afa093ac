"""Pictures of the fake desktop: a colour with marks in its corners, as a WebRTC track, H.264 or JPEG."""

from __future__ import annotations

import base64
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from aiortc import VideoStreamTrack
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def painted(width: int, height: int, colour: tuple[int, int, int]) -> Picture:
    """RGB rows: a window-like scene on a ground of `colour`."""
    picture = np.full((height, width, 3), colour, np.uint8)
    picture[: height // 24] = (32, 36, 44)
    left, top = width // 8, height // 6
    picture[top : top + height // 2, left : left + width // 2] = (246, 247, 249)
    picture[top : top + height // 20, left : left + width // 2] = (60, 66, 78)
    for row in range(6):
        y = top + height // 10 + row * (height // 18)
        picture[y : y + height // 80, left + width // 40 : left + width // 40 + (width // 3) - row * width // 40] = (
            150,
            156,
            166,
        )
    return picture


def _cursor() -> str:
    picture = np.zeros((16, 16, 4), np.uint8)
    for row in range(14):
        picture[row, : max(1, row * 3 // 4)] = (255, 255, 255, 255)
        picture[row, 0] = picture[row, max(0, row * 3 // 4 - 1)] = (0, 0, 0, 255)
    return base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()


CURSOR_PNG = _cursor()


def jpeg(picture: Picture) -> bytes:
    """As JPEG."""
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


class Encoder:
    """H.264 as Annex B, one packet for each picture."""

    def __init__(self, width: int, height: int) -> None:
        self._codec: Any = av.CodecContext.create("libx264", "w")
        self._codec.width, self._codec.height, self._codec.pix_fmt = width, height, "yuv420p"
        self._codec.time_base = Fraction(1, 30)
        self._codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "level": "4.0",
            "g": "9999",
        }
        self._count = 0

    def encode(self, picture: Picture) -> tuple[bytes, bool]:
        """The packet, and whether it is a keyframe."""
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.pts = self._count
        self._count += 1
        packets = self._codec.encode(frame)
        return b"".join(bytes(packet) for packet in packets), any(packet.is_keyframe for packet in packets)


class PaintedTrack(VideoStreamTrack):  # type: ignore[misc]
    """The desktop's picture at aiortc's own rate."""

    def __init__(self, desktop: Callable[[], Any]) -> None:
        super().__init__()
        self._desktop = desktop

    async def recv(self) -> av.VideoFrame:
        """The next frame."""
        pts, time_base = await self.next_timestamp()
        desktop = self._desktop()
        frame = av.VideoFrame.from_ndarray(painted(desktop.width, desktop.height, desktop.colour), "rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame
