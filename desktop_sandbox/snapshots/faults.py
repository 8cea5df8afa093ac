"""Places where a test lets a process die, to see what is found afterwards. Nothing happens unless the environment names
one of them: DESKTOP_SANDBOX_DIE_AT=promote.renamed, or promote.renamed:2 for the second time it is passed;
@/path for a file that names one, or none as long as it is not there.

It is the server that dies, or with save.captured=qemu its youngest machine, =streamer its media process. Then the file
that named it is removed once they are dead: the server, which goes on, was there.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "DESKTOP_SANDBOX_DIE_AT"
_VICTIMS = {"qemu": b"\0guest=", "streamer": b"\0--control-fd\0"}
"""What stands in the command line of each, and of the wall around it."""
_GONE_S = 5.0
_passed: Counter[str] = Counter()


def fault_point(name: str) -> None:
    """Have what a test asked for die here (SIGKILL)."""
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return
    file = Path(wanted[1:]) if wanted.startswith("@") else None
    if file is not None:
        try:
            wanted = file.read_text()
        except FileNotFoundError:
            return
    place, _, times = wanted.partition(":")
    place, _, victim = place.partition("=")
    if name == place:
        _passed[wanted] += 1
        if _passed[wanted] == int(times or 1):
            _end(victim)
            _passed[wanted] = 0
            if file is not None:
                file.unlink()


def _end(victim: str) -> None:
    """Kill this process, or the youngest of a kind below it; return when that is dead."""
    if not victim:
        os.kill(os.getpid(), signal.SIGKILL)
    mark = _VICTIMS[victim]
    _, pid = max((begun, pid) for pid, begun in _below(os.getpid()) if mark in _command_line(pid))
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_S
    while _stat(pid)[:1] not in ([], ["Z"], ["X"]) and time.monotonic() < deadline:
        time.sleep(0.001)


def _below(pid: int) -> Iterator[tuple[int, int]]:
    """All processes below one, and when each began (ticks since boot)."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            if fields := _stat(child):
                yield child, int(fields[19])
                yield from _below(child)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
