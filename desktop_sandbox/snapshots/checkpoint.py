"""Take a checkpoint of a running machine: stopped for some tens of milliseconds, it goes on, and the rest is written.

Memory is saved as what differs from the template's RAM, whatever the machine was restored from; the disk as a file of
its own (a machine's QEMU holds its overlay open for writing, so the overlay itself is never part of a snapshot).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.channel_errors import first_leaf
from desktop_sandbox.microvm.machine import Machine
from desktop_sandbox.microvm.private_pages import PAGE, page_count, read_pages
from desktop_sandbox.snapshots.below import own_runs
from desktop_sandbox.snapshots.delta import Delta, page_buffer, page_file

STATE = "state.bin"
DISK = "disk.qcow2"
DELTA = "delta.bin"
_FICLONE = 0x40049409
_SPARE_PAGES = 4096
_STATE_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Captured:
    """What was taken while the machine stood still, and for how long it did (milliseconds)."""

    delta: Delta
    stopped_ms: float


def pages_expected(machine: Machine) -> int:
    """How many private pages to make room for, with some to spare: asked while the machine runs (blocking)."""
    expected = page_count(own_runs(machine))
    return expected + expected // 8 + _SPARE_PAGES


def make_room(pages: int, directory: Path | None = None) -> memoryview:
    """Room for so many pages, in memory, or in a file without a name in `directory` (blocking)."""
    return page_buffer(pages) if directory is None else page_file(pages, directory)


async def capture(machine: Machine, overlay: Path, directory: Path, room: memoryview, *, go_on: bool) -> Captured:
    """Stop the machine, take memory, devices and disk at that one moment, and let it go on (if `go_on`).

    State and disk lie in `directory` afterwards, not yet durable. Raises MachineError; then the machine goes on.
    """
    ram = machine.ram()

    def pages() -> Delta:
        runs = own_runs(machine)
        size = page_count(runs) * PAGE
        buffer = room if size <= len(room) else page_buffer(page_count(runs))
        taken = buffer[:size]
        read_pages(ram, runs, taken)
        return Delta(runs, taken)

    started = time.monotonic()
    try:
        async with _standing_still(machine, go_on=go_on), asyncio.TaskGroup() as tasks:
            memory = tasks.create_task(asyncio.to_thread(pages))
            devices = tasks.create_task(_save_devices(machine, directory / STATE))
            tasks.create_task(asyncio.to_thread(copy_file, overlay, directory / DISK))
    except BaseExceptionGroup as group:
        raise first_leaf(group) from None
    if go_on:
        await machine.let_go(devices.result())
    return Captured(memory.result(), (time.monotonic() - started) * 1000)


@contextlib.asynccontextmanager
async def _standing_still(machine: Machine, *, go_on: bool) -> AsyncIterator[None]:
    await machine.stop()
    try:
        yield
    except BaseException:
        await asyncio.shield(machine.resume())
        raise
    if go_on:
        await machine.resume()


async def _save_devices(machine: Machine, path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        number = await machine.save_devices(descriptor)
        if not 0 < os.fstat(descriptor).st_size <= _STATE_LIMIT_BYTES:
            raise MachineError(f"the machine's devices were saved as {os.fstat(descriptor).st_size} bytes")
        return number
    finally:
        os.close(descriptor)


def copy_file(source: Path, target: Path) -> None:
    """A copy that shares blocks where the file system can (FICLONE), and else holds what is not a hole."""
    with source.open("rb") as old, target.open("xb") as new:
        with contextlib.suppress(OSError):
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
            return
        size = os.fstat(old.fileno()).st_size
        os.ftruncate(new.fileno(), size)
        position = 0
        while position < size:
            try:
                begin = os.lseek(old.fileno(), position, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(old.fileno(), begin, os.SEEK_HOLE)
            while begin < end:
                copied = _copy_range(old.fileno(), new.fileno(), begin, end - begin)
                if copied == 0:
                    break
                begin += copied
            position = end


def _copy_range(old: int, new: int, at: int, size: int) -> int:
    """Copy up to `size` bytes at `at` inside the kernel; returns how many. Between file systems too."""
    try:
        return os.copy_file_range(old, new, size, at, at)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    os.lseek(new, at, os.SEEK_SET)
    return os.sendfile(new, old, at, size)
