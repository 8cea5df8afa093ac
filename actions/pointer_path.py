"""Plans pointer movements as points in time. Decides only: no clock, no X."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

STEP_PX = 5
INTERVAL_MS = 5.0
_MIN_POINTS = 4


@dataclass(frozen=True, slots=True)
class Waypoint:
    """Be at (x, y) pixels, `at_ms` after the start of the movement."""

    at_ms: float
    x: int
    y: int


def default_duration_ms(path: Sequence[tuple[int, int]]) -> int:
    """How long a hand would take: 150 ms and half a millisecond a pixel, at most 1.5 s."""
    return min(1500, 150 + round(_length(path) / 2))


def plan_drag(path: Sequence[tuple[int, int]], duration_ms: int | None = None) -> list[Waypoint]:
    """The points to visit after the press at path[0]: evenly spread in time along the path, ends and corners exact.

    Points are about 5 px apart; where the duration leaves less than 5 ms a point they are further apart, but never
    so far that the pointer teleports: every segment longer than a few pixels has points in between.
    """
    total = _length(path)
    duration = default_duration_ms(path) if duration_ms is None else duration_ms
    affordable = max(duration / INTERVAL_MS, total / 50)
    step = max(float(STEP_PX), total / affordable) if total else float(STEP_PX)
    points: list[Waypoint] = []
    travelled = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        distance = math.hypot(x1 - x0, y1 - y0)
        count = max(math.ceil(distance / step), min(_MIN_POINTS, math.floor(distance)), 1)
        for number in range(1, count + 1):
            part = number / count
            done = (travelled + distance * part) / total if total else 1.0
            points.append(Waypoint(duration * done, round(x0 + (x1 - x0) * part), round(y0 + (y1 - y0) * part)))
        travelled += distance
    return points


def before_end(path: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The pixel that the path comes to its end from; None where it never leaves it."""
    x, y = path[-1]
    for before_x, before_y in reversed(path[:-1]):
        if (before_x, before_y) != (x, y):
            return x + _sign(before_x - x), y + _sign(before_y - y)
    return None


def plan_wheel(dx: int, dy: int, chunk: int = 10) -> list[tuple[int, int]]:
    """Cut wheel steps into pieces of at most `chunk`, vertical first, so that a long scroll can be stopped."""
    return [(0, part) for part in _pieces(dy, chunk)] + [(part, 0) for part in _pieces(dx, chunk)]


def _pieces(steps: int, chunk: int) -> list[int]:
    sign = 1 if steps > 0 else -1
    whole, rest = divmod(abs(steps), chunk)
    return [sign * chunk] * whole + ([sign * rest] if rest else [])


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _length(path: Sequence[tuple[int, int]]) -> float:
    return sum(math.dist(a, b) for a, b in itertools.pairwise(path))
