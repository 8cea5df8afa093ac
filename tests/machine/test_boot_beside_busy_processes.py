"""Ten boots beside four busy processes all get through early boot.

Without `tsc_early_khz` the kernel's early TSC calibration fails on a loaded host, and it waits for ever for timer
ticks that this machine type does not have yet (see `kernel_arguments` in desktop_sandbox/microvm/command_line.py).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_sandbox.microvm.command_line import Boot, MachineShape, kernel_arguments
from desktop_sandbox.microvm.host import tsc_khz
from desktop_sandbox.microvm.jail import FIRST_UID, UIDS
from desktop_sandbox.microvm.machine import Disk, Hypervisor, Machine
from desktop_sandbox.microvm.setup import find_hypervisor
from desktop_sandbox.snapshots.build import make_overlay
from guest_image.builder import kernel_arguments as image_arguments
from tests.conftest import make_home
from tests.machine.support import guest_ram, machines_of, minimal

BOOTS = 10
DEADLINE_S = 60.0
INIT_RUNS = "Run /init as init process"


@pytest.fixture
def busy() -> Iterator[None]:
    loads = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    yield
    for load in loads:
        load.kill()
        load.wait()


async def boot_until_init(hypervisor: Hypervisor, directory: Path, number: int) -> None:
    """Return when the serial log shows that /init runs; fails with the log's tail at the deadline."""
    recipe, image = minimal()
    directory.mkdir()
    make_overlay(directory / "overlay.qcow2", image.disk.stat().st_size)
    kvm = hypervisor.accelerator.kind == "kvm"
    arguments = [a for a in image_arguments() if a != "quiet" and not a.startswith("loglevel")]
    line = " ".join((*kernel_arguments(tsc_khz(), kvm=kvm), *arguments, "loglevel=7"))
    with guest_ram(recipe) as ram_fd:
        started = time.monotonic()
        machine = await Machine.start(
            hypervisor,
            f"boot-{number}",
            directory,
            MachineShape(recipe.memory_mib, recipe.vcpus),
            uid=FIRST_UID + UIDS - 1,
            ram_fd=ram_fd,
            disk=Disk(image.disk, (), directory / "overlay.qcow2"),
            boot=Boot(str(image.kernel), str(image.initrd), line),
        )
        try:
            await machine.resume()
            log = directory / "serial.log"
            while INIT_RUNS not in log.read_text(errors="replace"):
                if time.monotonic() - started > DEADLINE_S:
                    pytest.fail(f"boot {number} hangs; the console's end: {machine.serial_tail(1500)}")
                await asyncio.sleep(0.1)
        finally:
            await machine.kill()


@pytest.mark.usefixtures("busy")
async def test_ten_boots_in_a_row_get_through_early_boot(tmp_path: Path) -> None:
    hypervisor = find_hypervisor(make_home(tmp_path / "home"))
    for number in range(0, BOOTS, 2):
        async with asyncio.TaskGroup() as pair:
            for n in (number, number + 1):
                pair.create_task(boot_until_init(hypervisor, tmp_path / f"boot-{n}", n))
    assert machines_of(hypervisor) == []


def test_the_kernel_is_told_the_speed_of_the_clock() -> None:
    """The cure itself: without it the ten boots above would hang now and then, not always."""
    assert f"tsc_early_khz={tsc_khz()}" in kernel_arguments(tsc_khz(), kvm=False)
    assert "norandmaps" in kernel_arguments(tsc_khz(), kvm=False)
    assert tsc_khz() > 100_000


def test_a_real_processor_needs_no_cure() -> None:
    """Nor does its guest lose its address randomisation."""
    assert kernel_arguments(tsc_khz(), kvm=True) == ()
