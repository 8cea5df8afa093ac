"""Moments are kept within bounds; marks are numbered and drawn where they can be read."""

from __future__ import annotations

import numpy as np
import pytest

from desktop_sandbox.errors import NotFoundError
from desktop_sandbox.vision.marks import MOST_MARKS, Mark, draw, number
from desktop_sandbox.vision.moments import MOST_PER_SANDBOX, Moments, pack


def frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 4), dtype=np.uint8)


def test_a_frame_comes_back_as_it_was() -> None:
    packed = pack(frame(1)[:, 3:9])  # not in one piece
    again = packed.frame()
    assert np.array_equal(again, frame(1)[:, 3:9])
    again[:] = 0  # the caller's own
    assert np.array_equal(packed.frame(), frame(1)[:, 3:9])
    assert pack(frame(1)).name == pack(frame(1)).name != pack(frame(2)).name


def test_moments_are_a_sandboxs_own_and_expire() -> None:
    kept = Moments(kept_s=600)
    name = kept.keep("a", pack(frame(1)), now=0)
    assert kept.find("a", name, now=599).name == name
    for sandbox, moment, now in (("b", name, 1), ("a", "0" * 16, 1), ("a", name, 601)):
        with pytest.raises(NotFoundError, match="no moment") as caught:
            kept.find(sandbox, moment, now=now)
        assert "10 minutes" in str(caught.value.hint)


def test_kept_again_it_lives_on() -> None:
    kept = Moments(kept_s=600)
    name = kept.keep("a", pack(frame(1)), now=0)
    kept.keep("a", pack(frame(1)), now=500)
    assert kept.find("a", name, now=1000)


def test_there_are_never_too_many() -> None:
    kept = Moments()
    names = [kept.keep("a", pack(frame(n)), now=n / 10) for n in range(MOST_PER_SANDBOX + 5)]
    other = kept.keep("b", pack(frame(0)), now=8)
    assert kept.find("b", other, now=8)
    with pytest.raises(NotFoundError):
        kept.find("a", names[4], now=8)
    assert kept.find("a", names[5], now=8)
    size = len(pack(frame(1)).data)
    small = Moments(most_bytes=3 * size + size // 2)
    names = [small.keep(f"s{n}", pack(frame(n)), now=n) for n in range(5)]
    for n, name in enumerate(names):
        if n < 2:
            with pytest.raises(NotFoundError):
                small.find(f"s{n}", name, now=5)
        else:
            assert small.find(f"s{n}", name, now=5)
    assert str(3 * size)[:2] in repr(small)


def test_boxes_are_numbered_in_order_and_cut_to_the_screen() -> None:
    boxes = [((0, 0, 10, 10), "a"), ((500, 0, 9, 9), "outside"), ((95, 45, 50, 50), "b"), ((3, 3, 0, 5), "empty")]
    assert number(boxes, 100, 50) == [Mark(1, (0, 0, 10, 10), "a"), Mark(2, (95, 45, 5, 5), "b")]
    assert len(number([((0, 0, 5, 5), "")] * 9999, 100, 50)) == MOST_MARKS


def test_numbers_do_not_cover_each_other_nor_what_is_marked() -> None:
    screen = np.full((200, 300, 4), 128, np.uint8)
    boxes = [((40, 60, 60, 30), ""), ((120, 60, 60, 30), ""), ((40, 120, 60, 30), ""), ((0, 0, 300, 200), "")]
    marks = number(boxes, 300, 200)
    draw(screen, marks)
    for x, y, width, height in (box for box, _ in boxes[:3]):
        assert (screen[y + 1 : y + height - 1, x + 1 : x + width - 1, :3] == 128).all()
        assert (screen[y, x : x + width, :3] != 128).any(axis=1).all()
    labels = (screen[:, :, :3] != 128).any(axis=2)
    assert labels[48:59, 40:50].any()  # above the first box


def test_marks_at_the_edges_stay_on_the_screen() -> None:
    screen = np.full((30, 40, 4), 128, np.uint8)
    draw(screen, number([((0, 0, 40, 30), ""), ((39, 29, 1, 1), ""), ((0, 0, 1, 1), "")], 40, 30))
    assert (screen[:, :, :3] != 128).any()
