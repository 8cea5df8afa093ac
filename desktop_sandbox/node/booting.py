"""Start a sandbox from its disk alone: where its memory cannot be brought back, it boots anew. Never by itself.

Its guest RAM is its template's, mapped copy-on-write like any child's: to a kernel that boots it is memory with old
things in it, and what the machine then writes is its own. So whatever follows (checkpoint, fork, pause) is as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.errors import DesktopSandboxError, MachineError, SnapshotMismatchError
from desktop_sandbox.microvm.channel_errors import first_leaf
from desktop_sandbox.microvm.command_line import Boot, kernel_arguments
from desktop_sandbox.microvm.guest import Identity
from desktop_sandbox.microvm.host import tsc_khz
from desktop_sandbox.microvm.machine import Hypervisor, Machine, tail
from desktop_sandbox.node.birth import clear
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.snapshots import snapshot as files
from desktop_sandbox.snapshots.checkpoint import copy_file
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.restore import OVERLAY
from desktop_sandbox.snapshots.templates import Template, image_of, offered_fit
from guest_image.builder import Image
from guest_image.builder import kernel_arguments as image_arguments
from guest_image.recipe import Condition

log = logging.getLogger("desktop_sandbox.node")

BOOT_S = 180.0
READY_S = 120.0


@dataclass(frozen=True)
class DiskOrigin:
    """What a sandbox boots from: a snapshot's disk over its template's, and the template's memory as a ground."""

    snapshot: files.Snapshot
    template: Template
    image: Image
    memory_fd: int
    ready: Sequence[Condition]


def disk_of(home: Path, snapshot_id: str) -> tuple[files.Snapshot, Template, Image]:
    """The disk of a snapshot with all that lies below it, checked (blocking). MachineError where it is not whole."""
    snapshot = files.read_snapshot(home, snapshot_id)
    snapshot.check_disk()
    template = files.template_named(home, snapshot)
    image = image_of(home, template)
    if image is None:
        raise SnapshotMismatchError(
            f"the image below snapshot {snapshot_id} is gone ({template.image.parent.name})",
            hint="build its recipe as it was then, or start a new sandbox",
        )
    return snapshot, template, image


async def boot_up(
    origin: DiskOrigin,
    hypervisor: Hypervisor,
    sandbox_id: str,
    directory: Path,
    uid: int,
    size: tuple[int, int],
    *,
    tap: int | None = None,
) -> LiveSandbox:
    """A booted sandbox in `directory`, at this screen size, as the machine it was; twice tried. `tap`: as of `bring_up`

    Raises MachineError and others with the console's end as evidence; then no process is left.
    """
    step = (origin, hypervisor, sandbox_id, directory, uid, size, tap)
    clear(hypervisor, sandbox_id, directory)
    try:
        try:
            return await _boot(*step)
        except MachineError as error:
            log.warning("%s x booted once more: %s", sandbox_id, error.message)
            clear(hypervisor, sandbox_id, directory)
            return await _boot(*step)
    except BaseException:
        clear(hypervisor, sandbox_id, directory)  # lest what is left is in the way of the next try
        raise


async def _boot(
    origin: DiskOrigin,
    hypervisor: Hypervisor,
    sandbox_id: str,
    directory: Path,
    uid: int,
    size: tuple[int, int],
    tap: int | None,
) -> LiveSandbox:
    os.makedirs(directory, 0o700, exist_ok=True)
    template, image = origin.template, origin.image
    await asyncio.to_thread(copy_file, origin.snapshot.disk, directory / OVERLAY)
    fault_point("boot.disk")
    files.note_booted(directory, offered_fit(template.manifest.fit, hypervisor))
    kvm = hypervisor.accelerator.kind == "kvm"
    arguments = " ".join((*kernel_arguments(tsc_khz(), kvm=kvm), *image_arguments()))
    machine = await Machine.start(
        hypervisor,
        sandbox_id,
        directory,
        template.manifest.shape,
        uid=uid,
        ram_fd=origin.memory_fd,
        disk=template.disk(directory / OVERLAY),
        boot=Boot(str(image.kernel), str(image.initrd), arguments, own_memory=False),
        origin=template.directory.name,
        tap=tap,
    )
    live = None
    try:
        await machine.resume()
        fault_point("boot.runs")
        live = LiveSandbox(machine, {})
        live.uid = uid
        live.runs_since = time.monotonic()
        await _answers(live)
        await live.become(Identity.new(sandbox_id), None)
        await _stands(live, origin.ready)
        await live.find_screen()
        if await live.size() != size:
            await live.set_size(*size)
    except BaseException as error:
        cause = first_leaf(error)
        if isinstance(cause, DesktopSandboxError):
            cause.evidence.setdefault("serial", machine.serial_tail())
            cause.evidence.setdefault("qemu", tail(directory / "qemu.log", 2000))
        await asyncio.shield(live.kill() if live else machine.kill())
        raise cause from None
    return live


async def _answers(live: LiveSandbox) -> None:
    """Wait until the agent does. MachineError where the machine ends before."""
    connecting = asyncio.ensure_future(live.guest(BOOT_S))
    died = asyncio.ensure_future(live.machine.process.wait())
    try:
        await asyncio.wait((connecting, died), return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            raise MachineError("QEMU ended while the guest booted", serial=live.machine.serial_tail())
        connecting.result()
    except DesktopSandboxError as error:
        raise MachineError(f"the guest did not come up from its disk: {error.message}") from error
    finally:
        for waiting in (connecting, died):
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError, DesktopSandboxError):
                await waiting


async def _stands(live: LiveSandbox, ready: Sequence[Condition]) -> None:
    """Wait for the desktop, as its recipe says; whoever changed it so that it never comes has it as it is."""
    try:
        guest = await live.guest()
        await guest.wait_for([condition.to_wire() for condition in ready], READY_S)
    except DesktopSandboxError as error:
        log.warning("%s = booted, but %s", live.machine.id, error.message)
