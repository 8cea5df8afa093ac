"""What a node does when it starts: adopt machines that run, end those nobody owns, clean up."""

from __future__ import annotations

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
from desktop_sandbox.microvm.machine import Hypervisor, Machine, read_record
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.store import SandboxRecord, Store

log = logging.getLogger("desktop_sandbox.node")


async def recover(store: Store, home: Path, hypervisor: Hypervisor) -> list[LiveSandbox]:
    """Bring records, directories and processes into agreement. Returns the sandboxes that go on."""
    adopted: list[LiveSandbox] = []
    for record in await store.all(SandboxState.CREATING, SandboxState.RUNNING, SandboxState.KILLING):
        directory = home / "sandboxes" / record.id
        if record.state is SandboxState.RUNNING:
            live = await _adopt(store, record, directory)
            if live is not None:
                adopted.append(live)
        else:
            reason = "the server ended while it was being created"
            if record.state is SandboxState.KILLING:
                reason = record.reason or "killed"
            await store.move(record.id, SandboxEvent.DIED, now=time.time(), reason=reason)
    keep = {live.machine.id for live in adopted}
    end_orphans(hypervisor, keep)
    _remove_leftovers({record.id for record in await store.all()}, home / "sandboxes", keep)
    return adopted


async def _adopt(store: Store, record: SandboxRecord, directory: Path) -> LiveSandbox | None:
    try:
        machine = await Machine.adopt(directory)
    except MachineError as error:
        await store.move(
            record.id, SandboxEvent.DIED, now=time.time(), reason=f"ended while no server ran: {error.message}"
        )
        log.warning("%s x not adopted: %s", record.id, error.message)
        return None
    live = LiveSandbox(machine, {})
    found = read_record(directory) or {}
    live.uid = int(found["uid"]) if "uid" in found else None
    live.origin = str(found.get("origin", ""))
    # the server may have ended in the middle of a checkpoint, or of a fork, or it was frozen then
    live.wakes_as = Identity.new(record.id)
    with contextlib.suppress(MachineError):
        await machine.resume()
    log.info("%s = running, adopted, pid %d", record.id, machine.process.pid)
    return live


def end_orphans(hypervisor: Hypervisor, keep: set[str]) -> None:
    """End machines of this HOME in the process table that no sandbox owns; return when they are gone."""
    prefix = hypervisor.process_name("")
    ended: list[int] = []
    for pid, machine_id in find_processes(prefix):
        if machine_id not in keep and not _builder_runs(machine_id):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended.append(pid)
                log.warning("%s x ended: no sandbox owns it (pid %d)", machine_id, pid)
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in ended) and time.monotonic() < deadline:
        time.sleep(0.01)


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


def _remove_leftovers(known: set[str], root: Path, keep: set[str]) -> None:
    """Directories without a record go whole; those of dead sandboxes keep their logs."""
    for directory in root.iterdir():
        if directory.name not in known:
            shutil.rmtree(directory, ignore_errors=True)
        elif directory.name not in keep:
            for name in ("overlay.qcow2", "qmp", "control", "bulk", "input"):
                (directory / name).unlink(missing_ok=True)
