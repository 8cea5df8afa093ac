"""Where two frames differ, as rectangles. Pure.

Rectangles are (x, y, width, height) in screen pixels. Frames are compared tile by tile; what touches is one region, cut
to the pixels that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from desktop_sandbox.errors import InvalidRequestError

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame

Rect = tuple[int, int, int, int]
Tiles = npt.NDArray[np.bool_]
"""(rows, columns) of tiles of TILE pixels a side: which of them changed."""

TILE = 16
MOST_REGIONS = 64
_COLOURS = np.uint32(0x00FF_FFFF)


def changed_tiles(before: Frame, after: Frame, *, within: Rect | None = None, ignore: Sequence[Rect] = ()) -> Tiles:
    """The tiles in which frames of one size differ, inside `within` and outside of what is ignored."""
    return _compare(before, after, within, ignore, None)


def difference(before: Frame, after: Frame, *, within: Rect | None = None, ignore: Sequence[Rect] = ()) -> list[Rect]:
    """The regions in which two frames differ, from the top; all of `after` (or `within`) where their sizes do.

    At most MOST_REGIONS: where there are more, the last holds all the rest.
    """
    height, width = after.shape[:2]
    if before.shape != after.shape:
        return [within or (0, 0, width, height)]
    pixels = np.zeros((height, width), bool)
    tiles = _compare(before, after, within, ignore, pixels)
    return few([_tight(pixels, rect) for rect in joined(tiles, width, height)])


def joined(tiles: Tiles, width: int, height: int) -> list[Rect]:
    """Tiles that touch, also at a corner, as rectangles of whole tiles within the screen; from the top."""
    count, _, figures, _ = cv2.connectedComponentsWithStats(tiles.astype(np.uint8), connectivity=8)
    found = []
    for x, y, columns, rows, _ in figures[1:count].tolist():
        left, top = x * TILE, y * TILE
        found.append((left, top, min(columns * TILE, width - left), min(rows * TILE, height - top)))
    return sorted(found, key=lambda rect: (rect[1], rect[0]))


def few(rects: Sequence[Rect], most: int = MOST_REGIONS) -> list[Rect]:
    """At most so many: the smallest are put together into one that holds them all."""
    if len(rects) <= most:
        return sorted(rects, key=lambda rect: (rect[1], rect[0]))
    by_size = sorted(rects, key=lambda rect: rect[2] * rect[3], reverse=True)
    return [*sorted(by_size[: most - 1], key=lambda rect: (rect[1], rect[0])), union(by_size[most - 1 :])]


def union(rects: Iterable[Rect]) -> Rect:
    """The smallest rectangle that holds all of one or more."""
    corners = [(x, y, x + width, y + height) for x, y, width, height in rects]
    left, top = min(corner[0] for corner in corners), min(corner[1] for corner in corners)
    return left, top, max(corner[2] for corner in corners) - left, max(corner[3] for corner in corners) - top


def overlap(one: Rect, other: Rect) -> Rect | None:
    """What two rectangles share; None if nothing."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[0] + one[2], other[0] + other[2]), min(one[1] + one[3], other[1] + other[3])
    return (left, top, right - left, bottom - top) if left < right and top < bottom else None


def check_inside(rect: Rect, width: int, height: int) -> None:
    """Raise InvalidRequestError unless all of it lies on a screen of this size."""
    x, y, wide, high = rect
    if x < 0 or y < 0 or wide < 1 or high < 1 or x + wide > width or y + high > height:
        raise InvalidRequestError(
            f"The region x={x}, y={y}, width={wide}, height={high} is not inside the screen.",
            hint=f"The screen has {width} x {height} pixels: x + width may be at most {width}, "
            f"y + height at most {height}.",
        )


def _compare(before: Frame, after: Frame, within: Rect | None, ignore: Sequence[Rect], pixels: Tiles | None) -> Tiles:
    """The tiles that differ; where `pixels` (height, width) is given, it gets the pixels that do."""
    height, width = after.shape[:2]
    tiles = np.zeros((-(-height // TILE), -(-width // TILE)), bool)
    columns = np.zeros(tiles.shape[1] * TILE, bool)
    for top, mask in _differing_bands(before, after, within, ignore):
        columns[:width] = mask.any(axis=0)
        tiles[top // TILE] = columns.reshape(-1, TILE).any(axis=1)
        if pixels is not None:
            pixels[top : top + TILE] = mask
    return tiles


def _differing_bands(
    before: Frame, after: Frame, within: Rect | None, ignore: Sequence[Rect]
) -> Iterator[tuple[int, Tiles]]:
    """Bands of TILE rows with a difference that counts: their first row, and which of their pixels differ."""
    height, width = after.shape[:2]
    old, new = np.ascontiguousarray(before).view(np.uint32)[..., 0], np.ascontiguousarray(after).view(np.uint32)[..., 0]
    first, last = (0, height) if within is None else (within[1], within[1] + within[3])
    for top in range(first - first % TILE, min(last, height), TILE):
        rows = slice(top, min(top + TILE, height))
        if np.array_equal(old[rows], new[rows]):
            continue
        mask = ((old[rows] ^ new[rows]) & _COLOURS) != 0
        band = (0, top, width, rows.stop - top)
        if within is not None:
            kept = np.zeros_like(mask)
            _put(kept, overlap(within, band), top, True)
            mask &= kept
        for rect in ignore:
            _put(mask, overlap(rect, band), top, False)
        if mask.any():
            yield top, mask


def _put(mask: Tiles, rect: Rect | None, top: int, value: bool) -> None:
    if rect is not None:
        x, y, width, height = rect
        mask[y - top : y - top + height, x : x + width] = value


def _tight(pixels: Tiles, rect: Rect) -> Rect:
    x, y, width, height = rect
    part = pixels[y : y + height, x : x + width]
    columns, rows = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
    left, top = int(columns[0]), int(rows[0])
    return x + left, y + top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1
