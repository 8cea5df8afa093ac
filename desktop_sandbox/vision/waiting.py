"""Waits until a screen stands still, or changes. Looks often after a change, and more and more seldom otherwise.

Looking costs the guest nothing: frames come out of its memory. Every wait has a deadline, and may be cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desktop_sandbox.screen.blinking import Movement
from desktop_sandbox.screen.regions import Rect, changed_tiles, check_inside, difference
from desktop_sandbox.screen.stillness import Stillness

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame

REACTION_PAUSE_S = 0.03
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.1

Look = Callable[[], Awaitable["Frame"]]


@dataclass(frozen=True)
class Timing:
    """Where waiting gets its time from; tests pass their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True)
class Watch:
    """What counts: changes inside `within` (None: the whole screen) and outside of `ignore`.

    `blinking`: what goes back and forth between two pictures, as a caret does, is no change after a while.
    """

    within: Rect | None = None
    ignore: Sequence[Rect] = ()
    blinking: bool = True


@dataclass(frozen=True)
class Settled:
    """The screen at the end of a wait. `regions`: where it differs from how it was at the beginning; `moving`: where
    something moved within the last second, if it is not `stable`."""

    frame: Frame
    stable: bool
    regions: Sequence[Rect]
    moving: Sequence[Rect]
    waited_s: float


async def until_stable(
    look: Look,
    watch: Watch,
    *,
    quiet_s: float,
    timeout_s: float,
    before: Frame | None = None,
    reaction_s: float = 0.0,
    timing: Timing | None = None,
) -> Settled:
    """Wait until nothing that counts has changed for `quiet_s`, at most `timeout_s`.

    `before` is the screen that changes are counted from (None: the first look's). Where it has not changed since, it
    gets `reaction_s` to begin: a program that was clicked takes its time. Raises InvalidRequestError for a region
    outside of the screen, and whatever `look` raises.
    """
    timing = timing or Timing()
    started = timing.clock()
    frame = await look()
    _check(watch, frame)
    base = frame if before is None else before
    movement = Movement(blinking=watch.blinking)
    acted = before is not None and bool(_differs(base, frame, watch))
    stillness = Stillness(quiet_s, started + timeout_s, timing.clock())
    while not stillness.expired:
        reacting = before is not None and not acted and timing.clock() - started < reaction_s
        if stillness.still and not reacting:
            break
        await timing.sleep(REACTION_PAUSE_S if stillness.still else stillness.pause_s())
        newest = await look()
        now = timing.clock()
        if newest.shape != frame.shape:
            movement.forget()
            news = acted = True
        else:
            tiles = changed_tiles(frame, newest, within=watch.within, ignore=watch.ignore)
            news = bool(tiles.any()) and movement.looked(tiles, frame, newest, now)
            acted = acted or news
        frame = newest
        stillness.looked(news, now)
    now = timing.clock()
    stable = stillness.still
    moving = [] if stable else movement.moving(now, frame.shape[1], frame.shape[0])
    return Settled(frame, stable, _differs(base, frame, watch), moving, now - started)


async def until_change(
    look: Look, watch: Watch, *, timeout_s: float, before: Frame | None = None, timing: Timing | None = None
) -> Settled:
    """Wait until the screen differs from `before` (None: the first look's), at most `timeout_s`.

    `regions` is empty where it did not. Raises as `until_stable`.
    """
    timing = timing or Timing()
    started = timing.clock()
    frame = await look()
    _check(watch, frame)
    base = frame if before is None else before
    pause = FIRST_PAUSE_S
    while True:
        regions = _differs(base, frame, watch)
        now = timing.clock()
        if regions or now - started >= timeout_s:
            return Settled(frame, not regions, regions, (), now - started)
        await timing.sleep(min(pause, max(0.0, started + timeout_s - now)))
        pause = min(pause * 1.3, LONGEST_PAUSE_S)
        frame = await look()


def _check(watch: Watch, frame: Frame) -> None:
    if watch.within is not None:
        check_inside(watch.within, frame.shape[1], frame.shape[0])


def _differs(before: Frame, after: Frame, watch: Watch) -> list[Rect]:
    return difference(before, after, within=watch.within, ignore=watch.ignore)
