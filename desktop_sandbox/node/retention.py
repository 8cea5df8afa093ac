"""Which snapshots nobody needs any more. Pure.

By themselves go snapshots of forks and of pauses that nobody gave a name, that no sandbox stands at, and that no other
snapshot descends from. Checkpoints stay until they are deleted, unless the server's keeper sets rules for those that
have neither a name nor a tag.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from desktop_sandbox.node.facts import SnapshotInfo

FORK_KEPT_S = 3600.0
PAUSE_KEPT_S = 60.0
"""A sandbox that is being paused stands at its snapshot only a moment after that is there."""


@dataclass(frozen=True)
class Rules:
    """For checkpoints without name and tag: the newest so many of each sandbox stay, for so long; 0: no such rule."""

    keep_newest: int = 0
    keep_s: float = 0.0


def expendable(
    found: Sequence[SnapshotInfo], standing: Collection[str | None], now: float, rules: Rules | None = None
) -> list[str]:
    """Ids to remove; `standing`: snapshots that sandboxes which are not dead stand at. Leaves first."""
    left = {info.id: info for info in found}
    gone: list[str] = []
    for snapshot_id in _against_rules(found, now, rules or Rules()):
        if snapshot_id not in standing:  # what descends from it hangs on its parent then
            gone.append(snapshot_id)
            del left[snapshot_id]
    while True:
        parents = {info.parent for info in left.values()}
        more = [
            info.id
            for info in left.values()
            if info.kind in ("fork", "pause")
            and info.name is None
            and info.id not in standing
            and info.id not in parents
            and now - info.created_at > (FORK_KEPT_S if info.kind == "fork" else PAUSE_KEPT_S)
        ]
        if not more:
            return gone
        gone += more
        for snapshot_id in more:
            del left[snapshot_id]


def _against_rules(found: Sequence[SnapshotInfo], now: float, rules: Rules) -> list[str]:
    plain: defaultdict[str, list[SnapshotInfo]] = defaultdict(list)
    for info in found:
        if info.kind == "checkpoint" and info.name is None and not info.tags:
            plain[info.sandbox].append(info)
    gone = []
    for infos in plain.values():
        newest_first = sorted(infos, key=lambda info: info.created_at, reverse=True)
        for place, info in enumerate(newest_first):
            too_many = 0 < rules.keep_newest <= place
            too_old = 0 < rules.keep_s < now - info.created_at
            if too_many or too_old:
                gone.append(info.id)
    return gone
