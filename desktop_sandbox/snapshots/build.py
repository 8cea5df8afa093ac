"""Make a template: boot the image, wait until its desktop is ready, warm it up, wait until it is quiet, save it.

A boot that hangs or crashes before the desktop is ready is tried again. An interrupted build leaves a `.building-`
directory that nothing takes for a template, and that the next start removes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

from desktop_sandbox.errors import DeadlineError, DesktopSandboxError, MachineError
from desktop_sandbox.microvm.channel import AgentChannel
from desktop_sandbox.microvm.command_line import Boot, MachineShape, kernel_arguments
from desktop_sandbox.microvm.guest import Guest, Identity
from desktop_sandbox.microvm.host import process_cpu_seconds, tsc_khz
from desktop_sandbox.microvm.jail import UIDS, first_uid
from desktop_sandbox.microvm.machine import Disk, Hypervisor, Machine, forget_directory
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.manifest import Manifest, Part
from desktop_sandbox.snapshots.progress import Report, Step
from desktop_sandbox.snapshots.templates import BUILDING, MANIFEST, Template, disk_digest, fsync_directory, wanted_fit
from guest_image.builder import Image
from guest_image.builder import kernel_arguments as image_arguments
from guest_image.recipe import Recipe, WarmUp

BOOT_ATTEMPTS = 3
BOOT_DEADLINE_S = 150.0
READY_DEADLINE_S = 240.0
QUIET_DEADLINE_S = 90.0
QUIET_CPU = 0.12
"""Share of one host core below which a machine counts as quiet; an idle desktop under emulation needs about half."""
_QUIET_WINDOWS = 3
# as long as a sandbox's: names are written in place, and a child then changes no file's size
TEMPLATE_HOSTNAME = "sb-template00000000"


async def build_template(home: Path, recipe: Recipe, image: Image, hypervisor: Hypervisor, report: Report) -> Template:
    """Boot `image` and save it as the template `recipe.name`. Raises MachineError with the guest's console."""
    root = home / "templates"
    root.mkdir(parents=True, exist_ok=True)
    work = root / f"{BUILDING}{recipe.name}-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    try:
        manifest = await _boot_and_save(work, recipe, image, hypervisor, report)
        report(Step("save", 0.97, "making it durable"))
        (work / MANIFEST).write_text(manifest.to_json())
        for name in ("command.txt", "serial.log", "qemu.log"):
            (work / name).rename(work / f"build-{name}")
        for name in ("qmp", "control", "bulk", "input", "machine.json"):
            (work / name).unlink(missing_ok=True)
        await asyncio.to_thread(_sync_all, work)
        target = root / f"{recipe.name}-{int(manifest.created_at * 1000)}"
        work.rename(target)
        fsync_directory(root)
    finally:
        forget_directory(work)
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
    report(Step("done", 1.0, f"template {recipe.name} is ready"))
    return Template(target, manifest, image.disk)


def _sync_all(directory: Path) -> None:
    for path in directory.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    fsync_directory(directory)


