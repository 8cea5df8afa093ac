"""Asks the kernel whether an X application has read what the X server sent it. Needs root, as a debugger does."""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import os
import platform
import socket
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PIDFD_GETFD = 438  # the same number on every architecture
_X86_64_WAITS = {7, 23, 232, 270, 271, 281, 441}  # poll, select, epoll_wait, pselect6, ppoll, epoll_pwait(2)
_GENERIC_WAITS = {22, 72, 73, 441}  # epoll_pwait, pselect6, ppoll, epoll_pwait2
_EVENT_WAITS = _X86_64_WAITS if platform.machine() == "x86_64" else _GENERIC_WAITS
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Look:
    """`unread` bytes in the X sockets of a process, and whether its main thread `waits` for events."""

    unread: int
    waits: bool


def look_at(pid: int) -> Look | None:
    """How far a process has read; None if the kernel does not tell."""
    try:
        waits = _waits_for_events(pid)
        return Look(sum(_unread_bytes(sock) for sock in _x_sockets(pid)), waits)
    except OSError:
        return None


def _waits_for_events(pid: int) -> bool:
    """Whether the main thread is in poll, select or epoll_wait, and not in some other sleep amid its work."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        call = Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()[0]
        return call.isdigit() and int(call) in _EVENT_WAITS
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
