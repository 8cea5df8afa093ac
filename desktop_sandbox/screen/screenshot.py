"""Takes a screenshot from a source of frames: waits for a still picture if asked, then encodes, in a thread."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.node.facts import Screenshot, ScreenshotSpec
from desktop_sandbox.screen.encode import (
    MEDIA_TYPES,
    Cursor,
    crop,
    draw_cursor,
    encode,
    shrink,
    unknown_format,
)
from desktop_sandbox.screen.scratch import keep_as_scratch, scratch_frame
from desktop_sandbox.screen.stillness import Stillness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from desktop_sandbox.screen.framebuffer import Frame

LONGEST_WAIT_MS = 300_000
ROWS_AT_ONCE = 64


class FrameSource(Protocol):
    """Something that shows frames: a MachineScreen, or a test's. Methods block shortly and run in a thread."""

    def read(self, out: Frame | None = None) -> Frame:
        """The screen now, tightly packed (height, width, 4) bytes BGRX, the caller's to change."""
        ...

    def cursor(self) -> Cursor:
        """The pointer's place and picture now."""
        ...


@dataclass(frozen=True)
class Timing:
    """Where waiting gets its time from; tests pass their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


REAL_TIME = Timing()


async def take(
    source: FrameSource, spec: ScreenshotSpec, *, executor: Executor | None = None, timing: Timing = REAL_TIME
) -> Screenshot:
    """The screen as `spec` wants it; `stable` says whether it held still in time (None if that was not asked for).

    Raises InvalidRequestError for a spec that makes no sense (before anything is read) or a region outside the
    screen, and whatever the source raises. Heavy work runs in `executor` (None: the event loop's own).
    """
    check(spec)
    loop = asyncio.get_running_loop()
    if spec.stable_ms is None:
        return await loop.run_in_executor(executor, lambda: snap(source, spec))
    watcher = _Watcher(source)
    await loop.run_in_executor(executor, watcher.look)
    started = timing.clock()
    stillness = Stillness(spec.stable_ms / 1000, started + spec.deadline_ms / 1000, started)
    while not (stillness.still or stillness.expired):
        await timing.sleep(stillness.pause_s())
        changed = await loop.run_in_executor(executor, watcher.look)
        stillness.looked(changed, timing.clock())
    still = stillness.still
    return await loop.run_in_executor(executor, lambda: render(watcher.frame, source, spec, stable=still))


def snap(source: FrameSource, spec: ScreenshotSpec) -> Screenshot:
    """The screen at once, whether it stands still or not. Blocks."""
    frame = source.read(scratch_frame())
    try:
        return render(frame, source, spec)
    finally:
        keep_as_scratch(frame)


def render(frame: Frame, source: FrameSource, spec: ScreenshotSpec, *, stable: bool | None = None) -> Screenshot:
    """Make the screenshot of a frame of `source`, which it may draw on."""
    return paint(frame, source.cursor() if spec.cursor else None, spec, stable=stable)


def paint(frame: Frame, cursor: Cursor | None, spec: ScreenshotSpec, *, stable: bool | None = None) -> Screenshot:
    """Make the screenshot of a frame, which it may draw on: cursor, then region, then scale, then format."""
    region = crop(frame, spec.region) if spec.region is not None else frame
    if cursor is not None:
        draw_cursor(frame, cursor)
    picture = shrink(region, spec.scale)
    height, width = picture.shape[:2]
    data = encode(picture, spec.format, spec.quality)
    return Screenshot(data, MEDIA_TYPES[spec.format], width, height, stable)


def check(spec: ScreenshotSpec) -> None:
    """Refuse with InvalidRequestError what cannot be on any screen; the region's far edges need a frame."""
    if spec.format not in MEDIA_TYPES:
        raise unknown_format(spec.format)
    if not _whole(spec.quality, 1, 100):
        raise _out_of_range("quality", spec.quality, "a whole number from 1 to 100")
    if isinstance(spec.scale, bool) or not isinstance(spec.scale, int | float) or not 0 < spec.scale <= 1:
        raise _out_of_range("scale", spec.scale, "above 0 and at most 1 (1 is the screen's own size)")
    if not _whole(spec.deadline_ms, 0, LONGEST_WAIT_MS):
        raise _out_of_range("deadline_ms", spec.deadline_ms, f"a whole number from 0 to {LONGEST_WAIT_MS}")
    if spec.stable_ms is not None and not _whole(spec.stable_ms, 0, spec.deadline_ms):
        raise _out_of_range("stable_ms", spec.stable_ms, f"0 to deadline_ms, which is {spec.deadline_ms}")
    if spec.region is not None:
        _check_region(spec.region)


def unchanged(before: Frame, after: Frame) -> bool:
    """Whether two frames are equal; stops at the first rows that differ."""
    if before.shape != after.shape:
        return False
    return all(
        np.array_equal(before[top : top + ROWS_AT_ONCE], after[top : top + ROWS_AT_ONCE])
        for top in range(0, before.shape[0], ROWS_AT_ONCE)
    )


class _Watcher:
    """Keeps the newest frame and the one before it, in two buffers that take turns."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._frame: Frame | None = None
        self._spare: Frame | None = None

    @property
    def frame(self) -> Frame:
        """The newest frame."""
        assert self._frame is not None, "nothing was looked at yet"
        return self._frame

    def look(self) -> bool:
        """Read the screen; whether it differs from the last time."""
        before, self._frame = self._frame, self._source.read(self._spare)
        self._spare = before
        return before is None or not unchanged(before, self._frame)


def _check_region(region: object) -> None:
    if not (isinstance(region, tuple | list) and len(region) == 4 and all(_whole(part) for part in region)):
        raise _out_of_range("region", region, "(x, y, width, height), four whole numbers in screen pixels")
    x, y, width, height = region
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise _out_of_range("region", region, "x and y from 0, width and height from 1")


def _whole(value: object, least: float = -math.inf, most: float = math.inf) -> bool:
    return type(value) is int and least <= value <= most


def _out_of_range(name: str, value: object, allowed: str) -> InvalidRequestError:
    return InvalidRequestError(f"The screenshot's {name} is {value!r}.", hint=f"Allowed: {allowed}.")
