"""The usual ways to have a desktop as it was, with the same machine: a cold boot, QEMU's savevm, migration to a file.

No server and no SDK: QEMU is driven as one would by hand, in our wall, so that machine and guest are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from desktop_sandbox.bench.create import FIRST_CLICK
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.host import settle
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.config import home_folder
from desktop_sandbox.errors import MachineError, NotFoundError
from desktop_sandbox.microvm.channel import AgentChannel
from desktop_sandbox.microvm.guest import Guest
from desktop_sandbox.microvm.jail import UIDS, first_uid
from desktop_sandbox.microvm.machine import Disk, Hypervisor, Machine, forget_directory
from desktop_sandbox.microvm.setup import find_hypervisor
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.build import booted, make_overlay, warm_up
from desktop_sandbox.snapshots.checkpoint import copy_file
from desktop_sandbox.snapshots.progress import Step
from desktop_sandbox.snapshots.restore import OVERLAY
from desktop_sandbox.snapshots.templates import find_template, image_of
from guest_image.recipe import load_recipe, recipe_names

_NAME = "usual-way"
_SAVE_S = 300.0
_ANSWER_S = 120.0


def measure_usual(template: str, counts: Counts, bar: Bar) -> list[Figure]:
    """Measure on this host, with a template that is built already. Raises MachineError, NotFoundError.

    Nothing for a template without a recipe, which was promoted: there is nothing to boot it from.
    """
    if template not in recipe_names():
        bar.say(f"{template} is no recipe's template: no usual ways to have it")
        return []
    return asyncio.run(_UsualWays(template, counts, bar).run())


class _UsualWays:
    def __init__(self, template: str, counts: Counts, bar: Bar) -> None:
        home = home_folder()
        self._recipe = load_recipe(template)
        self._hypervisor: Hypervisor = find_hypervisor(home)
        found, why = find_template(home, self._recipe, self._hypervisor)
        image = None if found is None else image_of(home, found)
        if found is None or image is None:
            raise NotFoundError(f"template {template} is not there: {why}", hint="desktop-sandbox template build")
        self._image = image
        self._uid = first_uid(self._hypervisor.tag) + UIDS - 1
        self._counts = counts
        self._bar = bar
        self._taken: dict[str, list[float]] = {}

    async def run(self) -> list[Figure]:
        with (
            tempfile.TemporaryDirectory(prefix="desktop-sandbox-usual-") as name,
            _memory(self._recipe.memory_mib) as memory_fd,
            _work_folder(Path(name) / "machine") as work,
        ):
            self._bar.say("the usual way: a cold boot")
            make_overlay(work / "empty.qcow2", self._image.disk.stat().st_size)
            began = time.perf_counter()
            async with booted(work, self._recipe, self._image, self._hypervisor, memory_fd, _say_nothing) as running:
                machine, guest = running
                await warm_up(guest, self._recipe, _say_nothing)
                await _click(guest)
                self._taken["boot"] = [(time.perf_counter() - began) * 1000]
                self._bar.tick()
                self._bar.say("the usual way: a desktop comes to rest")
                await asyncio.to_thread(settle, [machine.process.pid], self._counts.settle_s)
                await guest.channel.aclose()
                for turn in range(self._counts.usual_saves):
                    self._bar.say("the usual ways to save and load", f"{turn + 1} of {self._counts.usual_saves}")
                    await self._internal(machine, f"turn-{turn}")
                    await self._to_a_file(machine, Path(name))
                    self._bar.tick()
        return [
            Figure("usual.boot", "the usual way: a cold boot → warmed up, first click done", "ms", self._taken["boot"]),
            Figure("usual.savevm", "the usual way: savevm; the desktop stands still", "ms", self._taken["savevm"]),
            Figure("usual.loadvm", "the usual way: loadvm → first answer", "ms", self._taken["loadvm"]),
            Figure(
                "usual.migrate", "the usual way: migration to a file; it stands still", "ms", self._taken["migrate"]
            ),
            Figure("usual.incoming", "the usual way: QEMU from there → first answer", "ms", self._taken["incoming"]),
        ]

    async def _time(self, name: str, call: Callable[[], Awaitable[Any]]) -> None:
        began = time.perf_counter()
        await call()
        self._taken.setdefault(name, []).append((time.perf_counter() - began) * 1000)

    async def _internal(self, machine: Machine, tag: str) -> None:
        where = {"tag": tag, "vmstate": "overlay", "devices": ["overlay"]}
        await self._time("savevm", lambda: _job(machine, "snapshot-save", where))

        async def back() -> None:
            await machine.stop()
            await _answers(machine, lambda: _job(machine, "snapshot-load", where))

        await self._time("loadvm", back)
        await _job(machine, "snapshot-delete", {"tag": tag, "devices": ["overlay"]})

    async def _to_a_file(self, machine: Machine, folder: Path) -> None:
        saved = folder / "saved"

        with _work_folder(folder / "incoming") as work:
            began = time.perf_counter()
            await machine.stop()
            with _opened(saved, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
                await machine.qmp.migrate("migrate", descriptor, ignore_shared=False, timeout_s=_SAVE_S)
            self._taken.setdefault("migrate", []).append((time.perf_counter() - began) * 1000)
            # the disk of that moment, which is not counted: one who saves so keeps it by whatever means
            await asyncio.to_thread(copy_file, machine.directory / OVERLAY, work / OVERLAY)
            await machine.resume()
            await self._time("incoming", lambda: self._incoming(machine, saved, work))
        saved.unlink()

    async def _incoming(self, machine: Machine, saved: Path, work: Path) -> None:
        with _memory(machine.shape.memory_mib) as memory_fd:
            other = await Machine.start(
                self._hypervisor,
                f"{_NAME}-1",
                work,
                machine.shape,
                uid=self._uid - 1,
                ram_fd=memory_fd,
                disk=Disk(self._image.disk, (), work / OVERLAY),
            )
        try:
            with _opened(saved, os.O_RDONLY) as descriptor:
                load = other.qmp.migrate("migrate-incoming", descriptor, ignore_shared=False, timeout_s=_SAVE_S)
                await _answers(other, lambda: load)
        finally:
            await other.kill()


def _say_nothing(_: Step) -> None:
    """The bar says what is done."""


async def _answers(machine: Machine, load: Callable[[], Awaitable[Any]]) -> None:
    """Load, let it run, and wait for its agent's first answer."""
    connecting = asyncio.ensure_future(AgentChannel.connect(*machine.port_paths(), timeout_s=_ANSWER_S))
    try:
        await load()
        await machine.resume()
        channel = await connecting
    except BaseException:
        connecting.cancel()
        with contextlib.suppress(BaseException):
            await (await connecting).aclose()
        raise
    try:
        await Guest(channel).info(_ANSWER_S)
    finally:
        await channel.aclose()


