"""A dead, a hung and a slow machine end in a MachineError with the console's tail, in time, and leave no process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import ChannelError, MachineError
from desktop_sandbox.microvm.accelerator import _PROBE
from desktop_sandbox.microvm.channel import AgentChannel
from desktop_sandbox.microvm.command_line import MachineShape
from desktop_sandbox.microvm.jail import FIRST_UID, UIDS
from desktop_sandbox.microvm.machine import Disk, Hypervisor, Machine
from desktop_sandbox.microvm.setup import find_hypervisor
from desktop_sandbox.node.facts import SandboxSpec, SandboxState
from desktop_sandbox.node.local import LocalNode
from desktop_sandbox.snapshots import build
from desktop_sandbox.snapshots.templates import find_template
from guest_image.builder import Image
from tests.conftest import make_home
from tests.machine.support import guest_ram, machines_of, minimal

UID = FIRST_UID + UIDS - 1
# the probe kernel's last words, out to the exit device, become a star on the console; then it halts for ever
_LEAVE, _SAY = bytes.fromhex("b02a66baf400ee"), bytes.fromhex("b02a66baf803ee")


@pytest.fixture
def hypervisor(tmp_path: Path) -> Hypervisor:
    return find_hypervisor(make_home(tmp_path / "hypervisor"))


def image_with_kernel(tmp_path: Path, kernel: bytes) -> Image:
    _, image = minimal()
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "kernel").write_bytes(kernel)
    (folder / "disk.raw").symlink_to(image.disk)
    (folder / "initrd").write_bytes(b"no initrd")
    return replace(image, directory=folder, kernel_name="kernel")


async def build_fails(tmp_path: Path, image: Image, hypervisor: Hypervisor) -> MachineError:
    recipe, _ = minimal()
    home = tmp_path / "home"
    with pytest.raises(MachineError) as caught:
        await build.build_template(home, recipe, image, hypervisor, lambda _: None)
    assert machines_of(hypervisor) == []
    assert list((home / "templates").iterdir()) == [], "a failed build leaves nothing"
    return caught.value


async def test_a_kernel_that_hangs_ends_at_the_deadline_after_all_tries(
    tmp_path: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "BOOT_DEADLINE_S", 2.0)
    monkeypatch.setattr(build, "BOOT_ATTEMPTS", 2)
    assert _LEAVE in _PROBE
    image = image_with_kernel(tmp_path, _PROBE.replace(_LEAVE, _SAY))
    started = time.monotonic()
    error = await build_fails(tmp_path, image, hypervisor)
    assert time.monotonic() - started < 60
    assert "2 tries" in error.message
    assert error.evidence["serial"] == "*"


async def test_a_kernel_that_is_none_is_said(
    tmp_path: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "BOOT_DEADLINE_S", 5.0)
    monkeypatch.setattr(build, "BOOT_ATTEMPTS", 2)
    error = await build_fails(tmp_path, image_with_kernel(tmp_path, b"this is no kernel" * 100), hypervisor)
    assert "did not boot in 2 tries" in error.message


async def test_a_boot_slower_than_its_deadline_carries_the_console(
    tmp_path: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "BOOT_DEADLINE_S", 3.0)
    monkeypatch.setattr(build, "BOOT_ATTEMPTS", 1)
    loud = [*(a for a in build.image_arguments() if a != "quiet" and not a.startswith("loglevel")), "loglevel=7"]
    monkeypatch.setattr(build, "image_arguments", lambda: loud)
    _, image = minimal()
    error = await build_fails(tmp_path, image, hypervisor)
    assert len(str(error.evidence["serial"])) > 100, "the kernel had said something"
    assert str(error.evidence["serial"])[-20:] in str(error.hint)


async def test_a_bad_disk_ends_qemu_at_once_with_its_own_words(tmp_path: Path, hypervisor: Hypervisor) -> None:
    recipe, image = minimal()
    (tmp_path / "overlay.qcow2").write_bytes(b"no overlay" * 1000)
    disk = Disk(image.disk, (), tmp_path / "overlay.qcow2")
    shape = MachineShape(recipe.memory_mib, recipe.vcpus)
    with guest_ram(recipe) as ram_fd, pytest.raises(MachineError) as caught:
        await Machine.start(hypervisor, "bad-disk", tmp_path, shape, uid=UID, ram_fd=ram_fd, disk=disk)
    assert "qcow2" in str(caught.value)
    assert machines_of(hypervisor) == []


async def test_a_cancelled_boot_leaves_no_process(tmp_path: Path, hypervisor: Hypervisor) -> None:
    recipe, image = minimal()
    building = asyncio.ensure_future(build.build_template(tmp_path / "home", recipe, image, hypervisor, lambda _: None))
    async with asyncio.timeout(60):
        while not machines_of(hypervisor):
            await asyncio.sleep(0.02)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert machines_of(hypervisor) == []
    assert list((tmp_path / "home" / "templates").iterdir()) == []


async def test_a_restored_machine_that_hangs_is_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its vCPUs never run, so its agent never answers: the create says so, and leaves no process."""

    async def hangs(_machine: Machine) -> None:
        """As a kernel would that is stuck from its first instruction on."""

    connect = AgentChannel.connect

    async def hasty(*paths: str, **named: Any) -> AgentChannel:
        assert named["timeout_s"] <= 15, "nobody waits for longer"
        return await connect(*paths, **{**named, "timeout_s": 2.0})

    monkeypatch.setattr(Machine, "resume", hangs)
    monkeypatch.setattr(AgentChannel, "connect", hasty)
    node = await LocalNode.start(ServerConfig(home=make_home(tmp_path / "home"), api_key="unused"))
    try:
        began = time.monotonic()
        with pytest.raises(ChannelError, match="the guest agent did not answer on its control port within 2 s") as said:
            await node.create(SandboxSpec(template="minimal", timeout_s=60))
        assert time.monotonic() - began < 60
        assert "serial log" in str(said.value.hint)
        assert {"serial", "qemu"} <= set(said.value.evidence)
        assert machines_of(node.hypervisor) == []
        (info,) = (await node.list()).sandboxes
        assert info.state is SandboxState.DEAD
        assert "not created: the guest agent did not answer" in str(info.reason)
        left = {path.name for path in (node.config.home / "sandboxes" / info.id).iterdir()}
        assert left <= {"serial.log", "qemu.log", "command.txt", "network.log"}
        usage = await node.usage()
        assert (usage["sandboxes"]["running"], usage["sandboxes"]["creating"]) == (0, 0)
    finally:
        await node.aclose()


