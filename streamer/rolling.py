"""Counts and medians of the last second. Pure; times are seconds, passed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

WINDOW_S = 1.0
_MOST = 512


@dataclass
class Rolling:
    """Values with their times; what is older than a second is forgotten."""

    _values: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_MOST), init=False)

    def add(self, value: float, now: float) -> None:
        """Note a value."""
        self._values.append((now, value))

    def median(self, now: float) -> float | None:
        """The median of the last second; None if there is nothing."""
        self._forget(now)
        return median(value for _, value in self._values) if self._values else None

    def sum(self, now: float) -> float:
        """The sum of the last second."""
        self._forget(now)
        return sum(value for _, value in self._values)

    def count(self, now: float) -> int:
        """How many there were in the last second."""
        self._forget(now)
        return len(self._values)

    def _forget(self, now: float) -> None:
        while self._values and now - self._values[0][0] > WINDOW_S:
            self._values.popleft()
