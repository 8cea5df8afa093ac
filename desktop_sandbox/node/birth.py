"""Bring a sandbox to life from a template or a snapshot: the steps that `LocalNode.create` waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from pathlib import Path

from desktop_sandbox.errors import ChannelError, DesktopSandboxError, MachineError
from desktop_sandbox.microvm.channel_errors import first_leaf
from desktop_sandbox.microvm.command_line import PORTS
from desktop_sandbox.microvm.guest import Identity
from desktop_sandbox.microvm.machine import RECORD, Hypervisor, Machine, forget_directory, tail
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.snapshots.below import BELOW
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.restore import OVERLAY, Origin, load_state, start_child
from desktop_sandbox.snapshots.snapshot import BOOTED
from desktop_sandbox.snapshots.timings import mark

log = logging.getLogger("desktop_sandbox.node")

_END_S = 0.5


async def bring_up(
    origin: Origin,
    hypervisor: Hypervisor,
    sandbox_id: str,
    directory: Path,
    uid: int,
    size: tuple[int, int] | None,
    *,
    asleep: bool = False,
    tap: int | None = None,
) -> LiveSandbox:
    """A running sandbox in `directory` (made here, if need be), at the asked screen size, as a machine of its own.

    `asleep`: it has answered, and then stands still; the first call wakes it as a machine of its own. `tap`: the other
    end of its network card's wire, which stays the caller's.

    A machine that ends while it is restored is started once more: nobody has used it yet. Raises MachineError and
    others with the ends of console and QEMU's log as evidence; then no process is left.
    """
    step = (origin, hypervisor, sandbox_id, directory, uid, size)
    try:
        try:
            return await _bring_up(*step, asleep=asleep, tap=tap)
        except MachineError as error:
            log.warning("%s x started again: %s %s", sandbox_id, error.message, error.evidence.get("qemu", ""))
            clear(hypervisor, sandbox_id, directory)
            return await _bring_up(*step, asleep=asleep, tap=tap)
    except BaseException:
        clear(hypervisor, sandbox_id, directory)  # lest what is left is in the way of the next try
        raise


def clear(hypervisor: Hypervisor, sandbox_id: str, directory: Path) -> None:
    """Remove what a machine that has ended leaves in its folder, but for its logs."""
    forget_directory(directory)
    hypervisor.cgroup.remove(sandbox_id)
    for name in (OVERLAY, RECORD, BOOTED, BELOW, "qmp", *PORTS):
        with contextlib.suppress(OSError):
            (directory / name).unlink()


async def _bring_up(
    origin: Origin,
    hypervisor: Hypervisor,
    sandbox_id: str,
    directory: Path,
    uid: int,
    size: tuple[int, int] | None,
    *,
    asleep: bool = False,
    tap: int | None = None,
) -> LiveSandbox:
    os.makedirs(directory, 0o700, exist_ok=True)
    machine = await start_child(origin, hypervisor, sandbox_id, directory, uid=uid, tap=tap)
    mark("start")
    fault_point("create.started")
    live = None
    try:
        live = LiveSandbox(machine, origin.display)
        live.uid = uid
        mark("screen")
        # the agent's ports are connected before the devices learn where they were: see snapshots/build.py
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(live.guest())
            await load_state(machine, origin)
            mark("load")
            await machine.resume()
            live.runs_since = time.monotonic()
            mark("resume")
        mark("hello")
        if asleep:
            await live.sleep(Identity.new(sandbox_id))
            mark("asleep")
        else:
            await live.become(Identity.new(sandbox_id), size)
    except BaseException as error:
        cause = first_leaf(error)
        if isinstance(cause, ChannelError) and await _has_ended(machine):
            cause = MachineError("the machine ended while its template was loaded", hint="its log says why")
        if isinstance(cause, DesktopSandboxError):
            cause.evidence.setdefault("serial", machine.serial_tail())
            cause.evidence.setdefault("qemu", tail(directory / "qemu.log", 2000))
        await asyncio.shield(live.kill() if live else machine.kill())
        raise cause from None
    return live


async def _has_ended(machine: Machine) -> bool:
    """Whether the process behind a broken connection is gone, or is about to be."""
    try:
        await asyncio.wait_for(machine.process.wait(), _END_S)
    except TimeoutError:
        return False
    return True