async def test_a_damaged_template_makes_no_sandbox(tmp_path: Path) -> None:
    """Device state that does not load: the create fails, says why, and leaves neither process nor directory."""
    home = make_home(tmp_path / "home")
    recipe, _ = minimal()
    found, why = find_template(home, recipe, find_hypervisor(home))
    assert found is not None, why
    real = found.directory.resolve()
    (home / "templates").unlink()
    copy = home / "templates" / found.directory.name
    copy.mkdir(parents=True)
    for file in real.iterdir():
        (copy / file.name).symlink_to(file)
    state = (copy / "state.bin").read_bytes()
    (copy / "state.bin").unlink()
    (copy / "state.bin").write_bytes(state[: len(state) // 2] + bytes(len(state) // 2))

    node = await LocalNode.start(ServerConfig(home=home, api_key="unused"))
    try:
        with pytest.raises(MachineError):
            await node.create(SandboxSpec(template="minimal", timeout_s=60))
        page = await node.list()
        assert [info.state for info in page.sandboxes] in ([], [SandboxState.DEAD])
        assert all("not created" in str(info.reason) for info in page.sandboxes)
        assert machines_of(node.hypervisor) == []
        assert (await node.usage())["sandboxes"]["running"] == 0
    finally:
        await node.aclose()
