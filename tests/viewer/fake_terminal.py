"""A peer for the terminal panel: the wire of docs/inside.md over real HTTP and WebSocket, with no shell behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from starlette.responses import JSONResponse, Response

NOT_YOURS = {
    "type": "urn:desktop-sandbox:problem:not-allowed",
    "title": "Not allowed",
    "status": 403,
    "detail": "the token is for watching only",
    "hint": "ask for one with control",
}
GONE = {
    **NOT_YOURS,
    "type": "urn:desktop-sandbox:problem:not-found",
    "title": "Not found",
    "status": 404,
    "detail": "sb-1 has no terminal of this id",
}


@dataclass
class FakeTerminal:
    """One terminal. `output` is all that it showed, from byte `kept_from` on; `typed` all that it was told."""

    id: str
    rows: int
    columns: int
    output: bytearray = field(default_factory=bytearray)
    typed: bytearray = field(default_factory=bytearray)
    kept_from: int = 0
    exit_code: int | None = None
    sizes: list[tuple[int, int]] = field(default_factory=list)
    sockets: list[WebSocket] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, text: str) -> None:
        """Show something."""
        self.output += text.encode()
        self._tell()

    def end(self, code: int) -> None:
        """The shell ends."""
        self.exit_code = code
        self._tell()

    def _tell(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    @property
    def json(self) -> dict[str, Any]:
        """As the API shows it."""
        running = self.exit_code is None
        return {
            "id": self.id,
            "running": running,
            "exit_code": self.exit_code,
            "signal": None,
            "output_end": len(self.output),
        }


@dataclass
class FakeTerminals:
    """Those of a desktop, oldest first. `lost`: connections break at once; `asked`: the queries of those that came."""

    all: list[FakeTerminal] = field(default_factory=list)
    lost: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    greeting: str = "user@desktop:~$ "

    @property
    def last(self) -> FakeTerminal:
        """The newest."""
        return self.all[-1]

    async def drop(self) -> None:
        """Break all connections, as a network does."""
        for terminal in self.all:
            for socket in list(terminal.sockets):
                await socket.close(1011)

    def serve(self, app: FastAPI, tokens: Mapping[str, str]) -> None:
        """Add the routes, with the rights as the server checks them."""

        @app.post("/v1/sandboxes/{sandbox}/terminals")
        async def create(sandbox: str, request: Request) -> Response:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if tokens.get(token) != "control":
                return JSONResponse(NOT_YOURS, 403, media_type="application/problem+json")
            body = await request.json()
            made = FakeTerminal(f"term-{len(self.all):012x}", body["rows"], body["columns"])
            made.say(self.greeting)
            self.all.append(made)
            return JSONResponse(made.json, 201)

        @app.websocket("/v1/sandboxes/{sandbox}/terminals/{name}/connect")
        async def connect(socket: WebSocket, sandbox: str, name: str) -> None:
            await socket.accept()
            self.asked.append(dict(socket.query_params))
            if self.lost:
                await socket.close(1011)
                return
            token = json.loads(await socket.receive_text())["token"]
            found = next((one for one in self.all if one.id == name), None)
            problem = NOT_YOURS if tokens.get(token) != "control" else GONE if found is None else None
            if problem is not None or found is None:
                await socket.send_json({"t": "problem", "problem": problem})
                await socket.close(4403)
                return
            await _attached(socket, found, int(socket.query_params.get("after", "0")))


async def _attached(socket: WebSocket, terminal: FakeTerminal, after: int) -> None:
    terminal.sockets.append(socket)
    offset = max(after, terminal.kept_from)
    await socket.send_json({"t": "attached", "offset": offset, "job": terminal.json})
    sending = asyncio.create_task(_send(socket, terminal, offset))
    try:
        while (got := await socket.receive())["type"] == "websocket.receive":
            if (data := got.get("bytes")) is not None:
                terminal.typed += data
                continue
            said = json.loads(got["text"])
            assert said["t"] == "resize"
            terminal.rows, terminal.columns = said["rows"], said["columns"]
            terminal.sizes.append((terminal.rows, terminal.columns))
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        terminal.sockets.remove(socket)
        sending.cancel()
        await asyncio.wait([sending])


async def _send(socket: WebSocket, terminal: FakeTerminal, at: int) -> None:
    while True:
        news = terminal.news
        if at < len(terminal.output):
            data = bytes(terminal.output[at:])
            at += len(data)
            await socket.send_bytes(data)
        elif terminal.exit_code is not None:
            await socket.send_json({"t": "ended", "job": terminal.json})
            await socket.close(1000)
            return
        else:
            await news.wait()
