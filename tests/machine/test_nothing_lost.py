"""What goes wrong on the host loses nothing: a full disk, a pause or rollback that fails, files that are gone."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import CapacityError, MachineError
from desktop_sandbox.node import full_disk, house, saving
from desktop_sandbox.node.facts import CommandOutput, CommandSpec, SandboxSpec, SandboxState
from desktop_sandbox.node.local import LocalNode
from desktop_sandbox.snapshots.snapshot import booted_fit, note_booted, read_snapshot
from tests.conftest import make_home

pytestmark = pytest.mark.machine
SPEC = SandboxSpec(template="minimal", timeout_s=None)
S = SandboxState
KEY = "unused-key-0123456"


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[LocalNode]:
    found = await LocalNode.start(ServerConfig(make_home(tmp_path / "home"), KEY))
    yield found
    await found.kill_all()
    await found.aclose()


async def output(node: LocalNode, sandbox_id: str, command: str, user: str = "user") -> str:
    text = ""
    async for piece in node.run_command(sandbox_id, CommandSpec(command, user)):
        if isinstance(piece, CommandOutput):
            text += piece.data.decode()
    return text.strip()


async def kinds(node: LocalNode, sandbox_id: str) -> list[str]:
    return [event["kind"] for event in (await node.why(sandbox_id))["events"]]


def broken(*_: object, **__: object) -> Any:
    raise MachineError("it cannot be done now")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A HOME whose machines write to a disk of 24 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    home = make_home(tmp_path / "small")
    (home / "sandboxes").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", home / "sandboxes"], check=True)
    yield home
    subprocess.run(["umount", "-l", home / "sandboxes"], check=True)


async def test_a_full_disk_holds_a_desktop_says_so_and_lets_it_go_on(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_disk, "_TICK_S", 0.3)
    node = await LocalNode.start(ServerConfig(small_disk, KEY))
    try:
        sandbox_id = (await node.create(SPEC)).id
        write = "yes kept | head -c 40M > big && sync && cksum big"
        writing = asyncio.ensure_future(output(node, sandbox_id, write))
        live = node._live[sandbox_id]
        async with asyncio.timeout(60):
            while not live.disk_full:
                await asyncio.sleep(0.1)
        with pytest.raises(CapacityError, match="disk is full"):
            await output(node, sandbox_id, "true")
        subprocess.run(["mount", "-o", "remount,size=1g", small_disk / "sandboxes"], check=True)
        whole = await asyncio.wait_for(writing, 60)
        # what it was about to write when it was held has come to its disk
        again = "echo 3 > /proc/sys/vm/drop_caches; cd /home/user; cksum big; yes kept | head -c 40M | cksum"
        assert (await output(node, sandbox_id, again, user="root")).splitlines() == [whole, whole.removesuffix(" big")]
        found = await kinds(node, sandbox_id)
        assert found.index("disk-full") < found.index("writes-again")
        assert abs(float(await output(node, sandbox_id, "date +%s.%N")) - time.time()) < 1.5
    finally:
        await node.kill_all()
        await node.aclose()


async def test_a_pause_by_timeout_that_fails_ends_nothing_and_is_tried_again(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "AGAIN_S", 1.5)
    sandbox_id = (await node.create(replace(SPEC, timeout_s=1.0, on_timeout="pause"))).id
    await output(node, sandbox_id, "echo kept > /dev/shm/kept")
    with monkeypatch.context() as patch:
        patch.setattr(saving.files, "new_directory", broken)
        async with asyncio.timeout(30):
            while "not-paused" not in await kinds(node, sandbox_id):
                await asyncio.sleep(0.1)
        assert (await node.get(sandbox_id)).state is S.RUNNING
        patch.setattr(house, "_MOST_TRIES", 1)  # what fails again and again ends none the less
        other = (await node.create(replace(SPEC, timeout_s=0.5, on_timeout="pause"))).id
        async with asyncio.timeout(30):
            while (await node.get(other)).state is not S.DEAD:
                await asyncio.sleep(0.1)
        patch.setattr(house, "_MOST_TRIES", 1000)
    async with asyncio.timeout(30):
        while (await node.get(sandbox_id)).state is not S.PAUSED:
            await asyncio.sleep(0.1)
    await node.resume(sandbox_id, 600)
    assert await output(node, sandbox_id, "cat /dev/shm/kept") == "kept"


async def test_a_rollback_of_a_paused_desktop_that_fails_leaves_its_pause(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox_id = (await node.create(SPEC)).id
    before = await node.checkpoint(sandbox_id)
    await output(node, sandbox_id, "echo later > /dev/shm/kept")
    paused = await node.pause(sandbox_id)
    with monkeypatch.context() as patch:
        patch.setattr(node, "_start", broken)
        with pytest.raises(MachineError):
            await node.rollback(sandbox_id, before.id)
    assert (await node.get(sandbox_id)).snapshot == paused.snapshot
    await node.resume(sandbox_id)
    assert await output(node, sandbox_id, "cat /dev/shm/kept") == "later"


async def test_the_clock_is_right_after_a_checkpoint_and_no_file_is_left_of_one_that_fails(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox_id = (await node.create(SPEC)).id
    real = saving.capture

    async def slow(machine: Any, *args: Any, **options: Any) -> Any:
        await machine.stop()
        await asyncio.sleep(2)
        return await real(machine, *args, **options)

    monkeypatch.setattr(saving, "capture", slow)
    await node.checkpoint(sandbox_id)
    assert abs(float(await output(node, sandbox_id, "sleep 0.3; date +%s.%N")) - time.time()) < 1

    def full(*_: object) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(saving, "capture", real)
    monkeypatch.setattr(node.snapshot_store, "add", full)
    before = sorted(path.name for path in (node.config.home / "snapshots").iterdir())
    with pytest.raises(sqlite3.OperationalError):
        await node.checkpoint(sandbox_id)
    assert sorted(path.name for path in (node.config.home / "snapshots").iterdir()) == before
    assert await output(node, sandbox_id, "echo goes on") == "goes on"


async def test_a_pause_without_its_manifest_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    node = await LocalNode.start(ServerConfig(home, KEY))
    sandbox_id = (await node.create(SPEC)).id
    other = (await node.checkpoint(sandbox_id)).id
    paused = await node.pause(sandbox_id)
    for snapshot_id in (other, str(paused.snapshot)):
        (home / "snapshots" / snapshot_id / "manifest.json").unlink()
    await node.aclose()
    node = await LocalNode.start(ServerConfig(home, KEY))
    try:
        # one that nobody rests on is gone whole; the other stays, and says what is wrong
        assert [path.name for path in (home / "snapshots").iterdir()] == [paused.snapshot]
        assert [info.id for info in await node.snapshots()] == [paused.snapshot]
        for from_disk in (False, True):
            with pytest.raises(MachineError, match=r"files of snapshot .* are gone") as caught:
                await node.resume(sandbox_id, from_disk=from_disk)
            assert "kill it" in str(caught.value.hint)
        assert "not-resumed" in await kinds(node, sandbox_id)
        await node.kill(sandbox_id)
        assert list((home / "snapshots").iterdir()) == []
    finally:
        await node.aclose()


async def test_what_an_earlier_machine_left_in_its_folder_says_nothing_of_the_next(node: LocalNode) -> None:
    sandbox_id = (await node.create(SPEC)).id
    paused = await node.pause(sandbox_id)
    directory = node._directory(sandbox_id)
    # as a server that was killed while it booted it from its disk would leave it
    note_booted(directory, read_snapshot(node.config.home, str(paused.snapshot)).manifest.fit)
    await node.resume(sandbox_id)
    assert booted_fit(directory) is None


async def test_a_pause_that_fails_leaves_a_frozen_desktop_frozen(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox_id = (await node.create(SPEC)).id
    await output(node, sandbox_id, "true")
    async with asyncio.timeout(30):
        while not (await node.freeze(sandbox_id)).frozen:
            await asyncio.sleep(0.1)

    def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.files, "new_directory", full)
    with pytest.raises(MachineError, match="No space left"):
        await node.pause(sandbox_id)
    assert (await node.get(sandbox_id)).frozen
