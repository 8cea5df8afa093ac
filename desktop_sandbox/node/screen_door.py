"""Hands programs of the same user on this host the means to read a sandbox's screen: then they need no server for it.

A unix socket in HOME, a folder that only its owner may enter; the kernel names the caller as well. One line asks for a
sandbox by id; the answer is JSON and a read-only descriptor of the machine's memory, or `{}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sqlite3
import struct
from collections.abc import AsyncIterator
from pathlib import Path

from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.node.guest_calls import GuestCalls

log = logging.getLogger("desktop_sandbox.node")

ASK_BYTES = 256
_AGAIN_S = 0.1
_ASK_S = 5.0
_BACKLOG = 64
_CALLERS = 32


@contextlib.asynccontextmanager
async def screen_door(node: GuestCalls, path: Path) -> AsyncIterator[None]:
    """Answer at `path` while the block runs."""
    listener = _listen(path)
    if listener is None:
        yield
        return
    with listener:
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(_serve(node, listener))
                yield
                serving.cancel()
        finally:
            os.unlink(path)


def _listen(path: Path) -> socket.socket | None:
    """A socket at `path`; None where the path is too long for one: programs then ask the server for every picture."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        return None
    path.chmod(0o600)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


async def _serve(node: GuestCalls, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(_CALLERS)
    async with asyncio.TaskGroup() as tasks:
        while True:
            await room.acquire()
            try:
                caller, _ = await loop.sock_accept(listener)
            except OSError as error:  # no descriptors left, or a caller that went away
                room.release()
                log.warning("x screen door: %s", error)
                await asyncio.sleep(_AGAIN_S)
                continue
            tasks.create_task(_answer(node, caller)).add_done_callback(lambda _: room.release())


async def _answer(node: GuestCalls, caller: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with caller, contextlib.suppress(OSError, TimeoutError):
        caller.setblocking(False)
        if _uid(caller) not in (0, os.getuid()):
            return
        async with asyncio.timeout(_ASK_S):
            asked = (await loop.sock_recv(caller, ASK_BYTES)).decode("ascii", "replace").strip()
            try:
                facts, memory_fd = (await node.live(asked)).view()
            except (DesktopSandboxError, sqlite3.Error):
                await loop.sock_sendall(caller, b"{}")
                return
            # the first byte brings the descriptor; the rest may be too much for one go
            text = json.dumps(facts).encode()
            socket.send_fds(caller, [text[:1]], [memory_fd])
            await loop.sock_sendall(caller, text[1:])


def _uid(caller: socket.socket) -> int:
    """Who is at the other end (man unix, SO_PEERCRED)."""
    _, uid, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
