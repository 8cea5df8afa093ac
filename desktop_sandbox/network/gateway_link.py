"""The server's side of the gateway: started when the first sandbox needs it, started again if it dies, ended verified.

Messages are JSON over a SOCK_SEQPACKET socket. To the gateway: {"number", "do": "add"|"policy"|"remove", "sandbox",
"policy"}, with "add" the listener and the socket for names beside it. From it: {"done": number, "error"}, {"entries":
[[sandbox, log entry]]}, {"counters": {sandbox: counters}}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.wall import Wall, end_process
from desktop_sandbox.network.gateway import MAX_MESSAGE

log = logging.getLogger("desktop_sandbox.network")

_FILES = 65536
_LOG_BYTES = 1 << 20
_DONE_S = 20.0
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_STEADY_S = 30.0


class GatewayLink:
    """One gateway process. `heard` gets what it tells; `lost` is called when it has ended by itself."""

    def __init__(
        self,
        wall: Wall,
        log_path: Path,
        servers: Sequence[str],
        *,
        heard: Callable[[dict[str, Any]], None],
        lost: Callable[[], None],
    ) -> None:
        self._wall = wall
        self._log_path = log_path
        self._servers = servers
        self._heard = heard
        self._lost = lost
        self._socket: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._number = 0
        self._starting = asyncio.Lock()
        self._launching: asyncio.Task[None] | None = None
        self._closed = False
        self._sending = asyncio.Lock()
        self._started_at = float("-inf")
        self._failures = 0
        self.generation = 0
        """How many were started so far."""

    @property
    def pid(self) -> int | None:
        """The process (of the wall around it), for those who look."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Start it unless it runs; one that fails again and again is given growing pauses."""
        async with self._starting:
            if self._launching is not None:  # who waited for it may be gone
                await asyncio.wait([self._launching])
            if self._socket is not None:
                return
            if time.monotonic() - self._started_at > _STEADY_S:
                self._failures = 0
            if self._failures:
                await asyncio.sleep(min(_LONGEST_PAUSE_S, _PAUSE_S * 2 ** (self._failures - 1)))
            if self._closed:
                raise MachineError("the gateway is closed")
            self._failures += 1
            self._started_at = time.monotonic()
            # a task of its own: who waits may be cancelled, and what was launched must still be somebody's
            self._launching = asyncio.create_task(self._start(), name="gateway's start")
            await asyncio.shield(self._launching)

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            for one in (ours, theirs):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_MESSAGE)
            try:
                self._child = await asyncio.to_thread(self._launch, theirs)
            except OSError as error:
                ours.close()
                raise MachineError(f"the gateway cannot be started: {error}") from error
        ours.setblocking(False)
        self._socket = ours
        self.generation += 1
        asyncio.get_running_loop().add_reader(ours, self._read, ours)
        log.info("gateway = running, pid %d", self._child.pid)

    def _launch(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        with contextlib.suppress(OSError):
            if self._log_path.stat().st_size > _LOG_BYTES:
                self._log_path.unlink()
        argv = [sys.executable, "-m", "desktop_sandbox.network.gateway", "--link-fd", str(theirs.fileno())]
        for server in self._servers:
            argv += ["--dns", server]
        with self._log_path.open("ab") as stderr:
            child = subprocess.Popen(
                self._wall.command(argv, "gateway"), stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        for what, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, _FILES)):
            with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
                resource.prlimit(child.pid, what, (limit, limit))
        return child

    async def ask(self, do: str, sandbox_id: str, *, policy: object = None, descriptors: Sequence[int] = ()) -> None:
        """Have it do something; returns when it is done. MachineError if it is not there, or could not."""
        if self._socket is None:
            raise MachineError("the gateway is not running")
        self._number += 1
        number = self._number
        done = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = json.dumps({"number": number, "do": do, "sandbox": sandbox_id, "policy": policy}).encode()
        try:
            async with asyncio.timeout(_DONE_S):
                await self._send(message, descriptors)
                await done
        except TimeoutError:
            raise MachineError(f"the gateway did not answer within {_DONE_S:.0f} s") from None
        except OSError as error:
            raise MachineError(f"the gateway is gone: {error}") from error
        finally:
            self._waiting.pop(number, None)

    async def _send(self, message: bytes, descriptors: Sequence[int]) -> None:
        async with self._sending:
            while True:
                if self._socket is None:
                    raise MachineError("the gateway is not running")
                try:
                    socket.send_fds(self._socket, [message], descriptors)
                    return
                except BlockingIOError:
                    await asyncio.sleep(0.01)

    def _read(self, link: socket.socket) -> None:
        for _ in range(64):
            try:
                data = link.recv(MAX_MESSAGE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            if not data:
                self._gone(link)
                return
            try:
                self._take(json.loads(data))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning("x gateway: it said something unknown: %s", error)

    def _take(self, message: dict[str, Any]) -> None:
        if "done" not in message:
            self._heard(message)
            return
        waiting = self._waiting.get(message["done"])
        if waiting is not None and not waiting.done():
            if message.get("error") is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(MachineError(f"the gateway could not: {message['error']}"))

    def _gone(self, link: socket.socket) -> None:
        """It closed its end, which only its end does."""
        asyncio.get_running_loop().remove_reader(link)
        link.close()
        self._socket = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(MachineError("the gateway ended"))
        child, self._child = self._child, None
        log.warning("gateway = ended by itself")
        if child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.5)
        self._lost()

    async def aclose(self) -> None:
        """End it, and be sure: one that is just being started, too, and no other is started after it."""
        self._closed = True
        if self._launching is not None:
            await asyncio.wait([self._launching])
        link, self._socket = self._socket, None
        if link is not None:
            asyncio.get_running_loop().remove_reader(link)
            link.close()
        child, self._child = self._child, None
        if child is not None:
            await asyncio.to_thread(end_process, child)
