"""Bring a sandbox to life from a template: the steps that `LocalNode.create` waits for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from desktop_sandbox.errors import ChannelError, DesktopSandboxError, MachineError
from desktop_sandbox.microvm.channel_errors import first_leaf
from desktop_sandbox.microvm.guest import Identity
from desktop_sandbox.microvm.machine import Hypervisor, Machine, tail
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.snapshots.restore import load_state, start_child
from desktop_sandbox.snapshots.templates import Template
from desktop_sandbox.snapshots.timings import mark

_END_S = 0.5


async def bring_up(
    template: Template,
    memory_fd: int,
    hypervisor: Hypervisor,
    sandbox_id: str,
    directory: Path,
    uid: int,
    size: tuple[int, int] | None,
) -> LiveSandbox:
    """A running sandbox in `directory` (made already), at the asked screen size, as a machine of its own.

    Raises MachineError and others with the console's end as evidence; then no process is left.
    """
    machine = await start_child(template, memory_fd, hypervisor, sandbox_id, directory, uid=uid)
    mark("start")
    live = None
    try:
        live = LiveSandbox(machine, template.manifest.display)
        live.uid = uid
        mark("screen")
        # the agent's ports are connected before the devices learn where they were: see snapshots/build.py
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(live.guest())
            await load_state(machine, template)
            mark("load")
            await machine.resume()
            mark("resume")
        mark("hello")
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
