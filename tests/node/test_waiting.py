"""Whether a thread waits until a time of its own, as a table of what Linux says of it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from desktop_sandbox.node.waiting import SERVICES, is_armed, is_timed

STACK = " 0x7fffc90dc0e8 0x7f0997326ef3"


def call(number: int, *arguments: int, stack: str = STACK) -> str:
    """A line of /proc/PID/syscall."""
    six = [*arguments, *[0] * (6 - len(arguments))]
    return f"{number}{''.join(f' {value:#x}' for value in six)}{stack}"


@pytest.mark.parametrize(
    ("said", "wchan", "timed"),
    [
        (call(232, 3, 0x7F09970C4940, 1, 0x1F40), "do_epoll_wait", True),
        (call(232, 3, 0x7F09970C4940, 1, 0xFFFFFFFF), "do_epoll_wait", False),
        (call(281, 3, 0x7F09970C4940, 1, 0xFFFFFFFFFFFFFFFF), "do_epoll_wait", False),
        (call(281, 3, 0x7F09970C4940, 1, 60_000), "do_epoll_wait", True),
        (call(441, 3, 1, 1, 0x7F0), "do_epoll_wait", True),
        (call(441, 3, 1, 1, 0), "do_epoll_wait", False),
        (call(7, 0x7F0, 1, 60_000), "do_poll", True),
        (call(7, 0x7F0, 1, 0xFFFFFFFF), "do_poll", False),
        # the upper half of an int's register is nobody's
        (call(7, 0x7F0, 1, 0xABCD0000EA60), "do_poll", True),
        (call(271, 0x7F0, 1, 0x7F1), "do_poll", True),
        (call(271, 0x7F0, 1, 0), "do_poll", False),
        (call(23, 1, 0x7F0, 0, 0, 0x7F1), "do_select", True),
        (call(23, 1, 0x7F0, 0, 0, 0), "do_select", False),
        (call(270, 1, 0x7F0, 0, 0, 0x7F1, 0x7F2), "do_select", True),
        (call(270, 1, 0x7F0, 0, 0, 0, 0x7F2), "do_select", False),
        (call(202, 0x7F0, 0x189, 0, 0x7F1), "futex_wait_queue", True),
        (call(202, 0x7F0, 0x80, 0, 0x7F1), "futex_wait_queue", True),
        (call(202, 0x7F0, 0x189, 0, 0), "futex_wait_queue", False),
        (call(202, 0x7F0, 0x81, 1, 0x7F1), "0", False),  # it wakes others
        (call(35, 0x7F0, 0), "hrtimer_nanosleep", True),
        (call(230, 0, 0, 0x7F0), "0", True),
        (call(128, 0x7F0, 0, 0x7F1), "do_sigtimedwait", True),
        (call(128, 0x7F0, 0, 0), "do_sigtimedwait", False),
        (call(34), "pause", True),
        (call(61, 0xFFFFFFFF), "do_wait", False),
        (call(0, 0, 0x7F0, 1024), "pipe_read", False),
        # after a checkpoint the call goes on under another number
        (call(219, 0x7F0, 1, 0xFFFFFFFF), "do_sys_poll", False),
        (call(219, 0x7F0, 1, 60_000), "do_sys_poll", True),
        (call(219, 0x7F0, 0x80, 0xFFFFFFFF), "futex_wait_queue", True),
        (call(426, 4, 0, 1, 9, 0x7F0, 24), "io_cqring_wait", True),
        (call(426, 4, 0, 1, 1), "io_cqring_wait", False),
        (f"-1{STACK}", "0", False),
        # in doubt
        ("running", "0", True),
        (None, "0", True),
        ("nonsense", "0", True),
        (call(0, 0, 0x7F0, 1024, stack=" 0xffc90dc0 0xf7326ef3"), "pipe_read", True),
    ],
)
def test_a_wait_with_a_limit_is_timed(said: str | None, wchan: str, timed: bool) -> None:
    assert is_timed(said, wchan) is timed


@pytest.mark.parametrize(("value", "armed"), [(" (0, 0)", False), (" (59, 1000)", True), ("(0, 1)", True), ("?", True)])
def test_a_timer_is_armed(value: str, armed: bool) -> None:
    assert is_armed(value) is armed


def test_services_are_known_by_their_whole_name() -> None:
    assert all(SERVICES.fullmatch(name) for name in ("dbus-daemon", "gvfsd-fuse", "xdg-desktop-por", "systemd-hostnam"))
    assert not any(SERVICES.fullmatch(name) for name in ("systemd", "python3", "my-dbus-daemon", "sleep", "gvf"))


WAITS = {
    "asyncio": ("import asyncio; print(flush=True); asyncio.run(asyncio.sleep(600))", True),
    "poll": ("import select; print(flush=True); select.poll().poll(600_000)", True),
    "event": ("import threading; print(flush=True); threading.Event().wait(600)", True),
    "select": ("import select; print(flush=True); select.select([], [], [], 600)", True),
    "pipe": ("import sys; print(flush=True); sys.stdin.read()", False),
    "lock": ("import threading; print(flush=True); threading.Event().wait()", False),
}


@pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="reads system calls of x86-64 as root")
@pytest.mark.parametrize("name", WAITS)
def test_what_this_kernel_says_of_real_waits(name: str) -> None:
    code, timed = WAITS[name]
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            folder = Path(f"/proc/{process.pid}")
            deadline, pause = 300, threading.Event()
            for _ in range(deadline):
                # until it waits
                if (folder / "stat").read_text().rpartition(")")[2].split()[0] == "S":
                    said, wchan = (folder / "syscall").read_text().strip(), (folder / "wchan").read_text().strip()
                    if is_timed(said, wchan) is timed:
                        break
                pause.wait(0.1)
            else:
                pytest.fail(f"{name}: {said} in {wchan}")
            assert not select.select([process.stdout], [], [], 0)[0]
        finally:
            process.kill()
