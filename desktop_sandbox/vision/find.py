"""Finds a small picture on the screen by template matching, also where it is shown somewhat larger or smaller. Pure.

A score is the correlation of the colours (1: the same but for brightness and contrast), less how far they lie apart on
the average: a greyed-out button is not the button. So 1.0 is pixel for pixel the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.screen.regions import Rect, overlap
from desktop_sandbox.vision.pictures import Colours

SMALLEST, LARGEST = 0.5, 2.0
STEP = 1.06
MOST_MATCHES = 100
_LEAST_SIDE = 4
_LEAST_DEVIATION = 1.0
_CANDIDATES = 200
_SAME = 0.3
"""Two finds that share so much of the smaller are one."""
_COARSE = 0.25
"""A rough find may be so much worse than wanted and still become good enough at the right size."""
_ENOUGH_SIDE = 16
_NEAR = tuple(np.linspace(1 / STEP, STEP, 9).tolist())


@dataclass(frozen=True)
class Match:
    """A place of the picture: `box` in the screen's pixels, `score` up to 1, and the scale that it is shown at."""

    box: Rect
    score: float
    scale: float


def find(
    screen: Colours,
    picture: Colours,
    *,
    threshold: float = 0.9,
    scales: tuple[float, float] = (1.0, 1.0),
    limit: int = MOST_MATCHES,
) -> list[Match]:
    """All places of the picture with at least this score, best first, none overlapping a better one.

    `scales` is the range of sizes that it may be shown at, within SMALLEST and LARGEST. InvalidRequestError for a
    picture that fits nowhere or has nothing to go by.
    """
    _check(screen, picture, scales)
    if scales[0] == scales[1]:
        found = _at_scale(screen, picture, scales[0], threshold)
    else:
        roughly = _best(_roughly(screen, picture, scales, threshold - _COARSE), limit)
        found = [better for match in roughly if (better := _refined(screen, picture, match, scales)) is not None]
    return [match for match in _best(found, limit) if match.score >= threshold]


def _check(screen: Colours, picture: Colours, scales: tuple[float, float]) -> None:
    low, high = scales
    if not SMALLEST <= low <= high <= LARGEST:
        raise InvalidRequestError(
            f"The scales {low:g} to {high:g} are no range.",
            hint=f"From small to large, within {SMALLEST:g} and {LARGEST:g}.",
        )
    height, width = picture.shape[:2]
    if min(height, width) < _LEAST_SIDE:
        raise InvalidRequestError(
            f"A picture of {width} x {height} pixels is found everywhere.", hint=f"At least {_LEAST_SIDE} a side."
        )
    if np.max(picture.reshape(-1, 3).std(axis=0)) < _LEAST_DEVIATION:
        raise InvalidRequestError("The picture is of one colour.", hint="Give a part that has something on it.")
    rows, columns = screen.shape[:2]
    if round(height * low) > rows or round(width * low) > columns:
        raise InvalidRequestError(
            f"The picture, {width} x {height}, is larger than where it is looked for, {columns} x {rows}.",
            hint="Give a smaller picture, or a larger region.",
        )


def _steps(low: float, high: float) -> Iterator[float]:
    """Scales from 1 outwards, so that the picture's own size is among them."""
    if low <= 1.0 <= high:
        yield 1.0
    for start, factor in ((STEP, STEP), (1 / STEP, 1 / STEP)):
        scale = start
        while SMALLEST / STEP < scale < LARGEST * STEP:
            if low <= scale <= high:
                yield scale
            scale *= factor
    yield from {low, high} - {1.0}


def _at_scale(screen: Colours, picture: Colours, scale: float, least: float) -> list[Match]:
    small = _scaled(picture, scale)
    height, width = small.shape[:2]
    if height > screen.shape[0] or width > screen.shape[1] or min(height, width) < _LEAST_SIDE:
        return []
    scores = _correlation(screen, small)
    found = []
    for y, x in _peaks(scores, least):
        score = float(scores[y, x]) - _apart(screen[y : y + height, x : x + width], small)
        if score >= least:
            found.append(Match((x, y, width, height), round(score, 4), round(scale, 3)))
    return found


def _roughly(screen: Colours, picture: Colours, scales: tuple[float, float], least: float) -> list[Match]:
    """Where it may be at any of the sizes: in grey, and of half the size where that leaves enough to go by."""
    grey = np.asarray(cv2.cvtColor(screen, cv2.COLOR_BGR2GRAY), np.uint8)
    half = np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    sample = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    found: list[Match] = []
    for scale in _steps(*scales):
        factor = 2 if min(sample.shape) * scale >= 2 * _ENOUGH_SIDE else 1
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        small = _scaled(sample, scale / factor)
        where = half if factor == 2 else grey
        if small.shape[0] > where.shape[0] or small.shape[1] > where.shape[1] or min(small.shape) < _LEAST_SIDE:
            continue
        scores = _correlation(where, small)
        for y, x in _peaks(scores, least):
            found.append(Match((x * factor, y * factor, *size), float(scores[y, x]), scale))
    return found


def _refined(screen: Colours, picture: Colours, match: Match, scales: tuple[float, float]) -> Match | None:
    """The best of the sizes near a rough find, looked for only around it; None if there is none after all."""
    x, y, width, height = match.box
    margin = max(4, round(max(width, height) * (STEP - 1)) + 3)
    left, top = max(0, x - margin), max(0, y - margin)
    part = screen[top : y + height + margin, left : x + width + margin]
    best: Match | None = None
    tried: set[tuple[int, int]] = set()
    for scale in (match.scale, *(match.scale * factor for factor in _NEAR)):
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        if size in tried or not scales[0] <= scale <= scales[1]:
            continue
        tried.add(size)
        for other in _best(_at_scale(part, picture, scale, 0.0 if best is None else best.score), 1):
            best = Match((other.box[0] + left, other.box[1] + top, *other.box[2:]), other.score, other.scale)
    return best


def _peaks(scores: npt.NDArray[np.float32], least: float) -> list[tuple[int, int]]:
    """The places (y, x) with at least this score, the best of them where there are many."""
    places = np.argwhere(scores >= least)
    if len(places) > _CANDIDATES:
        places = places[np.argsort(scores[places[:, 0], places[:, 1]])[::-1][:_CANDIDATES]]
    return [(y, x) for y, x in places.tolist()]


def _scaled(picture: Colours, scale: float) -> Colours:
    if scale == 1.0:
        return picture
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _correlation(screen: Colours, picture: Colours) -> npt.NDArray[np.float32]:
    scores = np.asarray(cv2.matchTemplate(screen, picture, cv2.TM_CCOEFF_NORMED), np.float32)
    # where the screen is of one colour there is nothing to correlate: OpenCV divides by next to nothing
    scores[~np.isfinite(scores) | (scores > 1.01)] = -1.0
    return scores


def _apart(part: Colours, picture: Colours) -> float:
    return float(np.mean(cv2.absdiff(part, picture))) / 255.0


def _best(found: Sequence[Match], limit: int) -> list[Match]:
    kept: list[Match] = []
    for match in sorted(found, key=lambda each: (-each.score, abs(each.scale - 1.0), each.box[1], each.box[0])):
        if len(kept) >= limit:
            break
        if not any(_are_one(match.box, other.box) for other in kept):
            kept.append(match)
    return kept


def _are_one(one: Rect, other: Rect) -> bool:
    shared = overlap(one, other)
    return shared is not None and shared[2] * shared[3] > _SAME * min(one[2] * one[3], other[2] * other[3])
