"""The screen of a snapshot: its framebuffer's pages are gathered from template and delta, and read as a machine's.

Nothing is started, and nothing is believed: the guest's word on where its screen lay is checked as for a live machine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from desktop_sandbox.errors import MachineError
from desktop_sandbox.screen.encode import draw_cursor
from desktop_sandbox.screen.machine_screen import MachineScreen
from desktop_sandbox.screen.memory import PAGE, GuestMemory, PageRuns, StaleFramebuffer

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame
    from desktop_sandbox.snapshots.delta import Delta
    from desktop_sandbox.snapshots.snapshot import Snapshot
    from desktop_sandbox.snapshots.templates import Template


def saved_frame(snapshot: Snapshot, template: Template) -> Frame:
    """What a snapshot showed, with its pointer: (height, width, 4) bytes BGRX. Blocks for some ms.

    Raises MachineError where files are missing or damaged, StaleFramebuffer where no screen lies where it should.
    """
    display: Mapping[str, Any] = snapshot.manifest.display
    shape = template.manifest.shape
    try:
        with _scratch(shape.ram_bytes) as fd, snapshot.peek() as delta:
            memory = GuestMemory(fd, 0, shape.ram_bytes, shape.below_4g_bytes)
            for part in (display.get("framebuffer"), display.get("state")):
                for run in PageRuns.from_wire(part).runs:
                    _gather(fd, template, delta, memory.file_offset(run), run.length)
            return _read(MachineScreen.from_wire(memory, display), snapshot.manifest.resolution)
    except OSError as error:
        raise MachineError(f"the screen of snapshot {snapshot.manifest.id} cannot be read: {error}") from error


def _read(screen: MachineScreen, resolution: tuple[int, int]) -> Frame:
    try:
        frame = screen.read()
        draw_cursor(frame, screen.cursor())
    except StaleFramebuffer:
        # stopped while its state page was being written: the pixels are good all the same
        frame = screen.framebuffer.read(*resolution)
    return frame


@contextlib.contextmanager
def _scratch(size: int) -> Iterator[int]:
    """Room as large as the guest's RAM, which holds nothing yet and so takes nothing."""
    fd = os.memfd_create("screen", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, size)
        yield fd
    finally:
        os.close(fd)


def _gather(fd: int, template: Template, delta: Delta, offset: int, length: int) -> None:
    """Put a piece of the snapshot's RAM where it lay: the template's, and what differs from it."""
    data = np.empty(length, np.uint8)
    with template.ram.open("rb") as ram:
        ram.seek(offset)
        if ram.readinto(data.data) != length:
            raise MachineError(f"{template.ram} is shorter than its manifest says", hint="build the template anew")
    first, end = offset // PAGE, (offset + length) // PAGE
    starts, counts = delta.runs[:, 0].astype(np.int64), delta.runs[:, 1].astype(np.int64)
    places = np.cumsum(counts) - counts
    for index in np.flatnonzero((starts < end) & (starts + counts > first)):
        low, high = max(first, int(starts[index])), min(end, int(starts[index] + counts[index]))
        source = (int(places[index]) + low - int(starts[index])) * PAGE
        size = (high - low) * PAGE
        target = (low - first) * PAGE
        data[target : target + size] = np.frombuffer(delta.pages[source : source + size], np.uint8)
    os.pwrite(fd, data.data, offset)