def make_overlay(path: Path, disk_bytes: int) -> None:
    """An empty qcow2 overlay. Its backing is named on QEMU's command line, never in the file."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(disk_bytes)],
        check=True,
        capture_output=True,
        timeout=60,
    )


async def _boot_and_save(work: Path, recipe: Recipe, image: Image, hypervisor: Hypervisor, report: Report) -> Manifest:
    fit = wanted_fit(recipe, hypervisor)
    disk_bytes = image.disk.stat().st_size
    await asyncio.to_thread(make_overlay, work / "empty.qcow2", disk_bytes)
    ram_fd = ram.new_ram(recipe.memory_mib * 1024**2)
    state_fd = os.open(work / "state.bin", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        async with booted(work, recipe, image, hypervisor, ram_fd, report) as (machine, guest):
            await warm_up(guest, recipe, report)
            await _rehearse(guest, report)
            idle_cpu = await _settle(machine, report)
            display = await guest.display()
            uptime_s = int((await guest.info())["uptime_ms"]) / 1000
            await guest.channel.open_ports()
            frozen = await guest.quiesce(freeze=True)
            # the ports stay connected: a child whose ports are connected, too, has no news of them to deal with
            await machine.stop()
            report(Step("save", 0.85, "saving memory and devices"))
            await machine.save(state_fd)
        # the process is gone: nobody can write to this memory any more
        ram_digest = await asyncio.to_thread(ram.save_ram, ram_fd, work / "ram.bin")
    finally:
        os.close(ram_fd)
        os.close(state_fd)
    (work / "overlay.qcow2").rename(work / "disk.qcow2")
    return Manifest(
        name=recipe.name,
        created_at=time.time(),
        fit=fit,
        ram=Part((work / "ram.bin").stat().st_size, ram_digest),
        state=Part((work / "state.bin").stat().st_size, disk_digest(work / "state.bin")),
        disk=Part((work / "disk.qcow2").stat().st_size, disk_digest(work / "disk.qcow2")),
        disk_bytes=disk_bytes,
        resolution=recipe.resolution,
        display=display,
        quiesced=frozen,
        idle_cpu=round(idle_cpu, 3),
        uptime_s=uptime_s,
    )


@contextlib.asynccontextmanager
async def booted(
    work: Path, recipe: Recipe, image: Image, hypervisor: Hypervisor, ram_fd: int, report: Report
) -> AsyncIterator[tuple[Machine, Guest]]:
    """A machine that has booted and whose desktop is ready; killed at the end. A boot that fails is tried again."""
    machine, channel = await _boot_with_retries(work, recipe, image, hypervisor, ram_fd, report)
    try:
        yield machine, Guest(channel)
    except DesktopSandboxError as error:
        error.evidence.setdefault("serial", machine.serial_tail())
        raise
    finally:
        await asyncio.shield(_end(hypervisor, machine, channel))


async def _end(hypervisor: Hypervisor, machine: Machine, channel: AgentChannel | None) -> None:
    if channel is not None:
        await channel.aclose()
    await machine.kill()
    hypervisor.cgroup.remove(machine.id)


async def _boot_with_retries(
    work: Path, recipe: Recipe, image: Image, hypervisor: Hypervisor, ram_fd: int, report: Report
) -> tuple[Machine, AgentChannel]:
    failures: list[str] = []
    for attempt in range(1, BOOT_ATTEMPTS + 1):
        _fresh(work, ram_fd, recipe)
        report(
            Step("boot", 0.05, f"booting ({hypervisor.accelerator.kind})" + (f", try {attempt}" if failures else ""))
        )
        try:
            return await _boot_once(work, recipe, image, hypervisor, ram_fd, report)
        except MachineError as error:
            failures.append(error.message)
            last = error
    raise MachineError(
        f"{recipe.name} did not boot in {BOOT_ATTEMPTS} tries: {'; '.join(failures)}",
        hint=f"the console's end: {last.evidence.get('serial', '')!s}",
        serial=last.evidence.get("serial"),
    )


def _fresh(work: Path, ram_fd: int, recipe: Recipe) -> None:
    os.ftruncate(ram_fd, 0)
    os.ftruncate(ram_fd, recipe.memory_mib * 1024**2)
    shutil.copyfile(work / "empty.qcow2", work / "overlay.qcow2")
    (work / "serial.log").unlink(missing_ok=True)


async def _boot_once(
    work: Path, recipe: Recipe, image: Image, hypervisor: Hypervisor, ram_fd: int, report: Report
) -> tuple[Machine, AgentChannel]:
    """MachineError where another boot may do better; then no process is left."""
    kvm = hypervisor.accelerator.kind == "kvm"
    arguments = " ".join((*kernel_arguments(tsc_khz(), kvm=kvm), *image_arguments()))
    shape = MachineShape(recipe.memory_mib, recipe.vcpus)
    machine = await Machine.start(
        hypervisor,
        f"build-{recipe.name}-{os.getpid()}",
        work,
        shape,
        uid=first_uid(hypervisor.tag) + UIDS - 1,
        ram_fd=ram_fd,
        disk=Disk(image.disk, (), work / "overlay.qcow2"),
        boot=Boot(str(image.kernel), str(image.initrd), arguments),
    )
    channel = None
    try:
        await machine.resume()
        channel = await _first_answer(machine)
        await _desktop_is_ready(Guest(channel), recipe, report)
    except DesktopSandboxError as error:
        await asyncio.shield(_end(hypervisor, machine, channel))
        if "code" in error.evidence:  # the guest lives, and says itself what does not come: it would say so again
            error.evidence.setdefault("serial", machine.serial_tail())
            raise
        raise MachineError(f"the guest did not come up: {error.message}", serial=machine.serial_tail()) from error
    except BaseException:
        await asyncio.shield(_end(hypervisor, machine, channel))
        raise
    return machine, channel


async def _first_answer(machine: Machine) -> AgentChannel:
    connecting = asyncio.ensure_future(AgentChannel.connect(*machine.port_paths(), timeout_s=BOOT_DEADLINE_S))
    died = asyncio.ensure_future(machine.process.wait())
    try:
        await asyncio.wait((connecting, died), return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            return connecting.result()
        raise MachineError("QEMU ended while the guest booted", serial=machine.serial_tail())
    finally:
        for waiting in (connecting, died):
            waiting.cancel()


async def _desktop_is_ready(guest: Guest, recipe: Recipe, report: Report) -> None:
    await guest.set_identity(Identity.new(TEMPLATE_HOSTNAME), thaw=True)
    report(Step("desktop", 0.3, "waiting for the desktop"))
    await guest.wait_for([condition.to_wire() for condition in recipe.ready], READY_DEADLINE_S)


async def warm_up(guest: Guest, recipe: Recipe, report: Report) -> None:
    """Do what its recipe says to warm up a machine whose desktop is ready."""

    async def done(step: WarmUp) -> None:
        if step.until:
            await guest.wait_for([condition.to_wire() for condition in step.until], step.timeout_ms / 1000)

    beside: list[asyncio.Task[None]] = []
    try:
        for index, step in enumerate(recipe.warm_up):
            report(Step("warm up", 0.5 + 0.2 * index / len(recipe.warm_up), " ".join(step.argv)[:60]))
            await guest.launch(step.argv, timeout_s=step.timeout_ms / 1000)
            if step.beside:
                beside.append(asyncio.create_task(done(step)))
            else:
                await done(step)
        await asyncio.gather(*beside)
    finally:
        for waiting in beside:
            waiting.cancel()


async def _rehearse(guest: Guest, report: Report) -> None:
    """Do once what callers will do first: what the agent loads then is in every child's memory already."""
    report(Step("rehearse", 0.72, "trying everything once"))
    batch = [{"type": "move", "x": 3, "y": 3}, {"type": "key", "keys": ["shift"]}, {"type": "type", "text": ""}]
    for _ in range(2):
        await guest.channel.request("actions.run", {"batch_id": None, "actions": batch}, timeout_s=90)
        await guest.channel.request("windows.list", {}, timeout_s=60)
        with contextlib.suppress(DesktopSandboxError):  # a recipe may be without AT-SPI
            await guest.channel.request("a11y.tree", {"scope": "all", "timeout_ms": 60_000}, timeout_s=120)
        await guest.channel.request("command.run", {"command": "true"}, timeout_s=60)
        await guest.channel.request("file.write", {"path": "/tmp/rehearsal"}, timeout_s=60, stdin=_bytes(b"x"))  # noqa: S108
        await guest.channel.request("file.read", {"path": "/tmp/rehearsal"}, timeout_s=60)  # noqa: S108
        await guest.channel.request("file.remove", {"path": "/tmp/rehearsal"}, timeout_s=60)  # noqa: S108


async def _bytes(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _settle(machine: Machine, report: Report) -> float:
    """Wait until the machine is quiet: children of a busy one would all be busy. The share of a core it uses then."""
    deadline = time.monotonic() + QUIET_DEADLINE_S
    windows: list[float] = []
    while time.monotonic() < deadline:
        before, started = process_cpu_seconds(machine.process.pid), time.monotonic()
        await asyncio.sleep(1.0)
        used = (process_cpu_seconds(machine.process.pid) - before) / (time.monotonic() - started)
        windows.append(used)
        report(Step("settle", 0.75, f"waiting until it is quiet ({used:.0%} of a core)"))
        if len(windows) >= _QUIET_WINDOWS and max(windows[-_QUIET_WINDOWS:]) < QUIET_CPU:
            return sum(windows[-_QUIET_WINDOWS:]) / _QUIET_WINDOWS
        if not machine.process.alive():
            raise MachineError("the machine ended while it settled", serial=machine.serial_tail())
    raise DeadlineError(
        f"the desktop did not become quiet within {QUIET_DEADLINE_S:.0f} s ({windows[-1]:.0%} of a core)",
        hint="something in the recipe keeps it busy: look with desktop-sandbox exec ID 'top -b -n 1'",
    )
