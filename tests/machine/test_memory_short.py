"""Memory is short: idle desktops go to disk before the kernel kills anything, new ones are refused, nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from actions.model import CursorPosition
from desktop_sandbox.config import ServerConfig
from desktop_sandbox.errors import CapacityError, ConflictError, SnapshotMismatchError
from desktop_sandbox.microvm.host import process_own_mib
from desktop_sandbox.node import capacity, core, reclaiming, saving
from desktop_sandbox.node.capacity import Figures
from desktop_sandbox.node.facts import CommandExit, CommandOutput, CommandSpec, SandboxSpec, SandboxState
from desktop_sandbox.node.local import LocalNode
from tests.conftest import make_home

pytestmark = pytest.mark.machine
SPEC = SandboxSpec(template="minimal", timeout_s=None, freeze_after_s=1.0)
S = SandboxState


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[LocalNode]:
    found = await LocalNode.start(ServerConfig(make_home(tmp_path / "home"), "unused-key-0123456"))
    yield found
    await found.kill_all()
    await found.aclose()


async def output(node: LocalNode, sandbox_id: str, command: str) -> str:
    text = ""
    async for piece in node.run_command(sandbox_id, CommandSpec(command)):
        if isinstance(piece, CommandOutput):
            text += piece.data.decode()
        else:
            assert isinstance(piece, CommandExit)
    return text.strip()


async def states(node: LocalNode, *ids: str) -> list[SandboxState]:
    return [(await node.get(sandbox_id)).state for sandbox_id in ids]


async def until(node: LocalNode, sandbox_id: str, state: SandboxState) -> None:
    async with asyncio.timeout(90):
        while (await node.get(sandbox_id)).state is not state:
            await asyncio.sleep(0.1)


async def frozen(node: LocalNode, *ids: str) -> None:
    async with asyncio.timeout(120):
        while not all([(await node.get(sandbox_id)).frozen for sandbox_id in ids]):
            await asyncio.sleep(0.1)


async def test_idle_desktops_go_to_disk_and_come_back_with_the_next_call(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = (await node.create(SPEC)).id
    newer = (await node.create(SPEC)).id
    busy = (await node.create(replace(SPEC, freeze_after_s=0.0))).id
    await output(node, oldest, "echo kept > /dev/shm/kept")
    await output(node, newer, "echo too > /dev/shm/kept")
    await frozen(node, oldest, newer)

    # short by so much that one has to go: that which nobody used for longest
    room = [500]
    real = reclaiming.read_figures

    def figures(home: Path, sandboxes: int) -> Figures:
        gone = len([1 for name in (oldest, newer, busy) if name not in node._live])
        return replace(real(home, sandboxes), available_memory_mib=room[0] + gone * 1000)

    with monkeypatch.context() as patch:
        patch.setattr(reclaiming, "read_figures", figures)
        await until(node, oldest, S.PAUSED)
        await asyncio.sleep(3)
        assert await states(node, oldest, newer, busy) == [S.PAUSED, S.RUNNING, S.RUNNING]
        room[0] = -5000  # as short as can be: what was told not to stand still stays all the same
        await until(node, newer, S.PAUSED)
        await asyncio.sleep(3)
        assert await states(node, oldest, newer, busy) == [S.PAUSED, S.PAUSED, S.RUNNING]
    events = (await node.why(oldest))["events"]
    assert "memory was short" in next(event for event in events if event["kind"] == "paused")["data"]["because"]

    # nobody asked for that pause: the next call brings it back as it was, whatever auto_resume says
    assert await output(node, oldest, "cat /dev/shm/kept") == "kept"
    await node.act(newer, (CursorPosition(),), batch_id="one")
    assert await output(node, newer, "cat /dev/shm/kept") == "too"
    assert [info.kind for info in await node.snapshots()] == []


COUNT = (
    "nohup sh -c 'n=0; while sleep 0.2; do n=$((n+1)); echo $n > /tmp/new; mv /tmp/new /tmp/count; done'"
    " > /dev/null 2>&1 & sleep 1"
)


async def test_what_works_unwatched_is_held_meanwhile_and_goes_to_disk_last(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, idle = (await node.create(SPEC)).id, (await node.create(SPEC)).id
    never = (await node.create(replace(SPEC, freeze_after_s=0.0))).id
    await output(node, works, COUNT)
    await output(node, never, COUNT)
    await frozen(node, idle)
    await asyncio.sleep(2)
    held: set[str] = set()
    room = [500]
    real = reclaiming.read_figures

    def figures(home: Path, sandboxes: int) -> Figures:
        held.update(name for name, live in node._live.items() if live.held_at is not None)
        gone = len([1 for name in (works, idle, never) if name not in node._live])
        return replace(real(home, sandboxes), available_memory_mib=room[0] + gone * 5000)

    with monkeypatch.context() as patch:
        patch.setattr(reclaiming, "read_figures", figures)
        async with asyncio.timeout(60):
            while works not in held:
                await asyncio.sleep(0.05)
        await until(node, idle, S.PAUSED)
        assert held == {works}  # not what must never stand still
        async with asyncio.timeout(60):  # and it goes on by itself, with what it did
            while node._live[works].held_at is not None:
                await asyncio.sleep(0.1)
        before = int(await output(node, works, "cat /tmp/count"))
        room[0] = -20_000
        await until(node, works, S.PAUSED)
        assert await states(node, works, idle, never) == [S.PAUSED, S.PAUSED, S.RUNNING]
        assert int(await output(node, never, "sleep 1; cat /tmp/count")) > 5
    after = int(await output(node, works, "sleep 1; cat /tmp/count"))
    assert after > before


async def test_what_comes_back_takes_the_place_of_what_is_idle_and_new_ones_are_refused(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (await node.create(SPEC)).id
    await frozen(node, first)
    await node.pause_idle(first, "a test")
    second = (await node.create(SPEC)).id
    await frozen(node, second)
    enough = node.limits

    def check_room(count: int = 1, each_mib: int = 0) -> None:
        if node._live or count > 1:
            raise CapacityError("memory is short: a test", hint="kill a sandbox", short="memory")

    with monkeypatch.context() as patch:
        patch.setattr(node, "_check_room", check_room)
        with pytest.raises(CapacityError):
            await node.create(SPEC)
        assert await states(node, first, second) == [S.PAUSED, S.RUNNING]
        assert await output(node, first, "echo here") == "here"
        assert await states(node, first, second) == [S.RUNNING, S.PAUSED]
        with pytest.raises(CapacityError, match="no room for a fork into 3") as caught:
            await node.fork(first, 3)
        assert "fork into fewer" in str(caught.value.hint)
    assert [info.kind for info in await node.snapshots()] == ["pause"], "nothing was saved for that fork"
    node.limits = enough
    assert await output(node, second, "echo there") == "there"


FILL = """
import os, sys
block = os.urandom(4096) * 256
with open("/dev/shm/filled", "wb") as file:
    for _ in range(int(sys.argv[1])):
        file.write(block)
