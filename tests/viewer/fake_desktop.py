"""A peer for the pages: the wires of docs/streaming.md over real HTTP, WebSocket and WebRTC, with its own picture.

It keeps what it was told (`seen`, `pointers`) and gives control as the server does. No sandbox is behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from aiortc import RTCPeerConnection, RTCSessionDescription
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, Response

from desktop_sandbox.api.pages import LIBRARY
from streamer.input_state import InOrder
from tests.viewer.fake_picture import CURSOR_PNG, Encoder, PaintedTrack, jpeg, painted
from tests.viewer.fake_terminal import FakeTerminals

VIEWER = Path(__file__).parent.parent.parent / "viewer"
HEAD = struct.Struct(">BBIdHH")
POINTER = struct.Struct(">BIHH")
CODEC = "avc1.42e028"


@dataclass
class FakeViewer:
    """One page that watches: `send` sends a message, `close` ends it from this side."""

    kind: str
    rights: str
    send: Callable[[dict[str, Any]], None]
    close: Callable[[], Any]
    order: InOrder = field(default_factory=InOrder)


@dataclass
class FakeDesktop:
    """What the pages see. `udp`: whether WebRTC can connect; `answers`: a status that every call gets instead;
    `refusal`: why nobody may watch."""

    width: int = 1280
    height: int = 800
    state: str = "running"
    udp: bool = True
    answers: int | None = None
    holder: FakeViewer | str = "none"
    wanted_by: str | None = None
    clipboard_delay_s: float = 0.0
    clipboard_refusal: str | None = None
    refusal: str | None = None
    tokens: dict[str, str] = field(default_factory=lambda: {"T-control": "control", "T-view": "view"})
    sandboxes: list[dict[str, Any]] = field(default_factory=list)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    terminals: FakeTerminals = field(default_factory=FakeTerminals)
    at: str | None = None
    ice_servers: list[dict[str, Any]] = field(default_factory=list)
    viewers: list[FakeViewer] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    pointers: list[tuple[int, int, int]] = field(default_factory=list)
    loses_inputs: bool = False
    pong_delay_s: float = 0.0
    copies: int = 0
    uploads: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    port: int = 0
    colour: tuple[int, int, int] = (40, 90, 200)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Messages of these kinds, in the order they came."""
        return [message for message in self.seen if message["t"] in kinds]

    def tell(self, message: dict[str, Any]) -> None:
        """Send to all viewers."""
        for viewer in list(self.viewers):
            viewer.send(message)

    def give(self, holder: FakeViewer | str, wanted_by: str | None = None) -> None:
        """Set who drives and tell all."""
        self.holder, self.wanted_by = holder, wanted_by
        for viewer in list(self.viewers):
            viewer.send(self.lease_for(viewer))

    def lease_for(self, viewer: FakeViewer) -> dict[str, Any]:
        """The lease as this viewer sees it."""
        if isinstance(self.holder, FakeViewer):
            mine = self.holder is viewer
            return {"t": "lease", "holder": "you" if mine else "other", "name": "Ada", "wanted_by": self.wanted_by}
        return {"t": "lease", "holder": self.holder, "name": None, "wanted_by": None}

    def joined(self, viewer: FakeViewer) -> None:
        """Greet a viewer as the streamer does."""
        self.viewers.append(viewer)
        viewer.send(
            {
                "t": "hello",
                "version": 1,
                "sandbox": "sb-1",
                "rights": viewer.rights,
                "width": self.width,
                "height": self.height,
                "codec": CODEC,
            }
        )
        viewer.send({"t": "cursor", "serial": 1, "width": 16, "height": 16, "hot_x": 1, "hot_y": 1, "png": CURSOR_PNG})
        viewer.send(self.lease_for(viewer))

    def left(self, viewer: FakeViewer) -> None:
        """Forget a viewer; its control is free then."""
        if viewer in self.viewers:
            self.viewers.remove(viewer)
        if self.holder is viewer:
            self.give("none")

    def received(self, viewer: FakeViewer, data: str | bytes, *, ordered: bool = True) -> None:
        """A message of a page."""
        if isinstance(data, bytes):
            _, seq, x, y = POINTER.unpack(data)
            self.pointers.append((seq, x, y))
            return
        message = json.loads(data)
        number = message.pop("i", None)
        self.copies += not ordered
        if number is not None and self.loses_inputs and ordered:
            return
        if number is not None and not viewer.order.takes(number, copy=not ordered):
            return
        if message["t"] not in ("ping", "ack"):
            self.seen.append(message)
        match message:
            case {"t": "ping", "at": at}:
                pong = {"t": "pong", "at": at, "now": time.monotonic() * 1000}
                asyncio.get_running_loop().call_later(self.pong_delay_s, viewer.send, pong)
            case {"t": "lease", "want": want}:
                self.lease_wanted(viewer, want)
            case {"t": "clipboard", "n": n} if self.clipboard_refusal is not None:
                viewer.send({"t": "error", "code": "guest", "message": self.clipboard_refusal, "hint": None, "n": n})
            case {"t": "clipboard", "n": n}:
                answer = {"t": "clipboard-set", "n": n}
                asyncio.get_running_loop().call_later(self.clipboard_delay_s, viewer.send, answer)
            case {"t": "stats", "on": True}:
                viewer.send(STATS)

    def lease_wanted(self, viewer: FakeViewer, want: str) -> None:
        """As the server decides it, in short."""
        if viewer.rights != "control":
            viewer.send({"t": "error", "code": "rights", "message": "This link only lets you watch.", "hint": None})
        elif want == "take":
            self.give(viewer)
        elif want == "request":
            self.give(self.holder, wanted_by="Grace")
        elif self.holder is viewer:
            self.give("agent" if want == "give" else "none")


