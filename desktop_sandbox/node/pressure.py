"""When memory is short, and which desktops go to disk for it. Pure.

Only those that stand still by themselves: idle, unwatched, and their maker did not forbid it (`freeze_after=0`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from desktop_sandbox.node.capacity import Limits

EASE_MIB = 256
"""So much more than what is kept for the host is freed once it is short, lest it is short again at once."""
AGAIN_S = 60.0
"""One that could not be put away is left alone for so long."""


@dataclass(frozen=True)
class Idle:
    """A desktop that stands still: when it was used last, and when putting it away failed last (monotonic seconds)."""

    id: str
    used_at: float
    failed_at: float | None = None


def is_short(limits: Limits, available_mib: int, *, easing: bool) -> bool:
    """Whether something has to go; `easing`: something went already, and some more makes sense."""
    return available_mib < limits.reserve_memory_mib + (EASE_MIB if easing else 0)


def next_to_go(found: Sequence[Idle], now: float) -> str | None:
    """The one that nobody has used for longest; None if there is none that can go now."""
    able = [idle for idle in found if idle.failed_at is None or now - idle.failed_at > AGAIN_S]
    return min(able, key=lambda idle: (idle.used_at, idle.id)).id if able else None
