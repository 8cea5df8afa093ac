"""Roll back, pause, resume: another machine under the same id.

Whatever ends a machine first makes sure that its successor can be brought to life: a sandbox is running, or paused at
a complete snapshot, at every moment, also for a server that starts after this one was killed, or after a power cut.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from desktop_sandbox.errors import ConflictError, MachineError
from desktop_sandbox.node.creating import Creating
from desktop_sandbox.node.interface import NodeNews, SandboxInfo, SandboxState
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.saving import Saving
from desktop_sandbox.node.store import SandboxRecord
from desktop_sandbox.snapshots.restore import Origin

log = logging.getLogger("desktop_sandbox.node")


class Returning(Creating, Saving):
    """The part of a node that brings sandboxes back."""

    async def rollback(self, sandbox_id: str, snapshot_id: str) -> SandboxInfo:
        """The same sandbox, back at a snapshot; what it did since is gone."""
        async with self._using(snapshot_id) as info:
            origin = await self.snapshot_origin(snapshot_id)
            async with self._end_lock(sandbox_id):
                record = await self.store.get(sandbox_id)
                live = self._live.get(sandbox_id)
                if live is None and record.state is not SandboxState.PAUSED:
                    raise ConflictError(f"{sandbox_id} is {record.state}", hint="make a new one from the snapshot")
                if info.template != record.template:
                    raise ConflictError(
                        f"snapshot {snapshot_id} is of the template {info.template}, {sandbox_id} of {record.template}",
                        hint="make a new sandbox from the snapshot",
                    )
                left = record.snapshot
                if live is not None:
                    # from here on it is paused at the snapshot: a server that starts now finds it so
                    try:
                        record = await self._move(sandbox_id, SandboxEvent.PAUSED, snapshot_id)
                    except BaseException:
                        await asyncio.shield(self._as_noted(live))
                        raise
                    await asyncio.shield(self._put_away(live))
                    expires_at = record.expires_at
                else:
                    await self._find_room()
                    await self.store.set_snapshot(sandbox_id, snapshot_id)
                    expires_at = self._new_expiry(record, None)
                record = await self._bring_back(replace(record, snapshot=snapshot_id), origin, expires_at)
            if info.resolution != record.resolution:
                record = await self.store.set_resolution(sandbox_id, *info.resolution)
        await self._forget_pause(left)
        return record.info()

    async def pause(self, sandbox_id: str) -> SandboxInfo:
        """Put a sandbox away: to disk, no process left. Once more does nothing."""
        async with self._end_lock(sandbox_id):
            record = await self.store.get(sandbox_id)
            if record.state is SandboxState.PAUSED:
                return record.info()
            live = self._live.get(sandbox_id)
            if live is None:
                raise ConflictError(f"{sandbox_id} is {record.state}", hint="only what runs can be paused")
            try:
                info, _ = await self._save(live, "pause", go_on=False)
                record = await self._move(sandbox_id, SandboxEvent.PAUSED, info.id)
            except BaseException:
                await asyncio.shield(self._as_noted(live))
                raise
            await asyncio.shield(self._put_away(live))
        self.tell(sandbox_id, NodeNews.PAUSED)
        log.info("%s = paused at %s", sandbox_id, info.id)
        return record.info()

    async def _as_noted(self, live: LiveSandbox) -> None:
        """Whether a pause that broke off was noted decides what becomes of the machine."""
        record = await self.store.get(live.machine.id, settled=True)
        if record.state is SandboxState.PAUSED:
            await self._put_away(live)
        else:
            await live.go_on()  # it is not paused: nobody would find it standing still

    async def resume(self, sandbox_id: str, timeout_s: float | None = None) -> SandboxInfo:
        """Bring a paused sandbox back, for `timeout_s` (None: as long as it was made for); a running one stays."""
        async with self._end_lock(sandbox_id):
            record = await self.store.get(sandbox_id)
            if record.state is not SandboxState.PAUSED:
                if sandbox_id not in self._live:
                    raise ConflictError(f"{sandbox_id} is {record.state}", hint="only what is paused can be resumed")
                return record.info()
            if record.snapshot is None:
                raise MachineError(f"{sandbox_id} is paused, but at no snapshot", hint="kill it")
            await self._find_room()
            async with self._using(record.snapshot):
                origin = await self.snapshot_origin(record.snapshot)
                record = await self._bring_back(record, origin, self._new_expiry(record, timeout_s))
        await self._forget_pause(record.snapshot)
        return (await self.store.get(sandbox_id)).info()

    def _new_expiry(self, record: SandboxRecord, timeout_s: float | None) -> float | None:
        """When it expires that begins to live again now: in `timeout_s`, or in as long as it was made for."""
        lives_s = timeout_s if timeout_s is not None else record.spec.get("timeout_s")
        return None if lives_s is None else time.time() + float(lives_s)

    async def _bring_back(self, record: SandboxRecord, origin: Origin, expires_at: float | None) -> SandboxRecord:
        """A paused sandbox's machine from its snapshot. Whatever fails here leaves it paused."""
        self._creating += 1
        try:
            live = await self._start(record.id, origin, None)
        finally:
            self._creating -= 1
        try:
            identity = live.machine.process.identity
            await self.store.set_process(record.id, identity.pid, identity.start_time, str(live.machine.directory))
            await self.store.set_expiry(record.id, expires_at)
            moved = await self._move(record.id, SandboxEvent.RESUMED, record.snapshot)
        except BaseException:
            await asyncio.shield(self._stay_paused(live, record.snapshot))
            raise
        self._adopt(live)
        self.tell(record.id, NodeNews.BACK)
        log.info("%s = running again, from %s, pid %d", record.id, record.snapshot, identity.pid)
        return moved

    async def _stay_paused(self, live: LiveSandbox, snapshot: str | None) -> None:
        await self._put_away(live)
        if (await self.store.get(live.machine.id, settled=True)).state is SandboxState.RUNNING:
            await self._move(live.machine.id, SandboxEvent.PAUSED, snapshot)

    async def _move(self, sandbox_id: str, event: SandboxEvent, snapshot: str | None) -> SandboxRecord:
        """Durably: after a power cut no machine is left, and the record alone says where the sandbox stands."""
        return await self.store.move(
            sandbox_id, event, now=time.time(), data={"snapshot": snapshot}, snapshot=snapshot, durable=True
        )
