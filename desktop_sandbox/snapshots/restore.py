"""Restore a template or a snapshot as a new machine, vCPUs standing still.

The template's RAM is mapped copy-on-write, a snapshot's pages are written over it; the disk lies below a new overlay.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktop_sandbox.microvm.machine import Hypervisor, Machine
from desktop_sandbox.microvm.private_pages import Runs, write_pages
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.below import note_below
from desktop_sandbox.snapshots.checkpoint import copy_file
from desktop_sandbox.snapshots.delta import Delta
from desktop_sandbox.snapshots.keeper import KeeperClient
from desktop_sandbox.snapshots.snapshot import BOOTED, Snapshot, note_booted
from desktop_sandbox.snapshots.templates import Template
from desktop_sandbox.snapshots.timings import mark

OVERLAY = "overlay.qcow2"
_LEAVES_S = 60.0


class TemplateMemory:
    """The RAM of templates as sealed memfds: from the keeper, else loaded from disk and given to it."""

    def __init__(self, keeper: KeeperClient) -> None:
        self._keeper = keeper
        self._open: dict[str, int] = {}
        self._leaving: list[int] = []
        """Descriptors of what was forgotten a moment ago."""
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, template: Template) -> int:
        """The descriptor of a template's RAM, which stays this object's own. Raises MachineError if it is damaged."""
        async with self._locks.setdefault(template.key, asyncio.Lock()):
            if template.key not in self._open:
                self._open[template.key] = await asyncio.to_thread(self._find_or_load, template)
            return self._open[template.key]

    def at_hand(self, template: Template) -> int | None:
        """The same without loading anything; None where that would be needed."""
        return self._open.get(template.key)

    def _find_or_load(self, template: Template) -> int:
        kept = self._keeper.get(template.key)
        if kept is not None:
            if ram.is_sealed(kept) and os.fstat(kept).st_size == template.manifest.ram.bytes:
                return kept
            os.close(kept)
        template.check()
        part = template.manifest.ram
        loaded = ram.load_ram(template.ram, part.bytes, part.digest)
        self._keeper.put(template.key, loaded)
        return loaded

    async def take(self, template: Template, descriptor: int) -> None:
        """Keep the sealed RAM of a template that was just made; the descriptor is this object's own from now on."""
        async with self._locks.setdefault(template.key, asyncio.Lock()):
            if template.key in self._open:
                os.close(descriptor)
                return
            self._open[template.key] = descriptor
            await asyncio.to_thread(self._keeper.put, template.key, descriptor)

    def forget(self, template: Template) -> None:
        """Let go of a template's RAM, here and in the keeper."""
        self._let_go(template.key)
        self._keeper.drop(template.key)

    async def forget_others(self, keys: Collection[str]) -> list[str]:
        """Let go of the RAM of templates that are none of these (see `Template.key`); their keys."""
        kept = await asyncio.to_thread(self._keeper.keys)
        gone = sorted({*self._open, *kept} - set(keys))
        for key in gone:
            self._let_go(key)
            await asyncio.to_thread(self._keeper.drop, key)
        return gone

    def _let_go(self, key: str) -> None:
        descriptor = self._open.pop(key, None)
        if descriptor is not None:
            # whoever was given it may be about to start a machine with it: its number must not become another file's
            self._leaving.append(descriptor)
            asyncio.get_running_loop().call_later(_LEAVES_S, self._close_one, descriptor)

    def _close_one(self, descriptor: int) -> None:
        if descriptor in self._leaving:
            self._leaving.remove(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Close all descriptors; the keeper goes on holding the memory for a while."""
        for descriptor in (*self._open.values(), *self._leaving):
            os.close(descriptor)
        self._open.clear()
        self._leaving.clear()
        self._keeper.close()


@dataclass(frozen=True)
class Origin:
    """What a new machine begins from: a template, or a snapshot over one. `memory_fd`: the template's RAM, sealed."""

    template: Template
    memory_fd: int
    snapshot: Snapshot | None = None
    delta: Delta | None = None
    below: Runs | None = None
    """Pages of `memory_fd` that are not the template's, where it is a base of its own."""

    @property
    def devices_only(self) -> bool:
        """Whether the state to be loaded is a checkpoint's."""
        return self.snapshot is not None or self.template.devices_only

    @property
    def display(self) -> Mapping[str, Any]:
        """What the guest said of its screen when it was saved."""
        return (self.snapshot or self.template).manifest.display


def snapshot_origin(snapshot: Snapshot, memory_fd: int, template: Template, delta: Delta | None = None) -> Origin:
    """Check a snapshot and read its memory (blocking); `delta` spares both. Raises MachineError if it is damaged."""
    if delta is None:
        snapshot.check()
        delta = snapshot.delta()
    return Origin(template, memory_fd, snapshot, delta)


async def start_child(
    origin: Origin, hypervisor: Hypervisor, machine_id: str, directory: Path, *, uid: int, tap: int | None = None
) -> Machine:
    """A new machine for `load_state`, in `directory` (made already), with its origin's memory and disk below its own.

    `tap`: the other end of its network card's wire, if it has one.

    Raises MachineError; then no process is left, and the caller removes the directory.
    """
    template, snapshot = origin.template, origin.snapshot
    note_below(directory, origin.below)
    (directory / BOOTED).unlink(missing_ok=True)  # of a machine before it, should its server have been killed
    if snapshot is None:
        shutil.copyfile(template.directory / "empty.qcow2", directory / OVERLAY)
    else:
        await asyncio.to_thread(copy_file, snapshot.disk, directory / OVERLAY)
        if snapshot.manifest.booted:
            note_booted(directory, snapshot.manifest.fit)
    return await Machine.start(
        hypervisor,
        machine_id,
        directory,
        template.manifest.shape,
        uid=uid,
        ram_fd=origin.memory_fd,
        disk=template.disk(directory / OVERLAY),
        devices_only=origin.devices_only,
        origin=template.directory.name,
        tap=tap,
    )


async def load_state(machine: Machine, origin: Origin) -> None:
    """Bring a child's memory and devices to where they were saved; its vCPUs stand still. Raises MachineError."""
    if origin.delta is not None:
        # before the devices: those that share rings with the guest look at its memory as they are loaded
        await asyncio.to_thread(write_pages, machine.ram(), origin.delta.runs, origin.delta.pages)
        mark("pages")
    # each machine opens the state itself: the position in it would be shared otherwise
    state_fd = os.open((origin.snapshot or origin.template).state, os.O_RDONLY | os.O_CLOEXEC)
    try:
        await machine.load(state_fd, devices_only=origin.devices_only)
    finally:
        os.close(state_fd)
