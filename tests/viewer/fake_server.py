"""The fake desktop on a port of this host: the pages, the API that they use, and its wires."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, Response

from desktop_sandbox.api.pages import LIBRARY
from tests.viewer.fake_desktop import FakeDesktop, bearer, problem
from tests.viewer.fake_picture import jpeg, painted
from tests.viewer.fake_timeline import add_timeline
from tests.viewer.fake_wire import answer_offer, serve_socket

VIEWER = Path(__file__).parent.parent.parent / "viewer"


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
