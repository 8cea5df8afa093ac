"""Routes of the live view: what a page must know, WHEP for WebRTC, and the WebSocket where UDP does not pass."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, WebSocket
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect, WebSocketState

from desktop_sandbox import errors
from desktop_sandbox.api import stream_models
from desktop_sandbox.api.access import credential, grant_of, origin_is_ours
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.services import Services, json_response, services
from desktop_sandbox.stream.parties import Grant, Outlet

if TYPE_CHECKING:
    from desktop_sandbox.stream.parties import Viewer

log = logging.getLogger("desktop_sandbox.api")
router = APIRouter(prefix="/v1/sandboxes/{sandbox_id}/stream", tags=["stream"])

SDP = "application/sdp"
AUTH_S = 5.0
LAST_WORDS_S = 2.0
"""So long a view that was ended may take to read what was said to it."""
_TEXT = {"schema": {"type": "string"}}
_OFFER = {"requestBody": {"required": True, "content": {SDP: _TEXT}}}
_ANSWER: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "The SDP answer. Location: the session, to be DELETEd in the end.",
        "content": {SDP: _TEXT},
        "headers": {"Location": {"schema": {"type": "string"}}},
    }
}


@router.get("", operation_id="get_stream", response_model=stream_models.StreamInfo)
async def info(request: Request, sandbox_id: str) -> Response:
    """Get what a viewer must know before it connects; `rights` are those of the key or token that asks."""
    the = services(request)
    found = await the.node.get(sandbox_id)
    width, height = found.resolution
    return json_response(
        {
            "name": found.metadata.get("name") or found.id,
            "template": found.template,
            "state": str(found.state),
            "rights": grant_of(request).rights,
            "takes_control": grant_of(request).takes_control,
            "width": width,
            "height": height,
            "ice_servers": [dict(server) for server in the.config.stream.ice_servers],
        }
    )


@router.post(
    "/whep",
    operation_id="offer_whep",
    status_code=201,
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=_OFFER,
)
async def whep(request: Request, sandbox_id: str) -> Response:
    """Watch over WebRTC by WHEP: an SDP offer, answered with everything in it (no trickle).

    An offer with the data channels `input` and `pointer` gets the cursor and may drive; a plain player sees the cursor
    in the picture.
    """
    the = services(request)
    offer = (await request.body()).decode("utf-8", "replace")
    if not offer.startswith("v=0"):
        raise errors.InvalidRequestError("the body is no SDP offer", hint="send what createOffer gave, from v=0 on")
    grant = grant_of(request)

    async def work() -> Answer:
        viewer, answer = await the.views.offer(sandbox_id, grant, offer)
        place = f"{request.url.path}/{viewer.resource}"
        return Answer(201, answer.encode(), SDP, headers=(("Location", place),))

    return await the.once.run(request, work)


@router.options("/whep", include_in_schema=False)
async def whep_options(sandbox_id: str) -> Response:
    """Say what an offer must be (WHEP, section 4.1)."""
    return Response(status_code=204, headers={"Accept-Post": SDP, "Allow": "POST, OPTIONS"})


@router.delete("/whep/{session}", operation_id="leave_whep", status_code=204)
async def whep_leave(request: Request, sandbox_id: str, session: str) -> Response:
    """Stop watching over WebRTC."""
    the = services(request)

    async def work() -> Answer:
        await the.views.close(the.views.find(sandbox_id, session), "left")
        return Answer(204, b"")

    return await the.once.run(request, work)


@router.patch("/whep/{session}", include_in_schema=False)
async def whep_patch(sandbox_id: str, session: str) -> Response:
    """Say that candidates do not trickle here: all of them are in offer and answer (WHEP, section 4.3)."""
    return Response(status_code=405, headers={"Allow": "DELETE"})


@router.websocket("/ws")
async def socket(websocket: WebSocket, sandbox_id: str) -> None:
    """Watch over a WebSocket (docs/streaming.md); the token comes in its first message or as a bearer."""
    the: Services = websocket.app.state.services
    origin = websocket.headers.get("origin")
    if origin is not None and not origin_is_ours(origin, websocket.headers.get("host", ""), the.config.stream):
        await websocket.close(1008)
        return
    await websocket.accept()
    try:
        grant, codecs = await _introduced(websocket, the)
        outlet = Outlet()
        viewer = await the.views.socket(sandbox_id, grant, codecs, outlet)
    except (WebSocketDisconnect, TimeoutError):
        await _close(websocket, 1008, "no auth message")
    except errors.DesktopSandboxError as error:
        message = {"t": "error", "code": error.slug, "message": error.message, "hint": error.hint or ""}
        await _send(websocket, json.dumps(message).encode())
        await _close(websocket, 4000 + error.status, error.message)
    else:
        await _relay(websocket, the, viewer, outlet)


async def _introduced(websocket: WebSocket, the: Services) -> tuple[Grant, list[str]]:
    """Who it is, and what it can draw."""
    bearer = credential(websocket.headers)
    path = websocket.url.path
    grant = the.access.check(bearer, "GET", path) if bearer else None
    async with asyncio.timeout(AUTH_S):
        text = await websocket.receive_text()
    try:
        message = json.loads(text)
        first = message.get("t") == "auth"
        token, codecs = message.get("token", ""), message.get("codecs", ["jpeg"])
    except (ValueError, AttributeError):
        first = False
    if not first or not isinstance(token, str) or not isinstance(codecs, list):
        raise errors.InvalidRequestError(
            "the first message is no auth message", hint='send {"t": "auth", "token", "codecs"}'
        )
    if grant is None:
        grant = the.access.check(token, "GET", path)
    return grant, [codec for codec in codecs if isinstance(codec, str) and len(codec) <= 32][:8]


async def _relay(websocket: WebSocket, the: Services, viewer: Viewer, outlet: Outlet) -> None:
    """Pass messages both ways until one side ends."""

    async def upward() -> None:
        while True:
            message = await websocket.receive()
            if message["type"] != "websocket.receive":
                return
            data = message.get("bytes")
            if data is None:
                data = (message.get("text") or "").encode()
            if data:
                the.views.said(viewer, data)

    async def downward() -> None:
        while (data := await outlet.get()) is not None:
            await _send(websocket, data)

    async def cut() -> None:
        await outlet.ended()
        await asyncio.sleep(LAST_WORDS_S)

    ways = [asyncio.create_task(way()) for way in (upward, downward, cut)]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for outcome in await asyncio.gather(*ways, return_exceptions=True):
            expected = (asyncio.CancelledError, WebSocketDisconnect, RuntimeError, errors.StreamerError)
            if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
                log.error("x viewer's socket", exc_info=outcome)
        await the.views.close(viewer, "left")
    await _close(websocket, 1000, outlet.closed or "")


async def _send(websocket: WebSocket, data: bytes) -> None:
    if data[:1] == b"{":
        await websocket.send_text(data.decode("utf-8", "replace"))
    else:
        await websocket.send_bytes(data)


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    if websocket.application_state is WebSocketState.CONNECTED:
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await websocket.close(code, reason.encode()[:120].decode("utf-8", "ignore"))
        except (RuntimeError, WebSocketDisconnect, TimeoutError):
            log.debug("the viewer was gone already")
