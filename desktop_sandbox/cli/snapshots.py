"""Commands that save sandboxes and bring them back, and their snapshots."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.cli.output import ago, print_json, print_table
from desktop_sandbox.cli.sandboxes import parse_metadata
from desktop_sandbox.sdk.models import SandboxInfo, SnapshotInfo


@contextlib.contextmanager
def _connected(sandbox_id: str) -> Iterator[Sandbox]:
    desktop = Sandbox.connect(sandbox_id)
    try:
        yield desktop
    finally:
        desktop.close()


def checkpoint(sandbox_id: str, name: str | None, description: str, tags: Sequence[str], *, as_json: bool) -> None:
    """Save a sandbox."""
    with _connected(sandbox_id) as desktop:
        made = desktop.checkpoint(name, description=description, tags=tags)
    if as_json:
        print_json(made)
    else:
        print(made.snapshot_id)
        print(f"it stood still for {made.stopped_ms:.0f} ms; {_size(made)} on disk", file=sys.stderr)


def fork(sandbox_id: str, count: int, timeout: float, metadata: Sequence[str] | None, *, as_json: bool) -> None:
    """Fork a sandbox."""
    names = None if metadata is None else parse_metadata(metadata)
    with _connected(sandbox_id) as desktop:
        children = desktop.fork(count, timeout=timeout or None, metadata=names)
        found = [child.get_info() for child in children] if as_json else []
        for child in children:
            child.close()
    if as_json:
        print_json(found)
    else:
        print("\n".join(child.sandbox_id for child in children))


def rollback(sandbox_id: str, snapshot: str, *, as_json: bool) -> None:
    """Roll a sandbox back."""
    with _connected(sandbox_id) as desktop:
        _say(desktop.rollback(snapshot), f"{sandbox_id} is back at {snapshot}", as_json=as_json)


def pause(sandbox_id: str, *, as_json: bool) -> None:
    """Pause a sandbox."""
    with _connected(sandbox_id) as desktop:
        _say(desktop.pause(), f"{sandbox_id} is paused", as_json=as_json)


def resume(sandbox_id: str, timeout: float, *, from_disk: bool, as_json: bool) -> None:
    """Resume a sandbox."""
    words = f"{sandbox_id} runs again" + (", booted from its disk" if from_disk else "")
    with _connected(sandbox_id) as desktop:
        _say(desktop.resume(timeout or None, from_disk=from_disk), words, as_json=as_json)


def freeze(sandbox_id: str, *, as_json: bool) -> None:
    """Let a sandbox stand still in memory."""
    with _connected(sandbox_id) as desktop:
        _say(desktop.freeze(), f"{sandbox_id} stands still; the next call wakes it", as_json=as_json)


def thaw(sandbox_id: str, *, as_json: bool) -> None:
    """Wake a sandbox."""
    with _connected(sandbox_id) as desktop:
        _say(desktop.thaw(), f"{sandbox_id} is awake", as_json=as_json)


def _say(info: SandboxInfo, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(info)
    else:
        print(words, file=sys.stderr)


def ls(sandbox_id: str | None, *, as_json: bool) -> None:
    """List snapshots; children stand below their parents, set in."""
    if sandbox_id is None:
        with Host.connect() as host:
            found = host.snapshots()
    else:
        with _connected(sandbox_id) as desktop:
            found = desktop.snapshots()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            "  " * depth + info.snapshot_id,
            info.name or "",
            info.kind,
            info.sandbox_id,
            info.template,
            _size(info),
            ago(info.created_at),
            " ".join(info.tags),
        )
        for depth, info in as_tree(found)
    ]
    columns = ("SNAPSHOT", "NAME", "KIND", "SANDBOX", "TEMPLATE", "SIZE", "TAKEN", "TAGS")
    print_table(columns, rows, empty='no snapshots; make one with "desktop-sandbox checkpoint SANDBOX"')


def as_tree(found: Sequence[SnapshotInfo]) -> Iterator[tuple[int, SnapshotInfo]]:
    """(depth, snapshot), each followed by its children; a parent that is not among them counts as none."""
    known = {info.snapshot_id for info in found}
    children: dict[str | None, list[SnapshotInfo]] = {}
    for info in found:
        children.setdefault(info.parent if info.parent in known else None, []).append(info)
    waiting = [(0, info) for info in reversed(children.get(None, []))]
    while waiting:
        depth, info = waiting.pop()
        yield depth, info
        waiting += [(depth + 1, child) for child in reversed(children.get(info.snapshot_id, []))]


def change(
    snapshot: str, name: str | None, description: str | None, tags: Sequence[str] | None, *, as_json: bool
) -> None:
    """Name, describe, tag."""
    with Host.connect() as host:
        info = host.change_snapshot(snapshot, name=name, description=description, tags=tags)
    if as_json:
        print_json(info)
    else:
        print(f"{snapshot}: {info.name or 'no name'}", file=sys.stderr)


def promote(snapshot: str, name: str, *, as_json: bool) -> None:
    """Make a template of a snapshot."""
    with Host.connect() as host:
        info = host.promote_snapshot(snapshot, name)
    if as_json:
        print_json(info)
    else:
        print(f"template {name} is ready: desktop-sandbox create {name}", file=sys.stderr)


def remove(snapshots: Sequence[str], *, as_json: bool) -> None:
    """Remove snapshots."""
    with Host.connect() as host:
        for snapshot in snapshots:
            host.delete_snapshot(snapshot)
            if not as_json:
                print(f"{snapshot} removed", file=sys.stderr)
    if as_json:
        print_json({"removed": list(snapshots)})


def thumbnail(snapshot: str, output: str, width: int) -> None:
    """Save what a snapshot showed."""
    with Host.connect() as host:
        data = host.thumbnail(snapshot, width)
    if output == "-":
        sys.stdout.buffer.write(data)
        return
    path = Path(output or f"{snapshot}.jpg")
    path.write_bytes(data)
    print(f"saved {path}", file=sys.stderr)


def _size(info: SnapshotInfo) -> str:
    return f"{info.size_bytes / 1e6:.0f} MB"
