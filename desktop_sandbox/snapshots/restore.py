"""Restore a template as a new machine: RAM mapped copy-on-write, the disk below a new overlay, vCPUs standing still."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from desktop_sandbox.microvm.machine import Hypervisor, Machine
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.keeper import KeeperClient
from desktop_sandbox.snapshots.templates import Template

OVERLAY = "overlay.qcow2"


class TemplateMemory:
    """The RAM of templates as sealed memfds: from the keeper, else loaded from disk and given to it."""

    def __init__(self, keeper: KeeperClient) -> None:
        self._keeper = keeper
        self._open: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, template: Template) -> int:
        """The descriptor of a template's RAM, which stays this object's own. Raises MachineError if it is damaged."""
        async with self._locks.setdefault(template.key, asyncio.Lock()):
            if template.key not in self._open:
                self._open[template.key] = await asyncio.to_thread(self._find_or_load, template)
            return self._open[template.key]

    def _find_or_load(self, template: Template) -> int:
        kept = self._keeper.get(template.key)
        if kept is not None:
            if ram.is_sealed(kept):
                return kept
            os.close(kept)
        part = template.manifest.ram
        loaded = ram.load_ram(template.ram, part.bytes, part.digest)
        self._keeper.put(template.key, loaded)
        return loaded

    def forget(self, template: Template) -> None:
        """Let go of a template's RAM, here and in the keeper."""
        descriptor = self._open.pop(template.key, None)
        if descriptor is not None:
            os.close(descriptor)
        self._keeper.drop(template.key)

    def close(self) -> None:
        """Close all descriptors; the keeper goes on holding the memory for a while."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._keeper.close()


async def start_child(
    template: Template, memory_fd: int, hypervisor: Hypervisor, machine_id: str, directory: Path, *, uid: int
) -> Machine:
    """A new machine for `load_state`, in `directory` (made already), with a template's memory and disk below its own.

    Raises MachineError; then no process is left, and the caller removes the directory.
    """
    shutil.copyfile(template.directory / "empty.qcow2", directory / OVERLAY)
    return await Machine.start(
        hypervisor,
        machine_id,
        directory,
        template.manifest.shape,
        uid=uid,
        ram_fd=memory_fd,
        disk=template.disk(directory / OVERLAY),
    )


async def load_state(machine: Machine, template: Template) -> None:
    """Bring a child's devices to where the template was taken; its vCPUs stand still. Raises MachineError."""
    # each machine opens the state itself: the position in it would be shared otherwise
    state_fd = os.open(template.state, os.O_RDONLY | os.O_CLOEXEC)
    try:
        await machine.load(state_fd)
    finally:
        os.close(state_fd)
