"""Decides when a screen counts as still and when to look next. Pure: `now` is passed in, in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_PAUSE_S = 0.004
LONGEST_PAUSE_S = 0.1
GROWTH = 1.6


@dataclass
class Stillness:
    """Looks often after a change, and more and more seldom while nothing happens.

    `stable_s`: how long nothing may change; `deadline`: when to stop waiting. `now`: time of the first look.
    """

    stable_s: float
    deadline: float
    now: float
    _changed_at: float = field(init=False)
    _pause_s: float = field(init=False, default=FIRST_PAUSE_S)
    _looks: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._changed_at = self.now

    @property
    def still(self) -> bool:
        """Whether at least two equal looks lie `stable_s` or more apart, with nothing else in between."""
        return self._looks > 0 and self.now - self._changed_at >= self.stable_s

    @property
    def expired(self) -> bool:
        """Whether there is no time left."""
        return self.now >= self.deadline

    def looked(self, changed: bool, now: float) -> None:
        """Note a look at the screen that was finished at `now`."""
        self.now = now
        if changed:
            self._changed_at, self._pause_s, self._looks = now, FIRST_PAUSE_S, 0
        else:
            self._looks += 1
            self._pause_s = min(self._pause_s * GROWTH, LONGEST_PAUSE_S)

    def pause_s(self) -> float:
        """How long to wait before the next look."""
        until_still = max(self._changed_at + self.stable_s - self.now, FIRST_PAUSE_S)
        return max(0.0, min(self._pause_s, until_still, self.deadline - self.now))
