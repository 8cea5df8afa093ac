"""Asks the kernel whether an X application has read what the X server sent it. Needs root, as a debugger does."""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import os
import socket
import termios
from collections.abc import Iterator
from pathlib import Path

_PIDFD_GETFD = 438  # the same number on every architecture
_libc = ctypes.CDLL(None, use_errno=True)


def has_read_everything(pid: int) -> bool | None:
    """Whether the process sleeps with nothing unread in its X sockets; None if it cannot be told, or is gone."""
    try:
        sleeps = _main_thread_sleeps(pid)
        unread = sum(_unread_bytes(sock) for sock in _x_sockets(pid))
    except OSError:
        return None
    return sleeps and unread == 0


def _main_thread_sleeps(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return stat.rpartition(")")[2].split()[0] == "S"


def _unread_bytes(sock: socket.socket) -> int:
    with sock:
        count = array.array("i", [0])
        fcntl.ioctl(sock, termios.FIONREAD, count)
        return count[0]


def _x_sockets(pid: int) -> Iterator[socket.socket]:
    process = os.pidfd_open(pid)
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(entry.path).startswith("socket:"):
                    yield from _if_x(process, int(entry.name))
    finally:
        os.close(process)


def _if_x(process: int, number: int) -> Iterator[socket.socket]:
    copy = _libc.syscall(_PIDFD_GETFD, process, number, 0)
    if copy < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    sock = socket.socket(fileno=copy)
    peer: bytes | str = b""
    if sock.family == socket.AF_UNIX:
        with contextlib.suppress(OSError):
            peer = sock.getpeername()
    if b".X11-unix/X" in (peer if isinstance(peer, bytes) else os.fsencode(peer)):
        yield sock
    else:
        sock.close()
