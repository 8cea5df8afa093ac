"""Size, cursor and generation of a guest's screen, read from the session's state page in guest memory.

The session may be writing while this reads (a seqlock, see guest_image.agent.state_page), and may be stopped
half-way through for any length of time: tries are few, and the last whole state stands in.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from desktop_sandbox.screen.encode import Cursor
from desktop_sandbox.screen.memory import StaleFramebuffer
from guest_image.agent.state_page import FILE_BYTES, HEADER_BYTES, LAYOUT_BYTES, ScreenState, StatePageError, unpack

if TYPE_CHECKING:
    from desktop_sandbox.screen.memory import GuestMemory, MappedRuns, PageRuns

TRIES = 12
PAUSE_S = 0.0005


class StatePage:
    """Reads one guest's state page; usable from several threads."""

    def __init__(self, memory: GuestMemory, pages: PageRuns) -> None:
        if pages.size < FILE_BYTES:
            raise StaleFramebuffer(f"The guest's state page has {pages.size} bytes instead of {FILE_BYTES}.")
        self._file: MappedRuns = memory.map(pages)
        self._lock = threading.Lock()
        self._last: tuple[ScreenState, Cursor] | None = None
        self._seen: tuple[bytes, ScreenState] | None = None  # the header that `peek` read last, and what it says

    def read(self) -> tuple[ScreenState, Cursor]:
        """State and cursor of one moment (a few ms old at most, unless the session is stopped while writing).

        Blocks for some ms at worst. Raises StaleFramebuffer if there is no sensible state page, or none was
        ever seen whole; MachineError if the process is gone.
        """
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE_S)
            if (whole := self._try()) is not None:
                with self._lock:
                    self._last = whole
                return whole
        if self._last is None:
            raise StaleFramebuffer("The guest's state page is never seen whole.", hint="Ask the guest again.")
        return self._last

    def peek(self) -> ScreenState:
        """Size and cursor position now; in one short read while the cursor's picture stays. Raises as `read` does."""
        raw, seen = self._file.read_bytes(0, LAYOUT_BYTES), self._seen
        if seen is not None and seen[0] == raw:
            return seen[1]  # a still screen is looked at sixty times a second
        header = _believed(raw)
        state = self._beside_picture(header)
        if state == header:
            self._seen = raw, state
        return state

    def _beside_picture(self, header: ScreenState | None) -> ScreenState:
        """The header's state if the cursor's picture is known that belongs to it; else what `read` finds."""
        last = self._last
        if header is None or last is None or header.cursor_serial != last[0].cursor_serial:
            return self.read()[0]
        picture = last[1].pixels
        if picture.shape[:2] != (header.cursor_height, header.cursor_width):
            return self.read()[0]
        with self._lock:
            self._last = header, Cursor(header.cursor_x, header.cursor_y, header.hot_x, header.hot_y, picture)
        return header

    def _try(self) -> tuple[ScreenState, Cursor] | None:
        state = self._header()
        if state is None:
            return None
        pixels = self._file.read(HEADER_BYTES, state.cursor_bytes)
        if self._header() != state:
            return None
        picture = pixels.reshape(state.cursor_height, state.cursor_width, 4)
        return state, Cursor(state.cursor_x, state.cursor_y, state.hot_x, state.hot_y, picture)

    def _header(self) -> ScreenState | None:
        return _believed(self._file.read_bytes(0, LAYOUT_BYTES))


def _believed(header: bytes) -> ScreenState | None:
    """What a header says; None while it is written."""
    try:
        return unpack(header)
    except StatePageError as error:
        raise StaleFramebuffer(f"The guest's state page makes no sense: {error}.") from error
