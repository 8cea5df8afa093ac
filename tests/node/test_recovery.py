"""What a server finds when it starts: machines that cannot be taken over, late ones, leftovers. Fakes for QEMU."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.command_line import PORTS
from desktop_sandbox.microvm.host import boot_id, process_start_time
from desktop_sandbox.microvm.machine import RECORD, Machine
from desktop_sandbox.microvm.process import Process, ProcessId
from desktop_sandbox.node import recovery
from desktop_sandbox.node.creating import new_record
from desktop_sandbox.node.facts import SandboxSpec, SandboxState
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.store import Store

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}


class Cgroups:
    """Tells whose groups were removed."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    def remove(self, machine_id: str) -> None:
        self.removed.append(machine_id)


class Hypervisor:
    """One that has no machines in the process table."""

    def __init__(self) -> None:
        self.cgroup = Cgroups()

    def process_name(self, machine_id: str) -> str:
        return f"desktop-sandbox-test-recovery-{machine_id}"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    found = await Store.open(tmp_path / "node.db")
    yield found
    await found.close()


async def add(store: Store, home: Path, name: str, *events: SandboxEvent) -> Path:
    directory = home / "sandboxes" / name
    directory.mkdir(parents=True)
    await store.add(new_record(name, SandboxSpec(), (1280, 800), None, str(directory), 1.0))
    for event in events:
        await store.move(name, event, now=2.0)
    return directory


async def recover(store: Store, home: Path) -> list[str]:
    hypervisor: Any = Hypervisor()
    return [live.machine.id for live in await recovery.recover(store, home, hypervisor)]


def note_process(directory: Path, pid: int) -> None:
    started = process_start_time(pid)
    assert started is not None
    identity = asdict(ProcessId(pid, started, boot_id()))
    shape = {"memory_mib": 64, "vcpus": 1}
    (directory / RECORD).write_text(json.dumps({"id": directory.name, "shape": shape, "process": identity}))


# --- machines that cannot be taken over


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "/proc/7/mem"), ProcessLookupError(3, "x")])
async def test_one_that_cannot_be_looked_into_is_dead_and_the_others_go_on(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    let_go: list[str] = []

    class Found:
        def __init__(self, name: str) -> None:
            self.id, self.process = name, SimpleNamespace(pid=7)

        async def resume(self) -> None:
            """It runs already."""

        async def detach(self) -> None:
            let_go.append(self.id)

    async def adopt(directory: Path, _patience_s: float) -> Any:
        return Found(directory.name)

    def live(machine: Found, _display: object) -> Any:
        if machine.id == "sb-2":
            raise error
        return SimpleNamespace(machine=machine)

    monkeypatch.setattr(Machine, "adopt", adopt)
    monkeypatch.setattr(recovery, "LiveSandbox", live)
    for name in ("sb-1", "sb-2", "sb-3"):
        await add(store, tmp_path, name, SandboxEvent.STARTED)
    assert await recover(store, tmp_path) == ["sb-1", "sb-3"]
    record = await store.get("sb-2")
    assert record.state is SandboxState.DEAD
    assert type(error).__name__ in str(record.reason)
    assert let_go == ["sb-2"]


@pytest.mark.parametrize("said", [None, "no json", "{}", '{"id": "sb-1", "process": {"pid": 1}, "shape": {}}'])
async def test_a_record_of_a_process_that_cannot_be_read_is_that_machines_matter(
    tmp_path: Path, store: Store, said: str | None
) -> None:
    directory = await add(store, tmp_path, "sb-1", SandboxEvent.STARTED)
    if said is not None:
        (directory / RECORD).write_text(said)
    assert await recover(store, tmp_path) == []
    assert "record of" in str((await store.get("sb-1")).reason)


def test_a_process_that_is_gone_is_said() -> None:
    with pytest.raises(MachineError, match="is gone"):
        Process(ProcessId(2**22 - 3, 1, boot_id()))


# --- late ones


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Stands for QEMU's process."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        yield child
        child.kill()


@contextlib.asynccontextmanager
async def qmp(path: Path, *, refusals: int = 0, after_s: float = 0.0) -> AsyncIterator[None]:
    """A control socket that hangs up on the first callers, and greets the next one late."""

    asked_by: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal refusals
        asked_by.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            if refusals:
                refusals -= 1
                return
            await asyncio.sleep(after_s)
            writer.write(json.dumps(GREETING).encode() + b"\r\n")
            while asked := await reader.read(65536):  # one at a time, without an end of line
                same = {name: value for name, value in json.loads(asked).items() if name == "id"}
                writer.write(json.dumps({"return": {}, **same}).encode() + b"\r\n")

    async with await asyncio.start_unix_server(serve, path):
        yield
        for each in asked_by:  # from Python 3.12 on a server ends only when these have
            if each is not None:
                each.cancel()


async def test_a_late_answer_is_waited_for_while_it_lives(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    note_process(tmp_path, process.pid)
    async with qmp(tmp_path / "qmp", refusals=2, after_s=0.5):
        machine = await Machine.adopt(tmp_path, 20.0)
        assert machine.process.pid == process.pid
        await machine.detach()


async def test_none_is_waited_for_longer_than_allowed(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    note_process(tmp_path, process.pid)
    began = time.monotonic()
    async with qmp(tmp_path / "qmp", after_s=30.0):
        with pytest.raises(MachineError, match=r"does not answer.*still runs"):
            await Machine.adopt(tmp_path, 1.0)
    assert time.monotonic() - began < 10


async def test_one_that_has_ended_is_not_waited_for(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    note_process(tmp_path, process.pid)
    adopting = asyncio.ensure_future(Machine.adopt(tmp_path, 120.0))  # nobody listens
    await asyncio.sleep(0.2)
    process.kill()
    process.wait()
    with pytest.raises(MachineError, match="has ended"):
        await asyncio.wait_for(adopting, 20)


async def test_late_ones_are_waited_for_side_by_side_and_one_that_never_answers_is_dead(
    tmp_path: Path, store: Store, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_ANSWER_S", 1.0)
    names = [f"sb-{number}" for number in range(6)]
    began = time.monotonic()
    async with contextlib.AsyncExitStack() as silent:
        for name in names:
            directory = await add(store, tmp_path, name, SandboxEvent.STARTED)
            note_process(directory, process.pid)
            await silent.enter_async_context(qmp(directory / "qmp", after_s=60.0))
        assert await recover(store, tmp_path) == []
    assert time.monotonic() - began < 5
    for name in names:
        reason = str((await store.get(name)).reason)
        assert reason.startswith("the next server could not take it over: QEMU's control socket does not answer")


# --- leftovers


async def test_of_what_does_not_run_only_its_logs_are_left(tmp_path: Path, store: Store) -> None:
    """As a server leaves it that was killed while it booted a paused sandbox from its disk."""
    left = ("overlay.qcow2", RECORD, "booted.json", "below.bin", "qmp", *PORTS)
    logs = ("serial.log", "qemu.log", "command.txt")
    directory = await add(store, tmp_path, "sb-1", SandboxEvent.STARTED, SandboxEvent.PAUSED)
    stranger = tmp_path / "sandboxes" / "sb-unknown"
    stranger.mkdir()
    for name in (*left, *logs):
        (directory / name).touch()
        (stranger / name).touch()
    hypervisor: Any = Hypervisor()
    assert await recovery.recover(store, tmp_path, hypervisor) == []
    assert sorted(path.name for path in directory.iterdir()) == sorted(logs)
    assert not stranger.exists()
    assert hypervisor.cgroup.removed == ["sb-1"]
    assert (await store.get("sb-1")).state is SandboxState.PAUSED
