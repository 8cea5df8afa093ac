"""How many desktops of which template are kept ready: as many as were asked for lately. Pure; times are seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

RECENT_S = 60.0
KEPT_S = 15 * 60.0


@dataclass
class Demand:
    """What was asked for. `bound`: the most that are kept ready, of all templates together."""

    bound: int
    _asked: dict[str, deque[float]] = field(default_factory=dict, init=False)

    def note(self, template: str, now: float) -> None:
        """One of this template is asked for."""
        self._asked.setdefault(template, deque(maxlen=max(1, self.bound))).append(now)

    def forget(self, template: str) -> None:
        """There is no such template any more."""
        self._asked.pop(template, None)

    def wanted(self, now: float) -> dict[str, int]:
        """How many to keep of each: as many as the last minute took, one for a quarter of an hour; the newest first."""
        left = self.bound
        wanted: dict[str, int] = {}
        for template, times in sorted(self._asked.items(), key=lambda asked: -asked[1][-1]):
            if now - times[-1] > KEPT_S:
                continue
            recent = sum(now - at <= RECENT_S for at in times)
            wanted[template] = min(left, max(1, recent))
            left -= wanted[template]
        return {template: count for template, count in wanted.items() if count}
