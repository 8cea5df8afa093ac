"""Which snapshots nobody needs any more. Pure.

Only what the node made by itself goes by itself: snapshots of forks and of pauses that nobody gave a name, that no
sandbox stands at, and that no other snapshot descends from. Checkpoints stay until they are deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from desktop_sandbox.node.facts import SnapshotInfo

FORK_KEPT_S = 3600.0
PAUSE_KEPT_S = 60.0
"""A sandbox that is being paused stands at its snapshot only a moment after that is there."""


def expendable(found: Sequence[SnapshotInfo], standing: Collection[str | None], now: float) -> list[str]:
    """Ids to remove; `standing`: snapshots that sandboxes which are not dead stand at. Leaves first."""
    left = {info.id: info for info in found}
    gone: list[str] = []
    while True:
        parents = {info.parent for info in left.values()}
        more = [
            info.id
            for info in left.values()
            if info.kind != "checkpoint"
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
