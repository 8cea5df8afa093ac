"""Pixels for the encoders: BGRX → I420, and a cursor drawn on top. Runs in the capture thread, without the GIL.

The matrix is BT.601, limited range: VP8 has no other (RFC 6386, 9.2), so one conversion serves both codecs, and it is
what a decoder assumes that does not look at H.264's flags. OpenCV does it in a third of libswscale's time.
"""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt

from desktop_sandbox.screen.encode import Cursor, draw_cursor
from desktop_sandbox.screen.framebuffer import Frame

TIME_BASE = Fraction(1, 90_000)


def even(frame: Frame) -> Frame:
    """The frame without an odd last column and row: chroma is halved in both axes."""
    height, width = frame.shape[:2]
    return frame[: height & ~1, : width & ~1]


def even_size(width: int, height: int) -> tuple[int, int]:
    """The size of what is encoded of such a frame."""
    return width & ~1, height & ~1


def with_cursor(frame: Frame, cursor: Cursor | None) -> Frame:
    """A copy of the frame with the cursor in it; the frame itself if there is none."""
    if cursor is None or not cursor.pixels.size:
        return frame
    drawn = frame.copy()
    draw_cursor(drawn, cursor)
    return drawn


def to_i420(frame: Frame) -> npt.NDArray[np.uint8]:
    """(height × 3 / 2, width) bytes: Y, then U, then V; a fresh array, since an encoder may hold on to it."""
    planes: npt.NDArray[np.uint8] = cv2.cvtColor(frame, cv2.COLOR_BGRA2YUV_I420)  # type: ignore[assignment]
    return planes


def video_frame(planes: npt.NDArray[np.uint8], captured_s: float) -> av.VideoFrame:
    """The planes as a frame for an encoder, timed at 90 kHz."""
    frame = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
    frame.pts = round(captured_s * 90_000)
    frame.time_base = TIME_BASE
    return frame