async def _click(guest: Guest) -> None:
    x, y = FIRST_CLICK
    actions = [{"type": "click", "x": x, "y": y}]
    await guest.channel.request("actions.run", {"batch_id": None, "actions": actions}, timeout_s=_ANSWER_S)


async def _job(machine: Machine, command: str, arguments: dict[str, Any]) -> None:
    """Run one of QEMU's jobs to its end. Raises MachineError with its reason."""
    await machine.qmp.execute(command, {"job-id": _NAME, **arguments})
    deadline = time.monotonic() + _SAVE_S
    while time.monotonic() < deadline:
        # the answer waits where the job holds QEMU's own lock
        for job in await machine.qmp.execute("query-jobs", timeout_s=_SAVE_S):
            if job["id"] == _NAME and job["status"] == "concluded":
                await machine.qmp.execute("job-dismiss", {"id": _NAME})
                if "error" in job:
                    raise MachineError(f"{command} failed: {job['error']}")
                return
        await asyncio.sleep(0.002)
    raise MachineError(f"{command} did not end within {_SAVE_S:.0f} s")


@contextlib.contextmanager
def _memory(mib: int) -> Iterator[int]:
    descriptor = ram.new_ram(mib << 20)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _work_folder(path: Path) -> Iterator[Path]:
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        forget_directory(path)
        shutil.rmtree(path)
