"""When a screen stands still or has changed: a script of what it shows when, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.vision.waiting import Settled, Timing, Watch, until_change, until_stable

Paint = Callable[[float, np.ndarray], None]


class Screen:
    """Shows what `paint(now, frame)` paints; time passes only while somebody sleeps."""

    def __init__(self, paint: Paint) -> None:
        self.now = 0.0
        self.looks = 0
        self._paint = paint
        self.timing = Timing(lambda: self.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += max(seconds, 0.001)

    async def look(self) -> np.ndarray:
        self.looks += 1
        frame = np.zeros((96, 128, 4), np.uint8)
        self._paint(self.now, frame)
        return frame

    async def stable(self, watch: Watch | None = None, **how: object) -> Settled:
        settings = {"quiet_s": 0.3, "timeout_s": 10.0, **how}
        return await until_stable(self.look, watch or Watch(), timing=self.timing, **settings)  # type: ignore[arg-type]


def still(now: float, frame: np.ndarray) -> None:
    pass


def until(end: float) -> Paint:
    """Something moves until then."""

    def paint(now: float, frame: np.ndarray) -> None:
        frame[40:50, 40:50, 0] = int(min(now, end) * 1000) % 251 + 1

    return paint


def blinking(period: float, more: Paint = still) -> Paint:
    """A caret of 2 x 14 pixels, and more."""

    def paint(now: float, frame: np.ndarray) -> None:
        more(now, frame)
        if now % period < period / 2:
            frame[10:24, 100:102, :3] = 255

    return paint


CARET = (100, 10, 2, 14)


@pytest.mark.parametrize(
    ("paint", "watch", "stable", "waited"),
    [
        (still, Watch(), True, (0.3, 0.5)),
        (until(2.0), Watch(), True, (2.3, 2.6)),
        (until(99), Watch(), False, (10, 10.2)),
        (until(99), Watch(ignore=[(40, 40, 10, 10)]), True, (0.3, 0.5)),
        (until(99), Watch(within=(0, 0, 40, 96)), True, (0.3, 0.5)),
        (until(99), Watch(within=(0, 0, 41, 96)), False, (10, 10.2)),
        (blinking(0.5), Watch(), True, (0.7, 2.2)),
        (blinking(0.5), Watch(blinking=False), False, (10, 10.2)),
        (blinking(0.5), Watch(blinking=False, ignore=[CARET]), True, (0.3, 0.5)),
        (blinking(0.5, until(3.0)), Watch(), True, (3.3, 3.7)),
    ],
)
async def test_it_stands_still_when_nothing_that_counts_has_changed(
    paint: Paint, watch: Watch, stable: bool, waited: tuple[float, float]
) -> None:
    settled = await Screen(paint).stable(watch)
    assert settled.stable is stable
    assert waited[0] <= settled.waited_s <= waited[1]
    assert bool(settled.moving) is not stable


async def test_what_still_moves_is_told() -> None:
    settled = await Screen(until(99)).stable()
    [(x, y, width, height)] = settled.moving
    assert x <= 40 < 50 <= x + width
    assert y <= 40 < 50 <= y + height
    assert settled.regions == [(40, 40, 10, 10)]


async def test_a_spinner_is_no_caret() -> None:
    def spinner(now: float, frame: np.ndarray) -> None:
        frame[4:10, 4 + int(now * 8) % 4, :3] = 255

    assert not (await Screen(spinner).stable()).stable


@pytest.mark.parametrize(
    ("begins", "ends", "regions", "waited"),
    [
        (0.05, 0.2, 1, (0.5, 0.7)),  # at once
        (0.7, 1.5, 1, (1.8, 2.1)),  # a slow program, within the time it has
        (5.0, 6.0, 0, (1.0, 1.2)),  # too slow: nothing happened
    ],
)
async def test_what_was_acted_on_has_time_to_react(
    begins: float, ends: float, regions: int, waited: tuple[float, float]
) -> None:
    def paint(now: float, frame: np.ndarray) -> None:
        if now >= begins:
            until(ends)(now, frame)

    screen = Screen(paint)
    before = await screen.look()
    settled = await screen.stable(before=before, reaction_s=1.0)
    assert settled.stable
    assert len(settled.regions) == regions
    assert waited[0] <= settled.waited_s <= waited[1]


async def test_an_idle_screen_is_looked_at_seldom() -> None:
    screen = Screen(still)
    await screen.stable(before=await screen.look(), reaction_s=5.0)
    assert screen.looks < 250
    screen = Screen(still)
    await until_change(screen.look, Watch(), timeout_s=10, timing=screen.timing)
    assert screen.looks < 150


async def test_a_screen_of_another_size_has_changed() -> None:
    screen = Screen(still)

    async def look() -> np.ndarray:
        return np.zeros((96, 128 if screen.now < 1 else 64, 4), np.uint8)

    settled = await until_stable(look, Watch(), quiet_s=2, timeout_s=10, timing=screen.timing)
    assert settled.stable
    assert settled.waited_s >= 3
    assert settled.regions == [(0, 0, 64, 96)]


@pytest.mark.parametrize(
    ("watch", "changed"),
    [
        (Watch(), True),
        (Watch(within=(30, 30, 20, 20)), True),
        (Watch(within=(0, 0, 20, 20)), False),
        (Watch(ignore=[(40, 40, 10, 10)]), False),
    ],
)
async def test_a_change_is_waited_for(watch: Watch, changed: bool) -> None:
    def paint(now: float, frame: np.ndarray) -> None:
        if now > 2:
            frame[40:50, 40:50] = 7

    screen = Screen(paint)
    found = await until_change(screen.look, watch, timeout_s=5, timing=screen.timing)
    assert bool(found.regions) is changed
    assert (2 <= found.waited_s <= 2.2) if changed else (5 <= found.waited_s <= 5.2)


async def test_a_change_since_an_earlier_moment_is_there_at_once() -> None:
    screen = Screen(still)
    before = np.full((96, 128, 4), 3, np.uint8)
    found = await until_change(screen.look, Watch(), timeout_s=5, before=before, timing=screen.timing)
    assert found.regions == [(0, 0, 128, 96)]
    assert found.waited_s == 0


async def test_a_region_outside_of_the_screen_is_refused() -> None:
    screen = Screen(still)
    with pytest.raises(InvalidRequestError, match="not inside"):
        await screen.stable(Watch(within=(100, 0, 29, 10)))
    with pytest.raises(InvalidRequestError, match="not inside"):
        await until_change(screen.look, Watch(within=(0, 90, 10, 7)), timeout_s=1, timing=screen.timing)
