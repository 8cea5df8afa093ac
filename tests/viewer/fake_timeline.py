"""Snapshots of the fake desktop, as the API has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from tests.viewer.fake_desktop import FakeDesktop, bearer, problem
from tests.viewer.fake_picture import jpeg, painted


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
