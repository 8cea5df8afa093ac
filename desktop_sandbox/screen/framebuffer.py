"""Frames out of the guest's framebuffer (Xvfb's -fbdir file, in XWD format), read from outside.

It trusts nothing in the guest: the layout is checked once against guest RAM, the header at every read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desktop_sandbox.screen.memory import Bytes, GuestMemory, PageRuns, Run, StaleFramebuffer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from desktop_sandbox.screen.memory import ReadPlan

__all__ = ["Frame", "Framebuffer", "GuestMemory", "Layout", "PageRuns", "RowsWatch", "Run", "StaleFramebuffer"]

Frame = npt.NDArray[np.uint8]
"""One capture: (height, width, 4) bytes, blue green red and one without meaning."""

MAX_SIDE = 8192
HEADER_BYTES = 100


@dataclass(frozen=True)
class Layout:
    """Where a guest's screen lies, as the guest says: checked for sense here, and against RAM by Framebuffer.

    `stride_bytes` is the length of a row of the largest size, which rows of smaller sizes keep.
    Raises StaleFramebuffer where sizes are out of bounds or the file is too short for them.
    """

    framebuffer: PageRuns
    max_width: int
    max_height: int
    stride_bytes: int

    def __post_init__(self) -> None:
        width, height, stride = self.max_width, self.max_height, self.stride_bytes
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise StaleFramebuffer(f"The guest's largest screen is {width} x {height}; {MAX_SIDE} a side are allowed.")
        if stride % 4 or not 4 * width <= stride <= 8 * MAX_SIDE:
            raise StaleFramebuffer(f"The guest's rows of {width} pixels are said to have {stride} bytes.")
        if self.framebuffer.size < HEADER_BYTES + stride * height:
            raise StaleFramebuffer(
                f"The guest's framebuffer has {self.framebuffer.size} bytes, too few for its screen."
            )

    @classmethod
    def from_wire(cls, reply: Mapping[str, object]) -> Layout:
        """From the agent's reply to `display.get`."""
        names = ("max_width", "max_height", "stride_bytes")
        sizes = [value for name in names if type(value := reply.get(name)) is int]
        if len(sizes) != len(names):
            raise StaleFramebuffer(f"The guest's display lacks one of {', '.join(names)}.")
        return cls(PageRuns.from_wire(reply.get("framebuffer")), *sizes)


class Framebuffer:
    """A guest's screen, readable at any time, from any thread, also while the guest is stopped."""

    def __init__(self, memory: GuestMemory, layout: Layout) -> None:
        self.layout = layout
        self._file = memory.map(layout.framebuffer)

    def __repr__(self) -> str:
        layout = self.layout
        return f"<Framebuffer up to {layout.max_width}x{layout.max_height}, {self._file.run_count} runs>"

    def read(self, width: int, height: int, out: Frame | None = None) -> Frame:
        """The top left `width` x `height` pixels, tightly packed: in `out` if given, else in a fresh array.

        Raises StaleFramebuffer if the layout no longer holds, MachineError if the process is gone, ValueError
        for a size above the largest or an `out` of another shape.
        """
        self._check_size(width, height)
        if out is None:
            out = np.empty((height, width, 4), np.uint8)
        elif out.shape != (height, width, 4) or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(f"out must be contiguous bytes of shape {(height, width, 4)}, not {out.shape}")
        self._file.read_rows(out.reshape(-1), self._pixels(), 4 * width, self.layout.stride_bytes)
        return out

    def watch_rows(self, width: int, height: int, rows: range) -> RowsWatch:
        """To see cheaply, as often as wanted, whether these rows of the top left `width` x `height` pixels changed.

        Raises as `read` does.
        """
        self._check_size(width, height)
        header = self._file.read(0, HEADER_BYTES)
        start, row_bytes = pixel_offset(header, self.layout), 4 * width
        watched = []
        for row in rows:
            now = bytearray(row_bytes)
            plan = self._file.plan(memoryview(now), start + row * self.layout.stride_bytes)
            watched.append((row * row_bytes, now, plan))
        again = bytearray(HEADER_BYTES)
        return RowsWatch(header.tobytes(), again, self._file.plan(memoryview(again), 0), height * row_bytes, watched)

    def _check_size(self, width: int, height: int) -> None:
        most = (self.layout.max_width, self.layout.max_height)
        if not (0 < width <= most[0] and 0 < height <= most[1]):
            raise ValueError(f"{width} x {height} of a screen of at most {most[0]} x {most[1]}")

    def _pixels(self) -> int:
        """Check the file's header; where the pixels begin."""
        return pixel_offset(self._file.read(0, HEADER_BYTES), self.layout)


class RowsWatch:
    """Some rows of a screen, to be compared with a frame; made by `Framebuffer.watch_rows`.

    This runs sixty times a second for each screen that stands still, with cold caches: hence no arrays in it.
    """

    def __init__(
        self,
        header: bytes,
        again: bytearray,
        header_plan: ReadPlan,
        frame_bytes: int,
        watched: Sequence[tuple[int, bytearray, ReadPlan]],
    ) -> None:
        self._header = header
        self._again = again
        self._header_plan = header_plan
        self._frame_bytes = frame_bytes
        self._watched = watched

    def same(self, frame: Frame) -> bool:
        """Whether these rows are as in `frame`, which is contiguous and of the size that the watch was made for.

        StaleFramebuffer when the header is another one now, MachineError when the process is gone or its memory cannot
        be read.
        """
        if frame.nbytes != self._frame_bytes:
            return False
        self._header_plan.read()
        if self._again != self._header:
            raise StaleFramebuffer("The framebuffer has another header now.", hint="Ask the guest again.")
        shown = memoryview(frame.data).cast("B")
        for start, now, plan in self._watched:
            plan.read()
            if now != shown[start : start + len(now)]:
                return False
        return True


def pixel_offset(header: Bytes, layout: Layout) -> int:
    """The byte at which pixels begin; StaleFramebuffer if the XWD header (X11/XWDFile.h) belies the layout."""
    words = [int(word) for word in np.frombuffer(header, ">u4", count=25)]
    size, version, pixmap_format = words[0], words[1], words[2]
    width, height, byte_order, bits, stride, colours = (
        words[4],
        words[5],
        words[7],
        words[11],
        words[12],
        words[19],
    )
    if version != 7 or pixmap_format != 2 or byte_order != 0 or bits != 32:
        raise StaleFramebuffer("There is no framebuffer where the guest said it is.", hint="Ask the guest again.")
    if (width, height, stride) != (layout.max_width, layout.max_height, layout.stride_bytes):
        raise StaleFramebuffer(
            f"The framebuffer is {width} x {height} with rows of {stride} bytes, not {layout.max_width} x "
            f"{layout.max_height} with {layout.stride_bytes}.",
            hint="Ask the guest again.",
        )
    start = size + 12 * colours
    if size < HEADER_BYTES or start + stride * height > layout.framebuffer.size:
        raise StaleFramebuffer(f"The framebuffer's pixels are said to begin at byte {start}, too far back.")
    return start
