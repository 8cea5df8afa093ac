"""Screenshots: what a spec may ask, and waiting for a still picture, under a clock of the test's own."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from screen_fakes import calm, noise

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.node.facts import ScreenshotSpec
from desktop_sandbox.screen.encode import Cursor
from desktop_sandbox.screen.screenshot import Timing, check, take, unchanged
from desktop_sandbox.screen.stillness import LONGEST_PAUSE_S, Stillness

WHITE = Cursor(3, 2, 0, 0, np.full((1, 1, 4), 255, np.uint8))


class World:
    """A screen that changes at set times of its own clock; each look takes 1 ms."""

    def __init__(self, changes: list[float] | None = None, every_s: float | None = None) -> None:
        self.now = 100.0
        self.changes = [100.0 + at for at in changes or []]
        self.every_s = every_s
        self.looks: list[float] = []
        self.threads: set[int] = set()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds

    @property
    def timing(self) -> Timing:
        return Timing(self.clock, self.sleep)

    def read(self, out: np.ndarray | None = None) -> np.ndarray:
        self.threads.add(threading.get_ident())
        self.looks.append(self.now)
        frame = np.zeros((20, 30, 4), np.uint8) if out is None else out
        version = sum(at <= self.now for at in self.changes)
        frame[...] = version if self.every_s is None else int(self.now / self.every_s) % 256
        self.now += 0.001
        return frame

    def cursor(self) -> Cursor:
        return WHITE


def raw(**options) -> ScreenshotSpec:
    return ScreenshotSpec(**{"format": "raw", "cursor": False, **options})


async def test_without_waiting_there_is_one_look_in_another_thread():
    world = World()
    shot = await take(world, ScreenshotSpec(), timing=world.timing)
    assert (shot.media_type, shot.width, shot.height, shot.stable) == ("image/png", 30, 20, None)
    assert len(world.looks) == 1
    assert threading.get_ident() not in world.threads


async def test_cursor_region_and_scale_in_this_order():
    world = World()
    assert set((await take(world, raw())).data) == {0}
    whole = np.frombuffer((await take(world, raw(cursor=True))).data, np.uint8).reshape(20, 30, 3)
    assert whole[2, 3].tolist() == [255] * 3
    shot = await take(world, raw(cursor=True, region=(2, 2, 4, 2), scale=0.5))
    assert (shot.width, shot.height) == (2, 1)
    assert shot.data == bytes([64] * 3 + [0] * 3)


async def test_a_still_screen_is_stable_after_just_that_time():
    world = World()
    shot = await take(world, raw(stable_ms=200), timing=world.timing)
    assert shot.stable is True
    assert 0.2 <= world.looks[-1] - world.looks[0] < 0.21
    assert 4 <= len(world.looks) < 15


async def test_the_last_change_starts_the_wait_again_and_the_newest_frame_is_shown():
    world = World([0.05, 0.15, 0.31])
    shot = await take(world, raw(stable_ms=200), timing=world.timing)
    assert shot.stable is True
    assert set(shot.data) == {3}
    assert 0.5 <= world.now - 100 < 0.65


async def test_a_screen_that_never_rests_is_shown_at_the_deadline():
    world = World(every_s=0.003)
    shot = await take(world, raw(stable_ms=100, deadline_ms=1000), timing=world.timing)
    assert shot.stable is False
    assert 1.0 <= world.now - 100 < 1.01
    assert len(world.looks) < 260


async def test_a_stable_time_of_zero_needs_two_equal_looks_some_ms_apart():
    world = World()
    assert (await take(world, raw(stable_ms=0), timing=world.timing)).stable is True
    assert len(world.looks) == 2
    assert world.looks[1] - world.looks[0] >= 0.003


async def test_no_time_gives_what_there_is():
    world = World()
    assert (await take(world, raw(stable_ms=0, deadline_ms=0), timing=world.timing)).stable is False


async def test_many_at_once_and_cancelling():
    world = World()
    shots = await asyncio.gather(*(take(world, raw(stable_ms=20)) for _ in range(8)))
    assert all(shot.width == 30 for shot in shots)
    waiting = asyncio.ensure_future(take(World(), raw(stable_ms=5000)))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "jpg"}, "'jpg'.*jpeg"),
        ({"format": "PNG"}, "'PNG'"),
        ({"quality": 0}, "quality is 0.*1 to 100"),
        ({"quality": 101}, "101"),
        ({"quality": True}, "True"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"scale": 1.5}, "1.5"),
        ({"scale": float("nan")}, "nan"),
        ({"region": (0, 0, 0, 5)}, "region"),
        ({"region": (-1, 0, 5, 5)}, "region"),
        ({"region": (0, 0, 5)}, "four whole numbers"),
        ({"region": (0, 0, 5, 5.0)}, "four whole numbers"),
        ({"region": (0, 0, 31, 20)}, "width=31.*30 x 20"),
        ({"stable_ms": -1}, "stable_ms is -1"),
        ({"stable_ms": 6000}, "6000.*deadline_ms, which is 5000"),
        ({"deadline_ms": 10**9}, "1000000000"),
    ],
)
async def test_what_cannot_be_is_refused_by_name_and_value(options, said):
    world = World()
    with pytest.raises(InvalidRequestError, match=said) as refusal:
        await take(world, ScreenshotSpec(**options), timing=world.timing)
    assert refusal.value.hint


def test_the_smallest_and_largest_values_are_allowed():
    check(ScreenshotSpec(quality=1, scale=1e-9, region=(0, 0, 1, 1), stable_ms=5000))
    check(ScreenshotSpec(quality=100, scale=1, deadline_ms=300_000, stable_ms=300_000))


def test_frames_of_other_sizes_or_one_other_pixel_are_changed():
    frame = noise(130, 20)
    other = frame.copy()
    assert unchanged(frame, other)
    other[129, 19, 2] ^= 1
    assert not unchanged(frame, other)
    assert not unchanged(frame, frame[:129])


@calm
@given(st.floats(0, 2), st.floats(0, 3), st.lists(st.tuples(st.booleans(), st.floats(0.0005, 0.05)), max_size=300))
def test_waiting_never_spins_and_never_outlasts_the_deadline(stable_s, deadline_s, looks):
    state = Stillness(stable_s, deadline_s, 0.0)
    now = 0.0
    for changed, cost in looks:
        if state.still or state.expired:
            break
        pause = state.pause_s()
        assert 0 < pause <= LONGEST_PAUSE_S
        assert now + pause <= deadline_s + 1e-9
        now += pause + cost
        state.looked(changed, now)
        assert not (changed and state.still)
