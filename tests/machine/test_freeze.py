"""Idle desktops stand still in memory, busy ones never do; the next call finds them as they were, at the right time."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.microvm.host import process_cpu_seconds
from tests.conftest import RealServer
from tests.machine.support import eventually, machine_pid

pytestmark = pytest.mark.machine


PYTHON = """
import time
while True:
    time.sleep(1)
    open("/tmp/count", "a").write(f"x {time.time()}\\n")
"""


ASYNCIO = """
import asyncio, time
async def work():
    while True:
        await asyncio.sleep(4)
        open("/tmp/count", "a").write(f"x {time.time()}\\n")
asyncio.run(work())
"""
SECOND_THREAD = """
import threading, time
def work():
    while True:
        time.sleep(4)
        open("/tmp/count", "a").write(f"x {time.time()}\\n")
threading.Thread(target=work).start()
"""


def is_frozen(sandbox: Sandbox) -> bool:
    return sandbox.get_info().frozen


def test_an_idle_desktop_stands_still_and_wakes_for_the_next_call(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(freeze_after=2)
    assert sandbox.get_info().freeze_after == 2
    sandbox.move_mouse(30, 40)
    # an open terminal that waits for keys is no work
    sandbox.commands.run("nohup sh -c 'mkfifo /tmp/never; read line < /tmp/never' > /dev/null 2>&1 &")
    eventually(lambda: is_frozen(sandbox))
    assert sandbox.get_info().state == "running"
    pid = machine_pid(sandbox)
    assert sandbox.why()["agent"] == {"frozen": True}

    used = process_cpu_seconds(pid)
    began = time.monotonic()
    pictures = {sandbox.screenshot("raw") for _ in range(3)}
    eventually(lambda: time.monotonic() - began > 3)
    assert len(pictures) == 1
    assert is_frozen(sandbox)
    assert process_cpu_seconds(pid) - used < 0.1

    earliest = time.time()
    said = float(sandbox.commands.run("date +%s.%N").stdout)
    assert earliest - 0.5 < said < time.time() + 0.5
    assert not is_frozen(sandbox)
    assert sandbox.get_cursor_position() == (30, 40)

    # and again, woken by an action and by a checkpoint
    eventually(lambda: is_frozen(sandbox))
    sandbox.move_mouse(50, 60)
    assert sandbox.get_cursor_position() == (50, 60)
    eventually(lambda: is_frozen(sandbox))
    sandbox.files.write("/tmp/kept", "kept")
    eventually(lambda: is_frozen(sandbox))
    saved = sandbox.checkpoint()
    sandbox.rollback(saved)
    assert sandbox.files.read("/tmp/kept") == "kept"
    eventually(lambda: is_frozen(sandbox))
    sandbox.pause()
    assert not is_frozen(sandbox)
    sandbox.resume()
    assert sandbox.commands.run("cat /tmp/kept").stdout == "kept"


JOBS = {
    "n=0; while sleep 0.2; do n=$((n+1)); echo $n $(date +%s) >> /tmp/count; done": 0.2,
    f"exec python3 -c '{PYTHON}'": 1,
    f"exec python3 -c '{ASYNCIO}'": 4,
    f"exec python3 -c '{SECOND_THREAD}'": 4,
}
"""What works in the background → how often it does something, in seconds."""


def longest_pause(sandbox: Sandbox) -> float:
    """Of its job, in seconds."""
    times = [float(line.split()[1]) for line in sandbox.files.read("/tmp/count").splitlines()]
    assert len(times) > 3
    return max(later - earlier for earlier, later in pairwise(times))


def test_what_works_in_the_background_is_not_delayed(make_sandbox: Callable[..., Sandbox]) -> None:
    def working(job: str, freeze_after: int) -> Sandbox:
        made = make_sandbox(freeze_after=freeze_after)
        made.files.write("/tmp/job", job)
        made.commands.run("nohup sh /tmp/job > /tmp/said 2>&1 &")
        return made

    idle = make_sandbox(freeze_after=2)
    usual = working(next(iter(JOBS)), 0)  # never stands still: on a busy host nobody's work goes on all the time
    busy = [working(job, 2) for job in JOBS]
    began = time.monotonic()
    # as long as it takes another one, which has nothing to do, to be frozen, and once more
    rounds = 0
    while rounds < 2 or time.monotonic() - began < 6 * max(JOBS.values()):
        rounds += 1
        eventually(lambda: is_frozen(idle))
        assert not any(map(is_frozen, busy))
        idle.move_mouse(1, 1)
    eventually(lambda: is_frozen(idle))
    assert not any(map(is_frozen, busy))
    usual_s = longest_pause(usual)
    for sandbox, (job, every_s) in zip(busy, JOBS.items(), strict=True):
        assert longest_pause(sandbox) < every_s + 2 + 2 * usual_s, job
        # what has ended is no work any more
        sandbox.commands.run("pkill -f '[/]tmp/(job|count)'", check=False)
    eventually(lambda: all(map(is_frozen, busy)), seconds=120)


def test_one_that_never_shall_and_one_that_runs_a_command_never_do(make_sandbox: Callable[..., Sandbox]) -> None:
    never = make_sandbox(freeze_after=0)
    idle, running = make_sandbox(freeze_after=2), make_sandbox(freeze_after=2)
    output = running.commands.stream("echo begun; exec sleep 1000", timeout=None)
    assert next(output)
    for _ in range(2):
        eventually(lambda: is_frozen(idle))
        assert not is_frozen(running)
        assert not is_frozen(never)
        idle.move_mouse(1, 1)
    output.close()


def test_a_frozen_desktop_outlives_its_server(own_server: RealServer) -> None:
    own_server.start(DESKTOP_SANDBOX_FREEZE_AFTER="2")
    sandbox = Sandbox.create("minimal", timeout=None, **own_server.client())
    sandbox.files.write("/tmp/kept", "kept")
    eventually(lambda: is_frozen(sandbox))
    own_server.kill()
    own_server.start(DESKTOP_SANDBOX_FREEZE_AFTER="2")
    assert sandbox.files.read("/tmp/kept") == "kept"
    earliest = time.time()
    assert earliest - 1.5 < float(sandbox.commands.run("date +%s").stdout) < time.time() + 0.5
    # a template that does not say how long its machine was up is learned from a child that this server made
    other = Sandbox.create("minimal", timeout=None, **own_server.client())
    other.commands.run("true")  # else nobody need look into it
    eventually(lambda: is_frozen(other))
    eventually(lambda: is_frozen(sandbox), seconds=120)
    for one in (sandbox, other):
        one.kill()


def test_freeze_stops_what_works_at_once_and_thaw_lets_it_go_on(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(freeze_after=0)
    sandbox.commands.run("nohup sh -c 'while sleep 0.1; do echo x >> /tmp/count; done' > /dev/null 2>&1 &")
    assert sandbox.freeze().frozen
    used = process_cpu_seconds(machine_pid(sandbox))
    time.sleep(1.5)
    assert process_cpu_seconds(machine_pid(sandbox)) - used < 0.1
    assert is_frozen(sandbox)
    assert not sandbox.thaw().frozen
    count = int(sandbox.commands.run("touch /tmp/count; wc -l < /tmp/count").stdout)
    eventually(lambda: int(sandbox.commands.run("wc -l < /tmp/count").stdout) > count, seconds=20)