"""
SUM = """
import zlib
sum = 1
with open("/dev/shm/filled", "rb") as file:
    while block := file.read(1 << 20):
        sum = zlib.adler32(block, sum)
print(sum)
"""


async def test_guests_that_fill_their_memory_on_a_full_host(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guests really write it, and what is free is the host's memory less what their machines really take. Only how
    large the host is the test says: what is left of the real one changes with whatever else runs there."""

    async def holds(sandbox_id: str) -> str:
        return await output(node, sandbox_id, f"python3 -c '{SUM}'")

    async def fill(sandbox_id: str, mib: int) -> str:
        await output(node, sandbox_id, f"python3 -c '{FILL}' {mib}")
        return await holds(sandbox_id)

    def taken_mib() -> int:
        return sum(process_own_mib(live.machine.process.pid) for live in node._live.values())

    first, second = [(await node.create(SPEC)).id for _ in range(2)]
    greedy = (await node.create(replace(SPEC, freeze_after_s=0.0))).id
    sums = {one: await fill(one, 16) for one in (first, second)}
    await frozen(node, first, second)
    host_mib = taken_mib() + node.limits.reserve_memory_mib + 50

    def figures(home: Path, sandboxes: int) -> Figures:
        return replace(capacity.read_figures(home, sandboxes), available_memory_mib=host_mib - taken_mib())

    with monkeypatch.context() as patch:
        for part in (core, reclaiming, saving):
            patch.setattr(part, "read_figures", figures)
        await asyncio.sleep(1.2)
        assert await states(node, first, second, greedy) == [S.RUNNING] * 3, "there is enough"
        sums[greedy] = await fill(greedy, 90)
        await until(node, first, S.PAUSED)
        await until(node, second, S.PAUSED)
        with pytest.raises(CapacityError, match=r"memory is short: .* kept for the host"):
            await node.create(SPEC)
        assert await states(node, greedy) == [S.RUNNING], "it fills the host, but was told never to stand still"
        assert await holds(greedy) == sums[greedy]

        # and all of them come back as they were, one in the place of another
        await node.pause(greedy)
        for one in (first, second):
            assert await holds(one) == sums[one]
            await frozen(node, one)
        await node.resume(greedy)
        assert await holds(greedy) == sums[greedy]


