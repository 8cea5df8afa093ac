"""Where frames differ: as tables of what was painted and which rectangles are found."""

from __future__ import annotations

import numpy as np
import pytest

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.screen.regions import (
    MOST_REGIONS,
    Rect,
    changed_tiles,
    check_inside,
    difference,
    few,
    overlap,
    union,
)

SIZE = (200, 101)  # neither side a multiple of a tile


def frame(*rects: Rect, colour: int = 9) -> np.ndarray:
    made = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    for x, y, width, height in rects:
        made[y : y + height, x : x + width, :3] = colour
    return made


@pytest.mark.parametrize(
    ("painted", "found"),
    [
        ([], []),
        ([(0, 0, 1, 1)], [(0, 0, 1, 1)]),
        ([(199, 100, 1, 1)], [(199, 100, 1, 1)]),
        ([(5, 7, 30, 40)], [(5, 7, 30, 40)]),
        ([(0, 0, 200, 101)], [(0, 0, 200, 101)]),
        ([(3, 3, 2, 2), (100, 60, 9, 9)], [(3, 3, 2, 2), (100, 60, 9, 9)]),
        ([(100, 3, 2, 2), (3, 60, 9, 9)], [(100, 3, 2, 2), (3, 60, 9, 9)]),
        ([(14, 14, 1, 1), (17, 17, 1, 1)], [(14, 14, 4, 4)]),  # tiles that touch at a corner
        ([(2, 2, 1, 1), (10, 10, 1, 1)], [(2, 2, 9, 9)]),  # in one tile
    ],
)
def test_what_was_painted_is_found_to_the_pixel(painted: list[Rect], found: list[Rect]) -> None:
    assert difference(frame(), frame(*painted)) == found
    assert difference(frame(*painted), frame()) == found


@pytest.mark.parametrize(
    ("within", "ignore", "found"),
    [
        ((0, 0, 50, 50), [], [(10, 10, 20, 20)]),
        ((15, 15, 50, 50), [], [(15, 15, 15, 15)]),
        ((60, 0, 30, 101), [], []),
        (None, [(10, 10, 20, 20)], [(120, 60, 20, 20)]),
        (None, [(0, 0, 20, 101)], [(20, 10, 10, 20), (120, 60, 20, 20)]),
        (None, [(0, 0, 200, 101)], []),
        (None, [(190, 95, 500, 500)], [(10, 10, 20, 20), (120, 60, 20, 20)]),  # partly outside of the screen
        ((0, 0, 50, 50), [(10, 10, 20, 19)], [(10, 29, 20, 1)]),
    ],
)
def test_only_what_counts_is_compared(within: Rect | None, ignore: list[Rect], found: list[Rect]) -> None:
    after = frame((10, 10, 20, 20), (120, 60, 20, 20))
    assert difference(frame(), after, within=within, ignore=ignore) == found
    assert changed_tiles(frame(), after, within=within, ignore=ignore).any() == bool(found)


def test_the_byte_without_meaning_has_none() -> None:
    other = frame()
    other[..., 3] = 255
    assert difference(frame(), other) == []


def test_another_size_is_another_screen() -> None:
    assert difference(np.zeros((8, 8, 4), np.uint8), frame()) == [(0, 0, *SIZE)]
    assert difference(np.zeros((8, 8, 4), np.uint8), frame(), within=(1, 2, 3, 4)) == [(1, 2, 3, 4)]


def test_a_part_of_a_larger_picture_is_compared() -> None:
    large = np.zeros((400, 400, 4), np.uint8)
    view = large[10 : 10 + SIZE[1], 20 : 20 + SIZE[0]]  # not in one piece
    assert difference(view, frame((4, 4, 2, 2))) == [(4, 4, 2, 2)]


def test_there_are_never_too_many() -> None:
    size = 32 * 12
    before, after = np.zeros((size, size, 4), np.uint8), np.zeros((size, size, 4), np.uint8)
    after[8::32, 8::32, 0] = 1
    after[0, 0, 0] = after[1, 1, 0] = 1
    found = difference(before, after)
    assert len(found) == MOST_REGIONS
    covered = np.zeros((size, size), bool)
    for x, y, width, height in found:
        covered[y : y + height, x : x + width] = True
    assert covered[after[..., 0] > 0].all()
    assert few([(0, 0, 1, 1), (5, 5, 3, 3), (9, 0, 1, 1)], 2) == [(5, 5, 3, 3), (0, 0, 10, 1)]


def test_rectangles() -> None:
    assert union([(1, 2, 3, 4), (10, 0, 1, 1)]) == (1, 0, 10, 6)
    assert overlap((0, 0, 4, 4), (3, 3, 4, 4)) == (3, 3, 1, 1)
    assert overlap((0, 0, 4, 4), (4, 0, 4, 4)) is None
    check_inside((0, 0, 10, 10), 10, 10)
    for bad in ((0, 0, 11, 10), (-1, 0, 2, 2), (0, 0, 0, 4), (0, 9, 1, 2)):
        with pytest.raises(InvalidRequestError) as caught:
            check_inside(bad, 10, 10)
        assert caught.value.hint
