"""How much may pass in a time: a token bucket. Pure; times are seconds of one clock, passed in."""

from __future__ import annotations


class Bucket:
    """`rate` a second on average, `burst` at once. Rate None: no limit."""

    def __init__(self, rate: float | None, burst: float, now: float) -> None:
        self.rate = rate
        self._burst = burst
        self._level = burst
        self._at = now

    def _fill(self, now: float) -> None:
        if self.rate is not None:
            self._level = min(self._burst, self._level + (now - self._at) * self.rate)
        self._at = now

    def may(self, now: float) -> bool:
        """Take one if there is one."""
        if self.rate is None:
            return True
        self._fill(now)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def take(self, amount: int, now: float) -> float:
        """Take an amount, on credit if need be; for how many seconds nothing more may be taken."""
        if self.rate is None:
            return 0.0
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self.rate)
