"""Where frames come from: the memory of a machine, or the framebuffer file of an Xvfb on this host.

Both are read without the help of what is shown. Every method may raise StaleFramebuffer or MachineError, and blocks for
about a millisecond at most. A source owns its descriptor.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from desktop_sandbox.screen.encode import Cursor
from desktop_sandbox.screen.framebuffer import HEADER_BYTES, Frame, Layout, RowsWatch, pixel_offset
from desktop_sandbox.screen.machine_screen import MachineScreen
from desktop_sandbox.screen.memory import PAGE, GuestMemory, PageRuns, Run, StaleFramebuffer
from streamer.damage import sampled_rows


@dataclass(frozen=True)
class Pointer:
    """Where the pointer is, in pixels, and which picture (by number) its cursor has."""

    x: int
    y: int
    serial: int


class Source(Protocol):
    """Something with a screen."""

    def size(self) -> tuple[int, int]:
        """Width and height now."""
        ...

    def read(self, out: Frame | None) -> Frame:
        """The whole screen; into `out` if that has the right size."""
        ...

    def same_rows(self, frame: Frame, turn: int) -> bool:
        """Whether some rows of the screen, other ones each turn, still are as in `frame`; its size as of `pointer`."""
        ...

    def pointer(self) -> Pointer | None:
        """Where the pointer is; None where the cursor is part of the picture."""
        ...

    def cursor(self) -> Cursor | None:
        """The cursor; None where it is part of the picture."""
        ...

    def close(self) -> None:
        """Let go of the descriptor."""
        ...


def open_source(facts: Any, fd: int) -> Source:
    """The source of a `desktop.attach`; takes `fd` over, also on error. StaleFramebuffer or ValueError."""
    try:
        match facts.get("kind") if isinstance(facts, dict) else None:
            case "guest":
                return GuestSource(facts, fd)
            case "xwd":
                return XwdSource(int(facts["width"]), int(facts["height"]), fd)
        raise ValueError(f"a source is of kind guest or xwd, not {facts!r:.80}")
    except BaseException:
        os.close(fd)
        raise


class GuestSource:
    """A machine's screen in its memory, through a descriptor of /proc/PID/mem."""

    def __init__(self, facts: dict[str, Any], fd: int) -> None:
        memory = GuestMemory(fd, facts["host_base"], facts["ram_bytes"], facts["below_4g_bytes"])
        if not isinstance(facts["display"], dict):
            raise TypeError("display is no object")
        self._screen = MachineScreen.from_wire(memory, facts["display"])
        self._fd = fd
        self._state = self._screen.state()
        self._place = Pointer(self._state.cursor_x, self._state.cursor_y, self._state.cursor_serial)
        self._watches: dict[int, RowsWatch] = {}
        self._watches_of = (0, 0)

    def size(self) -> tuple[int, int]:
        """See Source."""
        return self._screen.size()

    def read(self, out: Frame | None) -> Frame:
        """See Source."""
        return self._screen.read(out)

    def same_rows(self, frame: Frame, turn: int) -> bool:
        """See Source."""
        height, width = frame.shape[:2]
        if (self._state.width, self._state.height) != (width, height):
            return False
        if self._watches_of != (width, height):
            self._watches, self._watches_of = {}, (width, height)
        rows = sampled_rows(height, turn)
        watch = self._watches.get(rows.start)
        if watch is None:
            watch = self._watches[rows.start] = self._screen.framebuffer.watch_rows(width, height, rows)
        return watch.same(frame)

    def pointer(self) -> Pointer | None:
        """See Source."""
        state = self._screen.state()
        if state is not self._state:
            self._state, self._place = state, Pointer(state.cursor_x, state.cursor_y, state.cursor_serial)
        return self._place

    def cursor(self) -> Cursor | None:
        """See Source."""
        return self._screen.cursor()

    def close(self) -> None:
        """See Source."""
        os.close(self._fd)


class XwdSource:
    """The file that `Xvfb -fbdir` keeps its screen in; the cursor is part of it."""

    def __init__(self, width: int, height: int, fd: int) -> None:
        self._size = os.fstat(fd).st_size
        self._file = mmap.mmap(fd, self._size, prot=mmap.PROT_READ)
        header = np.frombuffer(self._file, np.uint8, HEADER_BYTES)
        words = header.view(">u4")
        pages = PageRuns(self._size, (Run(0, -(-self._size // PAGE) * PAGE),))
        self._layout = Layout(pages, int(words[4]), int(words[5]), int(words[12]))
        if not (0 < width <= self._layout.max_width and 0 < height <= self._layout.max_height):
            raise StaleFramebuffer(f"{width} x {height} of a screen of {words[4]} x {words[5]}")
        start = pixel_offset(header, self._layout)
        stride, rows = self._layout.stride_bytes, self._layout.max_height
        whole = np.frombuffer(self._file, np.uint8, stride * rows, start).reshape(rows, stride)
        self._pixels: Frame = whole[:height, : 4 * width].reshape(height, width, 4)
        os.close(fd)

    def size(self) -> tuple[int, int]:
        """See Source."""
        return self._pixels.shape[1], self._pixels.shape[0]

    def read(self, out: Frame | None) -> Frame:
        """See Source."""
        if out is None or out.shape != self._pixels.shape:
            return self._pixels.copy()
        np.copyto(out, self._pixels)
        return out

    def same_rows(self, frame: Frame, turn: int) -> bool:
        """See Source."""
        rows = sampled_rows(frame.shape[0], turn)
        return bool(np.array_equal(frame[rows.start :: rows.step], self._pixels[rows.start :: rows.step]))

    def pointer(self) -> Pointer | None:
        """See Source."""
        return None

    def cursor(self) -> Cursor | None:
        """See Source."""
        return None

    def close(self) -> None:
        """See Source."""
        self._pixels = np.empty((0, 0, 4), np.uint8)
