"""One captured picture, and what encoders need of it: made once, when the first encoder asks. In the capture thread."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desktop_sandbox.screen.encode import Cursor
from desktop_sandbox.screen.framebuffer import Frame
from streamer.convert import even, to_i420, with_cursor


class Picture:
    """A frame (not copied: it must stay as it is meanwhile) and the cursor that belongs on top of it."""

    def __init__(self, frame: Frame, cursor: Cursor | None, captured_s: float) -> None:
        self._frame = even(frame)
        self._cursor = cursor
        self._drawn: Frame | None = None
        self._planes: dict[bool, npt.NDArray[np.uint8]] = {}
        self.captured_s = captured_s

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what is encoded: even."""
        return self._frame.shape[1], self._frame.shape[0]

    def pixels(self, *, cursor: bool) -> Frame:
        """BGRX, with or without the cursor; not to be changed."""
        if not cursor or self._cursor is None:
            return self._frame
        if self._drawn is None:
            self._drawn = with_cursor(self._frame, self._cursor)
        return self._drawn

    def planes(self, *, cursor: bool) -> npt.NDArray[np.uint8]:
        """I420, with or without the cursor; not to be changed."""
        burnt = cursor and self._cursor is not None
        if burnt not in self._planes:
            self._planes[burnt] = to_i420(self.pixels(cursor=cursor))
        return self._planes[burnt]

    def under(self, cursor: Cursor | None, now: float) -> Picture:
        """The same frame under another cursor, or the cursor at another place."""
        moved = Picture(self._frame, cursor, now)
        if False in self._planes:
            moved._planes[False] = self._planes[False]
        return moved