STATS: dict[str, Any] = {
    "t": "stats",
    "frames": {"captured": 600, "encoded": 590, "sent": 590, "dropped": 10},
    "fps": 29.5,
    "ms": {"captured": 0.4, "encoded": 4.1, "sent": 0.3},
    "bitrate_kbps": 2100,
    "target_kbps": 4000,
    "keyframes": 1,
    "loss": 0.01,
    "repeated": 0,
    "rtt_ms": 12.5,
    "viewers": 2,
    "transport": "webrtc",
    "codec": CODEC,
}


def bearer(request: Request) -> str:
    """The token of a request."""
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def problem(status: int, slug: str, title: str, detail: str, hint: str | None = None) -> JSONResponse:
    """A problem document as the server writes it."""
    body = {
        "type": f"urn:desktop-sandbox:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "hint": hint,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def fake_app(desktop: FakeDesktop) -> FastAPI:
    """The routes that pages use."""
    app = FastAPI()

    @app.middleware("http")
    async def note(request: Request, call_next: Any) -> Response:
        if desktop.answers is not None and request.url.path.startswith("/v1"):
            response: Response = problem(desktop.answers, "server", "Not now", "the test says so", "wait")
        elif request.url.path.startswith("/v1") and bearer(request) not in {**desktop.tokens, "the-key": "all"}:
            response = problem(401, "authentication", "No access", "the token is not known", "Ask for a new link.")
        else:
            response = await call_next(request)
        if request.url.path == "/framed":
            return response
        desktop.requests.append((request.method, str(request.url), response.status_code))
        return response

    @app.get("/view/{sandbox}")
    async def view(sandbox: str) -> FileResponse:
        return FileResponse(VIEWER / "view.html")

    @app.get("/wall")
    async def wall() -> FileResponse:
        return FileResponse(VIEWER / "wall.html")

    @app.get("/viewer/{name}")
    async def module(name: str) -> FileResponse:
        return FileResponse(VIEWER / name)

    @app.get("/viewer/xterm/{name}")
    async def library(name: str) -> FileResponse:
        return FileResponse(VIEWER / LIBRARY[f"xterm/{name}"])

    @app.get("/framed")
    async def framed(allow: str = "") -> Response:
        # another origin than the page around it, as a product's own page would be
        source = f"http://127.0.0.1:{desktop.port}/view/sb-1#token=T-control"
        frame = f'<iframe src="{source}" allow="{allow}" width="1000" height="700"></iframe>'
        return Response(f"<!doctype html><title>embeds</title><body>{frame}", media_type="text/html")

    @app.get("/v1/sandboxes/{sandbox}/stream")
    async def stream(sandbox: str, request: Request) -> Response:
        if sandbox != "sb-1":
            return problem(404, "not-found", "Nothing there", "no sandbox of this id")
        size = {"width": desktop.width, "height": desktop.height}
        rights = desktop.tokens.get(bearer(request), "control")
        names = {"name": "invoice run", "template": "desktop", "state": desktop.state, "rights": rights}
        return JSONResponse({**names, **size, "ice_servers": desktop.ice_servers})

    @app.post("/v1/sandboxes/{sandbox}/stream/whep")
    async def whep(sandbox: str, request: Request) -> Response:
        if desktop.refusal is not None:
            return problem(503, "capacity", "No room", desktop.refusal, "close a view")
        offer = (await request.body()).decode()
        answer = await answer_offer(desktop, offer, desktop.tokens[bearer(request)])
        headers = {"Location": f"/v1/sandboxes/{sandbox}/stream/whep/1"}
        return Response(answer, 201, headers, "application/sdp")

    @app.delete("/v1/sandboxes/{sandbox}/stream/whep/{session}")
    async def leave(sandbox: str, session: str) -> Response:
        return Response(status_code=204)

    @app.websocket("/v1/sandboxes/{sandbox}/stream/ws")
    async def ws(socket: WebSocket, sandbox: str) -> None:
        await serve_socket(desktop, socket)

    @app.put("/v1/sandboxes/{sandbox}/files")
    async def put(sandbox: str, path: str, request: Request) -> Response:
        if path.endswith("forbidden.txt"):
            return problem(409, "conflict", "In the way", "there is a folder of this name", "Rename the file.")
        desktop.uploads[path] = await request.body()
        return Response(status_code=204)

    add_timeline(app, desktop)
    desktop.terminals.serve(app, desktop.tokens)

    @app.get("/v1/sandboxes")
    async def listed(limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        first = int(cursor or 0)
        more = first + limit < len(desktop.sandboxes)
        return {"sandboxes": desktop.sandboxes[first : first + limit], "cursor": str(first + limit) if more else None}

    @app.get("/v1/sandboxes/{sandbox}/screenshot")
    async def screenshot(sandbox: str, request: Request) -> Response:
        tag = f'"{sandbox}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        hue = sum(sandbox.encode()) % 255
        return Response(jpeg(painted(320, 200, (hue, 255 - hue, 120))), media_type="image/jpeg", headers={"ETag": tag})

    @app.post("/v1/sandboxes/{sandbox}/tokens")
    async def token(sandbox: str, request: Request) -> dict[str, Any]:
        wish = await request.json()
        desktop.seen.append({"t": "token", "sandbox": sandbox, **wish})
        url = f"http://127.0.0.1:{desktop.port}/view/sb-1#token=T-control"
        return {"id": "t1", "token": "T-control", "url": url, "expires_at": "2030-01-01T00:00:00Z"}

    return app


def snapshot(number: int, parent: int | None, **facts: Any) -> dict[str, Any]:
    """A snapshot as the API shows it, its number some minutes after the first."""
    taken = datetime.now(UTC) - timedelta(minutes=60 - number)
    return {
        "id": f"ss-{number:02}",
        "name": None,
        "sandbox": "sb-1",
        "parent": None if parent is None else f"ss-{parent:02}",
        "template": "desktop",
        "kind": "checkpoint",
        "created_at": taken.isoformat(),
        "size_bytes": 42_000_000,
        "resolution": {"width": 1280, "height": 800},
        "quiesced": True,
        "stopped_ms": 31.0,
        "description": "",
        "tags": [],
        **facts,
    }


def add_timeline(app: FastAPI, desktop: FakeDesktop) -> None:
    """The routes of snapshots, with the rights as the server checks them."""

    def refused(request: Request) -> Response | None:
        if desktop.tokens.get(bearer(request), "control") == "control":
            return None
        return problem(403, "not-allowed", "Not allowed", "the token is for watching only", "ask for one with control")

    @app.get("/v1/snapshots")
    async def all_snapshots() -> dict[str, Any]:
        return {"snapshots": desktop.snapshots}

    @app.get("/v1/snapshots/{name}/thumbnail")
    async def any_thumbnail(name: str, width: int) -> Response:
        return Response(jpeg(painted(width, width * 5 // 8, (90, 60, 150))), media_type="image/jpeg")

    @app.get("/v1/sandboxes/{sandbox}/snapshots")
    async def timeline(sandbox: str) -> dict[str, Any]:
        return {"at": desktop.at, "snapshots": desktop.snapshots}

    @app.get("/v1/sandboxes/{sandbox}/snapshots/{name}/thumbnail")
    async def thumbnail(sandbox: str, name: str, width: int) -> Response:
        hue = int(name[3:]) * 37 % 255
        return Response(jpeg(painted(width, width * 5 // 8, (hue, 255 - hue, 120))), media_type="image/jpeg")

    @app.post("/v1/sandboxes/{sandbox}/checkpoint")
    async def checkpoint(sandbox: str, request: Request) -> Response:
        if (no := refused(request)) is not None:
            return no
        number = len(desktop.snapshots)
        made = snapshot(number, None if desktop.at is None else int(desktop.at[3:]))
        desktop.snapshots.append({**made, "created_at": datetime.now(UTC).isoformat()})
        desktop.at = made["id"]
        return JSONResponse(made, 201)

    @app.post("/v1/sandboxes/{sandbox}/rollback")
    async def rollback(sandbox: str, request: Request) -> Response:
        if (no := refused(request)) is not None:
            return no
        desktop.at = (await request.json())["snapshot"]
        if desktop.at == "ss-damaged":
            return problem(409, "snapshot-mismatch", "Does not fit", "the QEMU build is another", "start a new one")
        desktop.seen.append({"t": "rollback", "snapshot": desktop.at})
        return JSONResponse({"id": sandbox})

    @app.post("/v1/sandboxes/{sandbox}/snapshots/{name}/fork")
    async def fork(sandbox: str, name: str, request: Request) -> Response:
        if (no := refused(request)) is not None:
            return no
        desktop.seen.append({"t": "fork", "snapshot": name})
        url = f"http://127.0.0.1:{desktop.port}/view/sb-1#token=T-control"
        return JSONResponse({"sandbox": {"id": "sb-2"}, "url": url}, 201)


async def answer_offer(desktop: FakeDesktop, offer: str, rights: str) -> str:
    """A WebRTC viewer: the picture as a track, the page's data channels. Without `udp` it has no candidates."""
    peer = RTCPeerConnection()
    peer.addTrack(PaintedTrack(lambda: desktop))
    viewer = FakeViewer("webrtc", rights, lambda message: None, peer.close)

    @peer.on("datachannel")
    def channel(opened: Any) -> None:
        ordered = opened.label == "input"
        opened.on("message", lambda data: desktop.received(viewer, data, ordered=ordered))
        if ordered:
            viewer.send = lambda message: opened.send(json.dumps(message)) if opened.readyState == "open" else None
            opened.on("close", lambda: desktop.left(viewer))
            desktop.joined(viewer)

    @peer.on("connectionstatechange")
    async def changed() -> None:
        if peer.connectionState in ("failed", "closed"):
            desktop.left(viewer)
            await peer.close()

    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    sdp = peer.localDescription.sdp
    if not desktop.udp:
        await peer.close()
        sdp = re.sub(r"a=candidate:.*\r\n", "", sdp)
    return sdp


async def serve_socket(desktop: FakeDesktop, ws: WebSocket) -> None:
    """A WebSocket viewer: authenticates by its first message, then gets a frame for each that it acknowledged."""
    await ws.accept()
    auth = json.loads(await ws.receive_text())
    rights = desktop.tokens.get(auth.get("token"))
    if rights is None:
        await ws.close(4401)
        return
    if desktop.refusal is not None:
        await ws.send_json({"t": "error", "code": "capacity", "message": desktop.refusal, "hint": None})
        await ws.close(4503)
        return
    outgoing: asyncio.Queue[str | bytes | None] = asyncio.Queue()
    viewer = FakeViewer(
        "socket", rights, lambda m: outgoing.put_nowait(json.dumps(m)), lambda: outgoing.put_nowait(None)
    )
    desktop.joined(viewer)
    h264 = CODEC in auth["codecs"]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_write(ws, outgoing))
            frames = group.create_task(_frames(desktop, outgoing, h264))
            try:
                while True:
                    got = await ws.receive()
                    if got["type"] == "websocket.disconnect":
                        break
                    desktop.received(viewer, got["text"] if got.get("text") is not None else got["bytes"])
            finally:
                frames.cancel()
                outgoing.put_nowait(None)
    except* (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        desktop.left(viewer)


async def _write(ws: WebSocket, outgoing: asyncio.Queue[str | bytes | None]) -> None:
    while (message := await outgoing.get()) is not None:
        await (ws.send_text(message) if isinstance(message, str) else ws.send_bytes(message))
    with contextlib.suppress(RuntimeError):
        await ws.close()


async def _frames(desktop: FakeDesktop, outgoing: asyncio.Queue[str | bytes | None], h264: bool) -> None:
    encoder = Encoder(desktop.width, desktop.height)
    seq = 0
    while True:
        picture = painted(desktop.width, desktop.height, desktop.colour)
        data, key = encoder.encode(picture) if h264 else (jpeg(picture), True)
        head = HEAD.pack(2 if h264 else 3, int(key), seq, time.monotonic() * 1000, desktop.width, desktop.height)
        outgoing.put_nowait(head + data)
        seq += 1
        await asyncio.sleep(0.1)  # its frame rate


class FakeServer:
    """The fake on a port that stays the same over restarts."""

    def __init__(self, desktop: FakeDesktop) -> None:
        self.desktop = desktop
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        desktop.port = self.port
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; returns when it answers."""
        config = uvicorn.Config(
            fake_app(self.desktop), port=self.port, log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined, method-assign]
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(10):
            while not self._server.started:
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Go away: viewers too, and those that came back in the meantime."""
        await self._close_viewers()
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
            # what it waited for too long it leaves open, which only the end of its process would close
            for connection in list(self._server.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
        await self._close_viewers()
        self.desktop.holder = "none"

    async def _close_viewers(self) -> None:
        for viewer in list(self.desktop.viewers):
            if (closing := viewer.close()) is not None:
                await closing
        self.desktop.viewers.clear()


@asynccontextmanager
async def running(desktop: FakeDesktop) -> AsyncIterator[FakeServer]:
    """A server for a test."""
    server = FakeServer(desktop)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