async def test_its_time_goes_on_and_a_pause_on_purpose_is_one(node: LocalNode) -> None:
    ends = (await node.create(SPEC)).id
    rests = (await node.create(replace(SPEC, on_timeout="pause"))).id
    asked = (await node.create(SPEC)).id
    await frozen(node, ends, rests, asked)
    for one in (ends, rests):
        await node.set_timeout(one, 20)
    for one in (ends, rests, asked):
        assert await node.pause_idle(one, "a test")
    expires = (await node.get(ends)).expires_at
    assert expires is not None
    assert expires - time.time() < 20
    assert (await node.pause(asked)).state is S.PAUSED
    with pytest.raises(ConflictError, match="paused"):
        await output(node, asked, "true")
    await until(node, ends, S.DEAD)
    async with asyncio.timeout(60):
        while (await node.store.get(rests)).put_away:
            await asyncio.sleep(0.1)
    with pytest.raises(ConflictError, match="paused"):
        await output(node, rests, "true")
    await node.resume(rests)
    assert await output(node, rests, "echo here") == "here"


async def test_what_could_not_come_back_is_not_put_away_but_by_its_timeout(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = (await node.create(replace(SPEC, on_timeout="pause"))).id
    await output(node, one, "echo kept > /home/user/kept")
    await frozen(node, one)
    # as if this server had found it running, under the QEMU of before
    newer = replace(node.hypervisor, qemu=replace(node.hypervisor.qemu, version="99.0"))
    with monkeypatch.context() as patch:
        patch.setattr(node, "hypervisor", newer)
        for put_away in (node.pause(one), node.pause_idle(one, "a test")):
            with pytest.raises(SnapshotMismatchError, match=r"could not be resumed here: .*99\.0"):
                await put_away
        assert await states(node, one) == [S.RUNNING]
        # where memory is short it is not tried again and again
        assert await node._relieve() is False
        assert node._idle() == []
        with pytest.raises(SnapshotMismatchError):
            await node.fork(one, 2)
        assert await node.snapshots() == []
        assert await output(node, one, "cat /home/user/kept") == "kept"
        # else it would end, with its disk
        await node.set_timeout(one, 1)
        await until(node, one, S.PAUSED)


async def test_what_is_called_comes_back_though_nothing_else_has_come_to_rest(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, older, newer = [(await node.create(replace(SPEC, freeze_after_s=600.0))).id for _ in range(3)]
    await output(node, called, "echo kept > /dev/shm/kept")
    async with node._end_lock(called):
        await node._pause(node._live[called], {"because": "a test"})
    await output(node, older, "echo too > /dev/shm/kept")
    await output(node, newer, "true")
    real = core.read_figures

    def figures(home: Path, sandboxes: int) -> Figures:  # there is room for two
        room = 1024 + (2 - len(node._live)) * 1000 + 500
        return replace(real(home, sandboxes), available_memory_mib=room if len(node._live) < 2 else 1024)

    with monkeypatch.context() as patch:
        patch.setattr(core, "read_figures", figures)
        patch.setattr(reclaiming, "_UNUSED_S", 600.0)
        with pytest.raises(CapacityError):  # both were used just now
            await node.resume(called)
        patch.setattr(reclaiming, "_UNUSED_S", 0.5)
        await asyncio.sleep(1)
        assert await output(node, called, "cat /dev/shm/kept") == "kept"
        assert await states(node, called, older, newer) == [S.RUNNING, S.PAUSED, S.RUNNING]
    assert await output(node, older, "cat /dev/shm/kept") == "too"
