"""Who waits for a machine is what makes its process nice or not; a real process stands for QEMU."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_sandbox.microvm import standing as standing_module
from desktop_sandbox.microvm.host import boot_id, process_start_time
from desktop_sandbox.microvm.process import ProcessId
from desktop_sandbox.microvm.standing import NICE, Beginners, Standing

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a process less nice again")


@pytest.fixture
def process() -> Iterator[ProcessId]:
    """A process that sleeps, with a second thread, in a session of its own."""
    program = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); print('up', flush=True)"
    with subprocess.Popen(["python3", "-c", program], start_new_session=True, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        start_time = process_start_time(child.pid)
        assert start_time is not None
        yield ProcessId(child.pid, start_time, boot_id())
        child.kill()


def nice(process: ProcessId) -> set[int]:
    """Of its threads, and of its autogroup, where there is one."""
    found = {os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in os.listdir(f"/proc/{process.pid}/task")}
    group = Path(f"/proc/{process.pid}/autogroup")
    if group.exists() and (text := group.read_text().split()):
        found.add(int(text[-1]))
    return found


async def settled() -> None:
    await asyncio.sleep(0.25)


@needs_root
async def test_it_gives_way_when_the_last_has_gone_and_not_before(process: ProcessId) -> None:
    standing = Standing(process)
    standing.begin()
    with standing.awaited():
        await settled()
        assert nice(process) == {0}
    await settled()
    assert nice(process) == {0}
    standing.end()
    await settled()
    assert nice(process) == {NICE}
    with standing.awaited():
        assert nice(process) == {0}
    with standing.awaited():
        await settled()
        assert nice(process) == {0}


@needs_root
async def test_a_watched_machine_does_not_give_way(process: ProcessId) -> None:
    standing = Standing(process)
    standing.watched = True
    standing.watched = True
    with standing.awaited():
        pass
    await settled()
    assert nice(process) == {0}
    standing.watched = False
    await settled()
    assert nice(process) == {NICE}


async def test_few_begin_at_once_and_nobody_waits_for_ever() -> None:
    beginners, at_once, most = Beginners(2), 0, 0

    async def begin() -> None:
        nonlocal at_once, most
        async with beginners.turn():
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1

    await asyncio.gather(*(begin() for _ in range(7)))
    assert most == 2
    hasty = Beginners(1, patience_s=0.05)
    async with hasty.turn(), hasty.turn():  # the first hangs
        pass
    async with hasty.turn():
        pass


async def test_who_has_begun_stands_aside_until_no_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    beginners, told = Beginners(2), []
    with contextlib.ExitStack() as all_but_one:
        for _ in range(2):
            all_but_one.enter_context(beginners.first_action())
        assert not beginners.crowded, "there is a processor for each"
        with beginners.first_action():
            assert beginners.crowded
        beginners.stand_aside(lambda: told.append("goes on"))
        assert told == []
    assert told == ["goes on"]
    assert not beginners.crowded


async def test_nobody_stands_aside_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing_module, "_ASIDE_S", 0.05)
    beginners, goes_on = Beginners(2), asyncio.Event()
    with beginners.first_action():  # it hangs
        beginners.stand_aside(goes_on.set)
        await asyncio.wait_for(goes_on.wait(), 5)


@needs_root
async def test_a_machine_given_up_is_left_as_it_is(process: ProcessId) -> None:
    standing = Standing(process)
    with standing.awaited():
        pass
    standing.close()
    await settled()
    assert nice(process) == {0}


async def test_another_process_of_the_same_id_is_left_alone(process: ProcessId) -> None:
    standing = Standing(ProcessId(process.pid, process.start_time - 1, process.boot))
    before = nice(process)
    with standing.awaited():
        pass
    await settled()
    assert nice(process) == before


async def test_without_root_nothing_gives_way_as_it_could_not_come_back(process: ProcessId) -> None:
    standing = Standing(process, allowed=False)
    before = nice(process)
    with standing.awaited():
        pass
    await settled()
    assert nice(process) == before
