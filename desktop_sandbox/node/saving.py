"""Save a running sandbox as a snapshot: the machine's moment, the files, the record, its place in the tree."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from desktop_sandbox.errors import CapacityError, ConflictError, MachineError, NotFoundError, SnapshotMismatchError
from desktop_sandbox.node.capacity import check_room, read_figures
from desktop_sandbox.node.facts import SnapshotInfo
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.store import SandboxRecord
from desktop_sandbox.node.upkeep import Upkeep
from desktop_sandbox.snapshots import snapshot as files
from desktop_sandbox.snapshots.checkpoint import capture, make_room, pages_expected
from desktop_sandbox.snapshots.delta import Delta, only_changed
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.restore import OVERLAY
from desktop_sandbox.snapshots.templates import Template, find_templates, offered_fit

log = logging.getLogger("desktop_sandbox.node")

_PAGES_IN_MIB = 256


class Saving(Upkeep):
    """The part of a node that writes snapshots."""

    async def checkpoint(
        self, sandbox_id: str, *, name: str | None = None, description: str = "", tags: Sequence[str] = ()
    ) -> SnapshotInfo:
        """Save a running sandbox as it is; it goes on after some tens of milliseconds."""
        live = await self.live(sandbox_id)
        info, _ = await self._save(live, "checkpoint", name=name, description=description, tags=tags)
        return info

    async def _save(
        self,
        live: LiveSandbox,
        kind: str,
        *,
        go_on: bool = True,
        name: str | None = None,
        description: str = "",
        tags: Sequence[str] = (),
        captured: Callable[[Delta], None] | None = None,
    ) -> tuple[SnapshotInfo, Delta]:
        """One snapshot of a sandbox at a time, and few at once: each holds the sandbox's memory for a while.

        `captured` is given that memory as soon as the sandbox goes on, before it is written.
        """
        async with live.saving, self._saves:
            sandbox_id = live.machine.id
            record = await self.store.get(sandbox_id)
            live.check_writes()
            snapshot, delta = await self._write(live, go_on=go_on, told=captured)
            info = await self._recorded(snapshot, record, kind, name=name, description=description, tags=tags)
            fault_point("save.recorded")
            # a sandbox that was rolled back or paused meanwhile does not stand here
            if go_on and self._live.get(sandbox_id) is live:
                await self.store.advance(sandbox_id, record.snapshot, info.id)
            said = {"snapshot": info.id, "name": name, "stopped_ms": info.stopped_ms}
            with contextlib.suppress(NotFoundError):  # killed meanwhile: the snapshot is there all the same
                await self.store.note(sandbox_id, kind, said, now=time.time())
            log.info("%s = %s %s, stopped for %.0f ms", sandbox_id, kind, info.id, info.stopped_ms)
            return info, delta

    async def _recorded(
        self,
        snapshot: files.Snapshot,
        record: SandboxRecord,
        kind: str,
        *,
        name: str | None,
        description: str,
        tags: Sequence[str],
    ) -> SnapshotInfo:
        """The record of a snapshot whose files are there; where it cannot be written these go, too."""
        manifest = snapshot.manifest
        try:
            info = SnapshotInfo(
                id=manifest.id,
                name=name,
                sandbox=record.id,
                parent=record.snapshot,
                template=record.template,
                kind=kind,
                created_at=manifest.created_at,
                size_bytes=await asyncio.to_thread(snapshot.size_bytes),
                resolution=manifest.resolution,
                quiesced=manifest.quiesced,
                stopped_ms=manifest.stopped_ms,
                description=description,
                tags=tuple(tags),
            )
            await self.snapshot_store.add(info)
        except Exception:
            # not when cancelled: the record may come to be written yet, and the next start removes what has none
            await asyncio.to_thread(files.remove, self.config.home, manifest.id)
            raise
        return info

    async def _write(
        self, live: LiveSandbox, *, go_on: bool, told: Callable[[Delta], None] | None = None
    ) -> tuple[files.Snapshot, Delta]:
        """The files of a snapshot. Raises MachineError and others; then there are none, and the machine goes on."""
        template = self._template_below(live)
        booted = files.booted_fit(live.machine.directory)
        size = await live.size()
        try:
            work = files.new_directory(self.config.home, f"ss-{secrets.token_hex(8)}")
        except OSError as error:
            raise _unwritable(error) from error
        try:
            room = await self._make_room(live, work)
            async with contextlib.AsyncExitStack() as still:
                quiesced = await still.enter_async_context(live.quiet(for_good=not go_on))
                fault_point("save.quiet")
                captured = await capture(live.machine, live.machine.directory / OVERLAY, work, room, go_on=go_on)
                fault_point("save.captured")
                if go_on:
                    await still.aclose()
                captured = replace(captured, delta=await self._only_changed(captured.delta, template))
                if told is not None:
                    told(captured.delta)
                snapshot = await asyncio.to_thread(
                    files.complete,
                    work,
                    captured,
                    template,
                    now=time.time(),
                    resolution=size,
                    display=live.display,
                    quiesced=quiesced,
                    booted=booted,
                )
        except BaseException as error:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
            if isinstance(error, OSError):
                raise _unwritable(error) from error
            raise
        return snapshot, captured.delta

    async def _only_changed(self, delta: Delta, template: Template) -> Delta:
        """Without what is as in the template, if its memory is at hand: loading that would cost more."""
        memory_fd = self._memory.at_hand(template)
        if memory_fd is None:
            return delta
        mine = os.fdopen(os.dup(memory_fd), "rb", buffering=0)  # closed in any case, should the thread never run

        def compare() -> Delta:
            with mine:
                return only_changed(delta, mine.fileno())

        return await asyncio.to_thread(compare)

    async def _make_room(self, live: LiveSandbox, work: Path) -> memoryview:
        """Room for the machine's pages: in memory, or in a file where memory is short (it then stands still longer)."""
        pages = await asyncio.to_thread(pages_expected, live.machine)
        figures = read_figures(self.config.home, 0)
        needed = pages // _PAGES_IN_MIB
        try:
            check_room(self.limits, figures, memory_mib=needed, disk_mib=needed)
        except CapacityError as error:
            if error.evidence.get("short") == "disk":
                raise
            log.info("%s = saved through a file: %s", live.machine.id, error.message)
            return await asyncio.to_thread(make_room, pages, work)
        return await asyncio.to_thread(make_room, pages)

    def _check_returns(self, live: LiveSandbox) -> None:
        """(Blocking.) Raise SnapshotMismatchError where what is saved of a machine could not be restored here.

        It was started before QEMU, or this program, was another one. It runs on as it is; but put away it were gone.
        """
        fit = files.booted_fit(live.machine.directory) or self._template_below(live).manifest.fit
        differences = fit.differences(offered_fit(fit, self.hypervisor))
        if differences:
            raise SnapshotMismatchError(
                f"{live.machine.id} could not be resumed here: {'; '.join(differences)}",
                hint="it was started under another QEMU or version: let it run, or save its files and kill it",
            )

    def _template_below(self, live: LiveSandbox) -> Template:
        for template in find_templates(self.config.home):
            if template.directory.name == live.origin:
                return template
        raise ConflictError(
            f"the template below {live.machine.id} is gone ({live.origin or 'not noted'})",
            hint="it was removed while this sandbox ran; it cannot be saved any more",
        )


def _unwritable(error: OSError) -> MachineError:
    return MachineError(f"the snapshot cannot be written: {error}", hint="is the disk full?")
