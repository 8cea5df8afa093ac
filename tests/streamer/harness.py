"""A real streamer process, a server's end of its control socket, and what can be shown to it."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from streamer.control import ControlFrame, ControlSocket
from tests import preloaded
from tests.preloaded import PreloadedProcess

DEADLINE_S = 30.0
XWD_BYTES = 160


async def eventually(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until the condition is true; its value."""
    until = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < until, f"not in time: {what}"
        await asyncio.sleep(0.01)
    return value


class Screen:
    """A framebuffer file as Xvfb writes it, painted by the test itself."""

    def __init__(self, path: Path, width: int = 640, height: int = 400) -> None:
        import struct

        self.path, self.width, self.height = path, width, height
        words = [XWD_BYTES, 7, 2, 24, width, height, 0, 0, 32, 0, 32, 32, 4 * width, 4, 0xFF0000, 0xFF00, 0xFF, 8]
        words += [0] * (25 - len(words))
        head = struct.pack(">25I", *words).ljust(XWD_BYTES, b"\0")
        path.write_bytes(head + bytes(4 * width * height))
        self.pixels = np.memmap(path, np.uint8, "r+", XWD_BYTES, (height, width, 4))

    @property
    def source(self) -> dict[str, Any]:
        return {"kind": "xwd", "width": self.width, "height": self.height}


class Server:
    """The server's end: asks, and keeps the events."""

    def __init__(self, sock: socket.socket, process: PreloadedProcess) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.binary: dict[int, list[bytes]] = {}
        self.on_binary: Callable[[int, bytes], None] | None = None
        self.ended = asyncio.Event()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.control = ControlSocket(sock, self._received, lambda _error: self.ended.set())

    def _received(self, frame: ControlFrame) -> None:
        if frame.message is None:
            self.binary.setdefault(frame.viewer, []).append(frame.data)
            if self.on_binary:
                self.on_binary(frame.viewer, frame.data)
        elif "id" in frame.message:
            self._waiting.pop(frame.message["id"]).set_result(frame.message)
        else:
            self.events.append(frame.message)

    async def ask(self, op: str, fd: int | None = None, **parameters: Any) -> dict[str, Any]:
        """The result, or AssertionError with the error."""
        reply = await self.ask_raw(op, fd, **parameters)
        assert "result" in reply, reply
        return reply["result"]

    async def ask_raw(self, op: str, fd: int | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.control.send({"id": number, "op": op, **parameters}, fd)
        return await asyncio.wait_for(future, DEADLINE_S)

    async def attach(self, sandbox: str, screen: Screen) -> None:
        fd = os.open(screen.path, os.O_RDONLY)
        try:
            await self.ask("desktop.attach", fd, sandbox=sandbox, source=screen.source)
        finally:
            os.close(fd)

    def inputs(self, viewer: int) -> list[dict[str, Any]]:
        return [e for event in self.of("viewer.input", viewer=viewer) for e in event["events"]]

    def of(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        return [
            event
            for event in self.events
            if event["event"] == name and all(event.get(key) == value for key, value in fields.items())
        ]

    def states(self, viewer: int) -> list[str]:
        return [event["state"] for event in self.of("viewer.state", viewer=viewer)]

    async def viewer_stats(self, sandbox: str, viewer: int) -> dict[str, Any]:
        return (await self.ask("stats"))["desktops"][sandbox]["viewers"][str(viewer)]

    async def close(self) -> int:
        """End the streamer as a server that goes away does; its exit code."""
        self.control.close()
        return await asyncio.to_thread(self.process.wait, DEADLINE_S)


def start_process(*extra: str) -> tuple[socket.socket, PreloadedProcess]:
    ours, theirs = socket.socketpair()
    with theirs:
        fd = theirs.fileno()
        return ours, preloaded.start("streamer", "--control-fd", str(fd), *extra, pass_fds=[fd])
