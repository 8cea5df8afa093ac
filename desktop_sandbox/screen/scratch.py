"""Memory that a thread uses again for its next picture: the kernel takes longer to hand out new than all work in it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame


class _Scratch(threading.local):
    frame: Frame | None = None
    colours: Frame | None = None
    rows: Frame | None = None


_scratch = _Scratch()


def scratch_frame() -> Frame | None:
    """Where this thread's last frame lay, to read the next into; of another size, or None, for a new thread."""
    return _scratch.frame


def keep_as_scratch(frame: Frame) -> None:
    """The thread is done with this frame, and with all views of it."""
    _scratch.frame = frame


def colours(frame: Frame, conversion: int) -> Frame:
    """The frame's three colours, (height, width, 3), in the order of OpenCV's `conversion`: use them up at once."""
    kept = _scratch.colours
    if kept is None or kept.shape[:2] != frame.shape[:2]:
        kept = _scratch.colours = np.empty((*frame.shape[:2], 3), np.uint8)
    cv2.cvtColor(frame, conversion, dst=kept)
    return kept


def scratch_rows(height: int, length: int) -> Frame:
    """(height, length) bytes without meaning: use them up at once."""
    kept = _scratch.rows
    if kept is None or kept.shape != (height, length):
        kept = _scratch.rows = np.empty((height, length), np.uint8)
    return kept
