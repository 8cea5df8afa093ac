"""Whether this host has room for one more desktop. Decides from figures that are passed in; reading them is apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.errors import CapacityError

_MIB = 1024**2


@dataclass(frozen=True)
class Limits:
    """What is kept free for the host, and how many sandboxes may be (sizes in MiB)."""

    max_sandboxes: int = 200
    reserve_memory_mib: int = 1024
    reserve_disk_mib: int = 2048


@dataclass(frozen=True)
class Figures:
    """What the host has now (MiB), and how many sandboxes are there or being made."""

    available_memory_mib: int
    free_disk_mib: int
    sandboxes: int


def still_to_come(own_mib: Iterable[int], first_mib: int) -> int:
    """What desktops that have just begun take yet of what one takes at first: `own_mib` is what each has by now."""
    return sum(max(0, first_mib - own) for own in own_mib)


def check_room(
    limits: Limits, now: Figures, *, memory_mib: int, disk_mib: int, count: int = 1, promised_mib: int = 0
) -> None:
    """Raise CapacityError, saying what is short and by how much, if `count` desktops that need so much do not fit.

    `promised_mib`: what those that are there take yet.
    """
    if now.sandboxes + count > limits.max_sandboxes:
        more = f", {count} more are asked for" if count > 1 else ""
        raise CapacityError(
            f"{now.sandboxes} sandboxes are running{more}, and {limits.max_sandboxes} are allowed",
            hint="kill one, or raise DESKTOP_SANDBOX_MAX_SANDBOXES",
        )
    for what, free, reserve, promised, need in (
        ("memory", now.available_memory_mib, limits.reserve_memory_mib, promised_mib, memory_mib),
        ("disk", now.free_disk_mib, limits.reserve_disk_mib, 0, disk_mib),
    ):
        if free - reserve - promised < need:
            begun = f", {promised} MiB for desktops that have just begun" if promised else ""
            raise CapacityError(
                f"{what} is short: {free} MiB free, {reserve} MiB kept for the host{begun}, {need} MiB needed",
                hint="kill a sandbox or free some " + what,
                short=what,
            )


def read_figures(home: Path, sandboxes: int) -> Figures:
    """What the host has now."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    disk = os.statvfs(home)
    return Figures(int(found.group(1)) // 1024 if found else 0, disk.f_bavail * disk.f_frsize // _MIB, sandboxes)
