"""Decides when a viewer that got an encoder of its own goes back to the one that others share. Pure; times are seconds.

It goes back once it has been near the others for a while; if that was too soon, the next time takes twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median_high

NEAR = 0.6  # of the others' median, while an outlier is below a quarter of it
RETURN_S = 10.0
LONGEST_RETURN_S = 320.0
RELAPSE_S = 60.0  # who must leave again so soon came back too early


def is_near(bps: float | None, others: Sequence[float]) -> bool:
    """Whether a path could keep up with those of the others, if there are any."""
    return bps is not None and bool(others) and bps >= NEAR * median_high(others)


@dataclass
class Parting:
    """Whether one viewer has its own encoder. `always`: by its nature, also if it keeps up."""

    always: bool = False
    _apart: bool = field(default=False, init=False)
    _near_since: float | None = field(default=None, init=False)
    _back_at: float = field(default=float("-inf"), init=False)
    _after_s: float = field(default=RETURN_S, init=False)

    @property
    def alone(self) -> bool:
        """Whether it has one."""
        return self.always or self._apart

    @property
    def apart(self) -> bool:
        """Whether it has one because it could not keep up."""
        return self._apart

    def part(self, now: float) -> None:
        """It cannot keep up with the others."""
        if not self.alone:
            relapse = now - self._back_at < RELAPSE_S
            self._after_s = min(LONGEST_RETURN_S, 2 * self._after_s) if relapse else RETURN_S
            self._apart, self._near_since = True, None

    def returns(self, near: bool, now: float) -> bool:
        """Told now and then whether it could keep up: whether it goes back now."""
        if not self._apart or not near:
            self._near_since = None
            return False
        if self._near_since is None:
            self._near_since = now
        if now - self._near_since < self._after_s:
            return False
        self._apart, self._back_at = False, now
        return True
