"""Roll back, pause, resume: another machine under the same id.

Whatever ends a machine first makes sure that its successor can be brought to life: a sandbox is running, or paused at
a complete snapshot, at every moment, also for a server that starts after this one was killed, or after a power cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from desktop_sandbox.errors import ConflictError, MachineError, NotFoundError
from desktop_sandbox.node.booting import DiskOrigin, boot_up, disk_of
from desktop_sandbox.node.creating import Creating
from desktop_sandbox.node.facts import SandboxInfo, SandboxState
from desktop_sandbox.node.interface import NodeNews
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.saving import Saving
from desktop_sandbox.node.store import SandboxRecord
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.restore import Origin
from desktop_sandbox.snapshots.templates import offered_fit

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
                    live.leaving = True
                    # from here on it is paused at the snapshot: a server that starts now finds it so
                    try:
                        record = await self._move(sandbox_id, SandboxEvent.PAUSED, snapshot_id)
                    except BaseException:
                        await asyncio.shield(self._as_noted(live))
                        raise
                    fault_point("rollback.noted")
                    await asyncio.shield(self._put_away(live))
                    fault_point("rollback.ended")
                    expires_at = record.expires_at
                else:
                    await self._find_room(returning=True)
                    expires_at = self._new_expiry(record, None)
                with contextlib.ExitStack() as counted:
                    self._count_one_more(counted)
                    try:
                        record = await self._bring_back(replace(record, snapshot=snapshot_id), origin, expires_at)
                    except BaseException:
                        if live is not None:
                            self.tell(sandbox_id, NodeNews.PAUSED)
                        raise
            if info.resolution != record.resolution:
                record = await self.store.set_resolution(sandbox_id, *info.resolution)
        await self._forget_pause(left)
        return record.info()

    async def pause(self, sandbox_id: str) -> SandboxInfo:
        """Put a sandbox away: to disk, no process left. Once more does nothing.

        Raises SnapshotMismatchError where its memory could not be brought back; it then runs on.
        """
        return await self._put_to_disk(sandbox_id)

    async def _put_to_disk(self, sandbox_id: str, *, due: float | None = None) -> SandboxInfo:
        """`due`: because its time was over then; also where it could be started from its disk only, since else it were
        ended; nothing where it was given more time meanwhile."""
        async with self._end_lock(sandbox_id):
            record = await self.store.get(sandbox_id)
            if due is not None and record.expires_at != due:
                return record.info()
            if record.state is SandboxState.PAUSED:
                return (await self.store.keep_away(sandbox_id) if record.put_away else record).info()
            live = self._live.get(sandbox_id)
            if live is None:
                raise ConflictError(f"{sandbox_id} is {record.state}", hint="only what runs can be paused")
            if due is None:
                await asyncio.to_thread(self._check_returns, live)
            return await self._pause(live)

    async def pause_idle(self, sandbox_id: str, because: str) -> bool:
        """Put one away that stands still, for the node's own sake; False if it does not any more."""
        async with self._end_lock(sandbox_id):
            live = self._live.get(sandbox_id)
            if live is not None:
                await asyncio.to_thread(self._check_returns, live)
            if live is None or not live.frozen or live.busy or sandbox_id in self._watched:
                return False
            live.leaving = True
            await self._pause(live, {"because": because})
        return True

    async def _pause(self, live: LiveSandbox, said: Mapping[str, object] | None = None) -> SandboxInfo:
        """Save and end its machine; `said`: by itself, and why. The caller holds its lock."""
        sandbox_id = live.machine.id
        try:
            info, _ = await self._save(live, "pause", go_on=False)
            record = await self._move(sandbox_id, SandboxEvent.PAUSED, info.id, said, put_away=said is not None)
        except BaseException:
            await asyncio.shield(self._as_noted(live))
            raise
        fault_point("pause.noted")
        await asyncio.shield(self._put_away(live))
        fault_point("pause.ended")
        self.tell(sandbox_id, NodeNews.PAUSED)
        log.info("%s = paused at %s%s", sandbox_id, info.id, f": {said['because']}" if said else "")
        return record.info()

    async def _as_noted(self, live: LiveSandbox) -> None:
        """Whether a pause that broke off was noted decides what becomes of the machine."""
        live.leaving = False  # unless it turns out to go
        record = await self.store.get(live.machine.id, settled=True)
        if record.state is SandboxState.PAUSED:
            await self._put_away(live)
        elif not live.frozen:  # else nothing was done to it
            await live.go_on()  # it is not paused: nobody would find it standing still

    async def resume(self, sandbox_id: str, timeout_s: float | None = None, *, from_disk: bool = False) -> SandboxInfo:
        """Bring a paused sandbox back, for `timeout_s` (None: as long as it was made for); a running one stays.

        `from_disk`: boot it from its disk; what it had in memory stays in its snapshot, and is not brought back.
        """
        async with self._end_lock(sandbox_id):
            record = await self.store.get(sandbox_id)
            if record.state is not SandboxState.PAUSED:
                if sandbox_id not in self._live:
                    raise ConflictError(f"{sandbox_id} is {record.state}", hint="only what is paused can be resumed")
                return record.info()
            if record.snapshot is None:
                raise MachineError(f"{sandbox_id} is paused, but at no snapshot", hint="kill it")
            await self._find_room(returning=True)
            expires_at, at = self._new_expiry(record, timeout_s), record.snapshot
            if record.put_away and timeout_s is None:
                expires_at = record.expires_at  # its time went on
            with contextlib.ExitStack() as counted:
                self._count_one_more(counted)
                record = await self._back(record, at, expires_at, from_disk=from_disk)
        if not from_disk:  # else it is the only place where its memory is, as long as it goes on from there
            await self._forget_pause(record.snapshot)
        return (await self.store.get(sandbox_id)).info()

    async def _back(
        self, record: SandboxRecord, snapshot_id: str, expires_at: float | None, *, from_disk: bool
    ) -> SandboxRecord:
        async with self._using(snapshot_id):
            if from_disk:
                return await self._boot_back(record, snapshot_id, expires_at)
            origin = await self._pause_origin(record, snapshot_id)
            return await self._bring_back(record, origin, expires_at)

    async def _pause_origin(self, record: SandboxRecord, snapshot_id: str) -> Origin:
        """What it goes on from. Where that cannot be brought back, the error and `why` say what is left to do."""
        try:
            return await self.snapshot_origin(snapshot_id)
        except NotFoundError as error:
            raise await self._not_resumed(record, snapshot_id, _gone(error)) from error
        except MachineError as error:
            error.hint = (
                f"its disk may be whole: desktop-sandbox resume --from-disk {record.id} boots it from there;"
                " what it had in memory is not brought back"
            )
            raise await self._not_resumed(record, snapshot_id, error) from None

    async def _not_resumed(self, record: SandboxRecord, snapshot_id: str, error: MachineError) -> MachineError:
        because = {"because": error.message, "hint": error.hint, "snapshot": snapshot_id}
        await self.store.note(record.id, "not-resumed", because, now=time.time())
        return error

    async def _boot_back(self, record: SandboxRecord, snapshot_id: str, expires_at: float | None) -> SandboxRecord:
        """A paused sandbox's machine, booted from its disk. Whatever fails here leaves it paused."""
        home = self.config.home
        try:
            snapshot, template, image = await asyncio.to_thread(disk_of, home, snapshot_id)
        except NotFoundError as error:
            raise await self._not_resumed(record, snapshot_id, _gone(error)) from error
        ready = self.shop.ready_conditions(template.manifest.recipe)
        origin = DiskOrigin(snapshot, template, image, await self._memory.get(template), ready)

        def start(directory: Path, uid: int, tap: int | None) -> Awaitable[LiveSandbox]:
            return boot_up(origin, self.hypervisor, record.id, directory, uid, record.resolution, tap=tap)

        async def boot() -> LiveSandbox:
            live = await self._wired(record.id, self._policy_of(record.spec), start)
            live.origin = template.directory.name
            return live

        fit = snapshot.manifest.fit
        differences = await asyncio.to_thread(lambda: fit.differences(offered_fit(fit, self.hypervisor)))
        said = {"from_disk": True, "because": "; ".join(differences) or "it was asked for"}
        log.info("%s = booting from its disk: %s", record.id, said["because"])
        return await self._make_live(record, boot, expires_at, said)

    def _new_expiry(self, record: SandboxRecord, timeout_s: float | None) -> float | None:
        """When it expires that begins to live again now: in `timeout_s`, or in as long as it was made for."""
        lives_s = timeout_s if timeout_s is not None else record.spec.get("timeout_s")
        return None if lives_s is None else time.time() + float(lives_s)

    async def _bring_back(self, record: SandboxRecord, origin: Origin, expires_at: float | None) -> SandboxRecord:
        """A paused sandbox's machine from its snapshot. Whatever fails here leaves it paused."""
        return await self._make_live(
            record, lambda: self._start(record.id, origin, None, self._policy_of(record.spec)), expires_at
        )

    async def _make_live(
        self,
        record: SandboxRecord,
        start: Callable[[], Awaitable[LiveSandbox]],
        expires_at: float | None,
        said: Mapping[str, object] | None = None,
    ) -> SandboxRecord:
        """Start a paused sandbox's machine and note that it runs; `said` stands in that event."""
        live = await start()
        try:
            identity = live.machine.process.identity
            await self.store.set_process(record.id, identity.pid, identity.start_time, str(live.machine.directory))
            await self.store.set_expiry(record.id, expires_at)
            fault_point("resume.made")
            moved = await self._move(record.id, SandboxEvent.RESUMED, record.snapshot, said)
        except BaseException:
            await asyncio.shield(self._stay_paused(live, record.snapshot))
            raise
        fault_point("resume.noted")
        self._adopt(live)
        self.tell(record.id, NodeNews.BACK)
        log.info("%s = running again, from %s, pid %d", record.id, record.snapshot, identity.pid)
        return moved

    async def _stay_paused(self, live: LiveSandbox, snapshot: str | None) -> None:
        await self._put_away(live)
        if (await self.store.get(live.machine.id, settled=True)).state is SandboxState.RUNNING:
            await self._move(live.machine.id, SandboxEvent.PAUSED, snapshot)

    async def _move(
        self,
        sandbox_id: str,
        event: SandboxEvent,
        snapshot: str | None,
        said: Mapping[str, object] | None = None,
        *,
        put_away: bool = False,
    ) -> SandboxRecord:
        """Durably: after a power cut no machine is left, and the record alone says where the sandbox stands."""
        return await self.store.move(
            sandbox_id,
            event,
            now=time.time(),
            data={"snapshot": snapshot, **(said or {})},
            snapshot=snapshot,
            spec={"put_away": put_away},
            durable=True,
        )


def _gone(error: NotFoundError) -> MachineError:
    return MachineError(error.message, hint="nothing of it can be brought back: kill it")
