"""What a node does when it starts: adopt machines that run, end those nobody owns, clean up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.guest import Identity
from desktop_sandbox.microvm.host import boot_id
from desktop_sandbox.microvm.machine import Hypervisor, Machine, read_record
from desktop_sandbox.microvm.process import ProcessId
from desktop_sandbox.node.birth import clear
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.store import SandboxRecord, Store

log = logging.getLogger("desktop_sandbox.node")

_ANSWER_S = 60.0
_AT_ONCE = 8


async def recover(store: Store, home: Path, hypervisor: Hypervisor) -> list[LiveSandbox]:
    """Bring records, directories and processes into agreement. Returns the sandboxes that go on."""
    running: list[SandboxRecord] = []
    for record in await store.all(SandboxState.CREATING, SandboxState.RUNNING, SandboxState.KILLING):
        if record.state is SandboxState.RUNNING:
            running.append(record)
        else:
            reason = "the server ended while it was being created"
            if record.state is SandboxState.KILLING:
                reason = record.reason or "killed"
            await store.move(record.id, SandboxEvent.DIED, now=time.time(), reason=reason)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def adopt(record: SandboxRecord) -> LiveSandbox | None:
        async with slots:
            return await _adopt(store, record, home / "sandboxes" / record.id)

    async with asyncio.TaskGroup() as tasks:
        adopting = [tasks.create_task(adopt(record)) for record in running]
    adopted = [live for task in adopting if (live := task.result()) is not None]
    keep = {live.machine.id for live in adopted}
    end_orphans(hypervisor, keep)
    _remove_leftovers(hypervisor, {record.id for record in await store.all()}, home / "sandboxes", keep)
    return adopted


async def _adopt(store: Store, record: SandboxRecord, directory: Path) -> LiveSandbox | None:
    """The machine of a record as a sandbox, or None: then that one is dead and says why, and the server starts."""
    try:
        live = await _take_over(record, directory)
    except (MachineError, OSError) as error:
        said = error.message if isinstance(error, MachineError) else f"{type(error).__name__}: {error}"
        what = "the next server could not take it over" if _runs(directory) else "ended while no server ran"
        await store.move(record.id, SandboxEvent.DIED, now=time.time(), reason=f"{what}: {said}")
        log.warning("%s x not adopted: %s", record.id, said)
        return None
    log.info("%s = running, adopted, pid %d", record.id, live.machine.process.pid)
    return live


async def _take_over(record: SandboxRecord, directory: Path) -> LiveSandbox:
    """MachineError, or an OSError where it ends meanwhile or this user may not look into it; nothing is held then."""
    machine = await Machine.adopt(directory, _ANSWER_S)
    try:
        live = LiveSandbox(machine, {})
    except BaseException:
        await asyncio.shield(machine.detach())
        raise
    found = read_record(directory) or {}
    live.uid = int(found["uid"]) if "uid" in found else None
    live.origin = str(found.get("origin", ""))
    # the server may have ended in the middle of a checkpoint, or of a fork, or it was frozen then
    live.wakes_as = Identity.new(record.id)
    with contextlib.suppress(MachineError):
        await machine.resume()
    return live


def _runs(directory: Path) -> bool:
    """Whether the process of a machine's record is there."""
    try:
        identity = ProcessId(**(read_record(directory) or {})["process"])
    except (KeyError, TypeError):
        return False
    return identity.boot == boot_id() and identity.alive()


def end_orphans(hypervisor: Hypervisor, keep: set[str]) -> None:
    """End machines of this HOME in the process table that no sandbox owns; return when they are gone."""
    prefix = hypervisor.process_name("")
    ended: dict[int, str] = {}
    for pid, machine_id in find_processes(prefix):
        if machine_id not in keep and not _builder_runs(machine_id):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended[pid] = machine_id
                log.warning("%s x ended: no sandbox owns it (pid %d)", machine_id, pid)
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in ended) and time.monotonic() < deadline:
        time.sleep(0.01)
    for machine_id in ended.values():
        hypervisor.cgroup.remove(machine_id)


def _builder_runs(machine_id: str) -> bool:
    """Template builds of other processes (tests, the command line) go on; their names carry the builder's pid."""
    parts = machine_id.split("-")
    return parts[0] == "build" and parts[-1].isdigit() and os.path.exists(f"/proc/{parts[-1]}")


def find_processes(prefix: str) -> Iterator[tuple[int, str]]:
    """(pid, machine id) of all QEMU processes whose name begins with `prefix`; their jails' outer processes as well."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        for argument in arguments:
            if argument.startswith(b"guest=" + prefix.encode()):
                name = argument.split(b",", 1)[0].removeprefix(b"guest=").decode(errors="replace")
                yield int(entry.name), name.removeprefix(prefix)
                break


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def _remove_leftovers(hypervisor: Hypervisor, known: set[str], root: Path, keep: set[str]) -> None:
    """Directories without a record go whole; those of sandboxes that do not run keep their logs."""
    for directory in root.iterdir():
        if directory.name not in known:
            shutil.rmtree(directory, ignore_errors=True)
        elif directory.name not in keep:
            clear(hypervisor, directory.name, directory)
