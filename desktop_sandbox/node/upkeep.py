"""Snapshots as things of their own: list, describe, delete, clean up; and what a machine needs to begin from one.

What is in use is never removed: a paused sandbox rests on its snapshot, and whoever makes something from one pins it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence

from desktop_sandbox.errors import ConflictError, NotFoundError
from desktop_sandbox.node.core import NodeCore
from desktop_sandbox.node.facts import SandboxState, SnapshotInfo
from desktop_sandbox.node.retention import Rules, expendable
from desktop_sandbox.snapshots import snapshot as files
from desktop_sandbox.snapshots.restore import Origin, snapshot_origin
from desktop_sandbox.snapshots.templates import offered_fit

log = logging.getLogger("desktop_sandbox.node")


class Upkeep(NodeCore):
    """The part of a node that keeps snapshots."""

    @contextlib.asynccontextmanager
    async def _using(self, snapshot_id: str) -> AsyncIterator[SnapshotInfo]:
        """Nobody removes this snapshot inside the block. NotFoundError if it is gone already."""
        self._pins[snapshot_id] += 1
        try:
            # in the order of writing: a removal that was under way is done with before this look
            yield await self.snapshot_store.get(snapshot_id, settled=True)
        finally:
            self._pins[snapshot_id] -= 1
            if not self._pins[snapshot_id]:
                del self._pins[snapshot_id]

    async def snapshot_origin(self, snapshot_id: str) -> Origin:
        """What a machine needs to begin from a snapshot, checked. Raises MachineError if it is damaged or unfit."""
        await self.snapshot_store.get(snapshot_id)
        snapshot = await asyncio.to_thread(files.read_snapshot, self.config.home, snapshot_id)
        # recipe and image may have changed since: what counts is the template that is still there
        offered = await asyncio.to_thread(offered_fit, snapshot.manifest.fit, self.hypervisor)
        template = await asyncio.to_thread(files.template_of, self.config.home, snapshot, offered)
        memory = await self._memory.get(template)
        return await asyncio.to_thread(snapshot_origin, snapshot, memory, template, self._fresh.get(snapshot_id))

    async def snapshots(self, sandbox_id: str | None = None) -> Sequence[SnapshotInfo]:
        """All snapshots, or those of one sandbox and those that it descends from; oldest first."""
        found = await self.snapshot_store.all()
        if sandbox_id is None:
            return found
        record = await self.store.get(sandbox_id)
        by_id = {info.id: info for info in found}
        line: set[str] = set()
        at = record.snapshot
        while at is not None and at in by_id and at not in line:
            line.add(at)
            at = by_id[at].parent
        return [info for info in found if info.sandbox == sandbox_id or info.id in line]

    async def get_snapshot(self, snapshot_id: str) -> SnapshotInfo:
        """One snapshot, or NotFoundError."""
        return await self.snapshot_store.get(snapshot_id)

    async def change_snapshot(
        self,
        snapshot_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> SnapshotInfo:
        """Name, describe, tag; what is None stays. One that a paused sandbox rests on is kept from then on."""
        return await self.snapshot_store.change(snapshot_id, name=name, description=description, tags=tags)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot. ConflictError while a paused sandbox rests on it, or something is being made from it."""
        if self._pins[snapshot_id]:
            raise ConflictError(
                f"snapshot {snapshot_id} is in use: a sandbox is being made from it, or brought back to it",
                hint="wait until that is done",
            )
        # who pins it from here on finds it gone: both pass through the thread that writes
        await self.snapshot_store.remove(snapshot_id)
        await asyncio.to_thread(files.remove, self.config.home, snapshot_id)

    async def _forget_pause(self, snapshot_id: str | None) -> None:
        """Remove the snapshot of a pause that is over: nobody asked for it by name."""
        if snapshot_id is None:
            return
        with contextlib.suppress(NotFoundError, ConflictError):
            info = await self.snapshot_store.get(snapshot_id)
            if info.kind == "pause" and info.name is None:
                await self.delete_snapshot(snapshot_id)

    async def tidy_snapshots(self) -> None:
        """At start: bring records and files into agreement after a server that was killed."""
        home = self.config.home
        await asyncio.to_thread(files.remove_leftovers, home)
        on_disk = set(await asyncio.to_thread(lambda: list(files.found_ids(home))))
        resting = {record.snapshot for record in await self.store.all(SandboxState.PAUSED)}
        for info in await self.snapshot_store.all():
            # what a paused sandbox rests on is kept as it is: who resumes that is told what is wrong with it
            if info.id not in on_disk and info.id not in resting:
                log.warning("snapshot %s x its files are gone", info.id)
                await self.snapshot_store.forget(info.id)
        await self._forget_expendable(time.time())
        known = {info.id for info in await self.snapshot_store.all()}
        broken = set(await asyncio.to_thread(lambda: list(files.folders_without_manifest(home))))
        for snapshot_id in (on_disk | broken) - known:
            await asyncio.to_thread(files.remove, home, snapshot_id)  # nobody was told of it

    async def _forget_expendable(self, now: float) -> None:
        """Remove what the node made by itself and nobody needs any more (see `retention`)."""
        alive = (SandboxState.CREATING, SandboxState.RUNNING, SandboxState.PAUSED)
        standing = {record.snapshot for record in await self.store.all(*alive)}
        rules = Rules(self.config.keep_checkpoints, self.config.checkpoint_hours * 3600.0)
        for snapshot_id in expendable(await self.snapshot_store.all(), standing, now, rules):
            with contextlib.suppress(NotFoundError, ConflictError):
                await self.delete_snapshot(snapshot_id)
