"""When memory is short, and which desktops go to disk for it. Pure.

First those that stand still by themselves: idle, unwatched, and their maker did not forbid it (`freeze_after=0`). Where
that is too slow, all others that nobody waits for are held: their vCPUs stand still, and they take no more. These go to
disk only where no idle one is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from desktop_sandbox.node.capacity import Limits

EASE_MIB = 256
"""So much more than what is kept for the host is freed once it is short, lest it is short again at once."""
HELD_S = 15.0
"""What was held for so long while memory stayed short goes to disk like an idle one, rather than wait for ever."""
AGAIN_S = 60.0
"""One that could not be put away is left alone for so long."""


@dataclass(frozen=True)
class Idle:
    """A desktop that stands still: when it was used last, and when putting it away failed last (monotonic seconds)."""

    id: str
    used_at: float
    failed_at: float | None = None
    held_at: float | None = None
    """Its programs may work: it stands still only because memory was short, since then."""


def is_short(limits: Limits, available_mib: int, *, easing: bool) -> bool:
    """Whether something has to go; `easing`: something went already, and some more makes sense."""
    return available_mib < limits.reserve_memory_mib + (EASE_MIB if easing else 0)


def is_running_out(limits: Limits, available_mib: int) -> bool:
    """Whether the kernel may have to kill something soon."""
    return available_mib < limits.reserve_memory_mib // 2


def next_to_go(found: Sequence[Idle], now: float, *, running_out: bool) -> str | None:
    """The one that nobody has used for longest, a held one in the last resort; None if none can go now."""
    able = [
        idle
        for idle in found
        if (running_out or idle.held_at is None or now - idle.held_at > HELD_S)
        and (idle.failed_at is None or now - idle.failed_at > AGAIN_S)
    ]
    return min(able, key=lambda idle: (idle.held_at is not None, idle.used_at, idle.id)).id if able else None
