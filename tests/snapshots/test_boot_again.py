"""A template's boot is tried again until its desktop is ready, unless the guest itself says what is missing. Fakes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from desktop_sandbox.errors import ChannelError, DeadlineError, DesktopSandboxError, MachineError
from desktop_sandbox.microvm.accelerator import Accelerator
from desktop_sandbox.snapshots import build
from desktop_sandbox.snapshots.progress import Step
from guest_image.recipe import load_recipe

CRASH = ChannelError("the guest closed its control port")
HANGS = DeadlineError("the desktop did not answer session.wait within 250 s")


class Host:
    """Machines that boot, and then fail in turn as `ends` says (None: the desktop comes up)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ends: Sequence[DesktopSandboxError | None]) -> None:
        self.ends = list(ends)
        self.log: list[str] = []
        self.hypervisor = SimpleNamespace(accelerator=Accelerator("tcg", "a test"), tag="0000beef", cgroup=self)
        for name in ("Machine", "AgentChannel"):
            monkeypatch.setattr(build, name, self)
        monkeypatch.setattr(build, "Guest", lambda _: self)
        monkeypatch.setattr(build, "_fresh", lambda *_: self.log.append("fresh"))
        self.process = self
        self.id = "build-minimal-1"

    async def start(self, *_: Any, **__: Any) -> Host:
        self.log.append("start")
        return self

    async def resume(self) -> None:
        """Its vCPUs run."""

    def port_paths(self) -> tuple[str, ...]:
        return ()

    async def wait(self) -> None:
        await asyncio.sleep(60)

    async def connect(self, *_: str, **__: Any) -> Host:
        return self

    async def set_identity(self, *_: Any, **__: Any) -> None:
        """It has a name."""

    async def wait_for(self, _conditions: Any, _timeout_s: float) -> None:
        end = self.ends.pop(0)
        if end is not None:
            raise end

    async def aclose(self) -> None:
        self.log.append("closed")

    async def kill(self) -> None:
        self.log.append("killed")

    def remove(self, machine_id: str) -> None:
        """The machine's cgroup."""
        assert machine_id == self.id
        self.log.append("removed")

    def serial_tail(self) -> str:
        return "Kernel panic"


GONE = ["closed", "killed", "removed"]


async def boot(host: Host, tmp_path: Path, steps: list[Step]) -> None:
    image = SimpleNamespace(disk=tmp_path, kernel=tmp_path, initrd=tmp_path)
    what: Any = (tmp_path, load_recipe("minimal"), image, host.hypervisor, -1)
    async with build.booted(*what, steps.append) as (machine, _):
        assert machine is cast(Any, host)
        host.log.append("ready")


@pytest.mark.parametrize("failure", [CRASH, HANGS])
async def test_a_crash_before_the_desktop_is_ready_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: DesktopSandboxError
) -> None:
    host, steps = Host(monkeypatch, [failure, None]), list[Step]()
    await boot(host, tmp_path, steps)
    assert host.log == ["fresh", "start", *GONE, "fresh", "start", "ready", *GONE]
    assert [step.step for step in steps] == ["boot", "desktop"] * 2
    assert "try 2" in steps[2].message


async def test_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, [CRASH] * build.BOOT_ATTEMPTS)
    with pytest.raises(MachineError, match=f"in {build.BOOT_ATTEMPTS} tries") as caught:
        await boot(host, tmp_path, [])
    assert "the guest closed its control port" in caught.value.message
    assert caught.value.evidence["serial"] == "Kernel panic"
    assert host.log == ["fresh", "start", *GONE] * build.BOOT_ATTEMPTS


async def test_what_a_guest_that_lives_says_is_missing_would_be_so_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(monkeypatch, [DeadlineError("no window matches xfce4-panel", code="deadline")])
    with pytest.raises(DeadlineError, match="no window matches") as caught:
        await boot(host, tmp_path, [])
    assert caught.value.evidence["serial"] == "Kernel panic"
    assert host.log == ["fresh", "start", *GONE]
