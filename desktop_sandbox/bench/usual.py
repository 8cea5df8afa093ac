"""The usual ways to save a machine and to begin anew: QEMU's savevm and loadvm of the same machine, a cold boot."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from actions.model import Move
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.config import home_folder
from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.guest import Identity
from desktop_sandbox.microvm.jail import SANDBOX_UIDS, first_uid
from desktop_sandbox.microvm.machine import Hypervisor, Machine
from desktop_sandbox.microvm.setup import find_hypervisor
from desktop_sandbox.node.birth import bring_up
from desktop_sandbox.node.settling import caught_up
from desktop_sandbox.node.shop import TemplateShop
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.build import TEMPLATE_HOSTNAME, booted, make_overlay
from desktop_sandbox.snapshots.restore import Origin
from desktop_sandbox.snapshots.templates import Template, image_of

_JOB_S = 300.0
_READY_S = 300.0


def measure_usual(template: str, counts: Counts, bar: Bar) -> list[Figure]:
    """With machines of the benchmark's own, beside a server that has nothing to do. Raises MachineError."""
    home = home_folder()
    hypervisor = find_hypervisor(home)
    found, why = TemplateShop(home, hypervisor).find(template)
    if found is None:
        raise MachineError(f"there is no template {template} that fits: {why}", hint="desktop-sandbox template build")
    with tempfile.TemporaryDirectory(prefix="desktop-sandbox-bench-usual-") as folder:
        saves = asyncio.run(_savevm(found, hypervisor, Path(folder), counts, bar))
        boots = asyncio.run(_cold_boots(home, found, hypervisor, Path(folder), counts, bar))
    return [*saves, *boots]


async def _savevm(template: Template, hypervisor: Hypervisor, folder: Path, counts: Counts, bar: Bar) -> list[Figure]:
    """The machine stands still for the whole of either; what its agent then takes to answer is not counted."""
    part = template.manifest.ram
    memory = ram.load_ram(template.ram, part.bytes, part.digest)
    saved: list[float] = []
    loaded: list[float] = []
    uid = first_uid(hypervisor.tag) + SANDBOX_UIDS - 1
    name = f"sb-{os.getpid():016x}"
    try:
        live = await bring_up(Origin(template, memory), hypervisor, name, folder / "savevm", uid, None)
        try:
            await live.act((Move(300, 300),), "usual", None, None)
            await caught_up(live, share=0.15, patience_s=counts.settle_s)
            for turn in range(counts.usual_saves):
                bar.say("the usual way: savevm, loadvm", f"{turn + 1} of {counts.usual_saves}")
                saved.append(await _job(live.machine, "snapshot-save", f"t{turn}"))
                await asyncio.sleep(1)
                loaded.append(await _job(live.machine, "snapshot-load", f"t{turn}"))
                await asyncio.sleep(1)
                await _job(live.machine, "snapshot-delete", f"t{turn}")
                bar.tick()
        finally:
            await live.kill()
    finally:
        os.close(memory)
    return [
        Figure("savevm", "the usual way: QEMU's savevm; the machine stands still", "ms", saved),
        Figure("loadvm", "the usual way: QEMU's loadvm, until the machine runs", "ms", loaded),
    ]


async def _job(machine: Machine, command: str, tag: str) -> float:
    """Run one of QEMU's snapshot jobs; milliseconds."""
    arguments = {"job-id": "bench", "tag": tag, "devices": ["overlay"]}
    if command != "snapshot-delete":
        arguments["vmstate"] = "overlay"
    began = time.perf_counter()
    await machine.qmp.execute(command, arguments)
    async with asyncio.timeout(_JOB_S):
        while True:
            (job,) = [one for one in await machine.qmp.execute("query-jobs", timeout_s=_JOB_S) if one["id"] == "bench"]
            if job["status"] == "concluded":
                break
            await asyncio.sleep(0.002)
    took_ms = (time.perf_counter() - began) * 1000
    await machine.qmp.execute("job-dismiss", {"id": "bench"})
    if job.get("error"):
        raise MachineError(f"QEMU's {command} failed: {job['error']}")
    return took_ms


async def _cold_boots(
    home: Path, template: Template, hypervisor: Hypervisor, folder: Path, counts: Counts, bar: Bar
) -> list[Figure]:
    image = image_of(home, template)
    if image is None:
        raise MachineError(f"the image of {template.manifest.name} is gone", hint="desktop-sandbox template build")
    recipe = TemplateShop(home, hypervisor).recipe(template.manifest.recipe)
    make_overlay(folder / "empty.qcow2", template.manifest.disk_bytes)
    answered: list[float] = []
    ready: list[float] = []
    for turn in range(counts.boots):
        bar.say("the usual way: a cold boot", f"{turn + 1} of {counts.boots}")
        memory = ram.new_ram(template.manifest.shape.ram_bytes)
        try:
            began = time.perf_counter()
            async with booted(folder, recipe, image, hypervisor, memory, lambda _: None) as (_, guest):
                answered.append((time.perf_counter() - began) * 1000)
                await guest.set_identity(Identity.new(TEMPLATE_HOSTNAME), thaw=True)
                await guest.wait_for([condition.to_wire() for condition in recipe.ready], _READY_S)
                ready.append((time.perf_counter() - began) * 1000)
        finally:
            os.close(memory)
        bar.tick()
    return [
        Figure("boot.answers", "the usual way: cold boot → the agent answers", "ms", answered),
        Figure("boot.ready", "the usual way: cold boot → the desktop stands (no browser yet)", "ms", ready),
    ]
