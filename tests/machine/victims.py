"""Kills a machine or the media process of a server that stands still at a named step for that (snapshots/faults.py)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from desktop_sandbox.snapshots.faults import REACHED, WAITS
from tests.conftest import RealServer
from tests.machine.support import eventually, gone

MARKS = {"qemu": b"\0guest=", "streamer": b"\0--control-fd\0"}
"""What stands in the command line of each, and of the wall around it."""


@contextlib.contextmanager
def dies(server: RealServer, victim: str, place: str) -> Iterator[None]:
    """In this block the server's youngest such process dies when the server comes to `place`; it has to come there.

    The server reads its places from HOME/die-at.
    """
    assert server.process is not None
    named = server.home / "die-at"
    reached = named.with_name(named.name + REACHED)
    over = threading.Event()
    killer = threading.Thread(target=_kill, args=(reached, server.process.pid, MARKS[victim], over), daemon=True)
    named.write_text(f"{place}={WAITS}")
    killer.start()
    try:
        yield
        assert not named.exists(), f"{place} was not passed"
        eventually(lambda: not reached.exists(), seconds=10)
    finally:
        over.set()
        killer.join(10)
        named.unlink(missing_ok=True)
        reached.unlink(missing_ok=True)


def _kill(reached: Path, server: int, mark: bytes, over: threading.Event) -> None:
    while not reached.exists():
        if over.wait(0.001):
            return
    _, pid = max((begun, pid) for pid, begun in _below(server) if mark in _command_line(pid))
    os.kill(pid, signal.SIGKILL)
    while not gone(pid) and not over.wait(0.001):
        pass
    reached.unlink()


def _below(pid: int) -> Iterator[tuple[int, int]]:
    """All processes below one, and when each began (ticks since boot)."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            if (begun := _begun(child)) is not None:
                yield child, begun
                yield from _below(child)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _begun(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None
