"""WebSockets into a machine: the handshake, and bytes both ways between a socket and what is attached in the guest.

Text messages are JSON objects with a type `t`, binary ones are bytes. A slow side slows the other one down: nothing
piles up here beyond a few messages.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from desktop_sandbox import errors
from desktop_sandbox.api.access import credential, origin_is_ours
from desktop_sandbox.api.problems import unexpected
from desktop_sandbox.api.services import Services
from desktop_sandbox.problem import to_problem
from desktop_sandbox.stream.parties import Grant

log = logging.getLogger("desktop_sandbox.api")

AUTH_S = 5.0
CLOSE_S = 2.0
LOOK_S = 0.5
STALL_S = 60.0
_QUEUED = 8
_GONE = (WebSocketDisconnect, RuntimeError)
OnText = Callable[[dict[str, Any]], Awaitable[None]]


@asynccontextmanager
async def opened(websocket: WebSocket) -> AsyncIterator[Services]:
    """Accept a socket whose caller may use it. What is raised in the block is told as `{"t": "problem", …}`.

    The key comes in a header, or, as browsers can set none, in a first message `{"t": "auth", "token"}`; what it allows
    is the connection's grant (`grant_of`). A socket that
    ends in a problem is closed with 4000 + the HTTP status.
    """
    the: Services = websocket.app.state.services
    await websocket.accept()
    try:
        origin = websocket.headers.get("origin")
        if origin is not None and not origin_is_ours(origin, websocket.headers.get("host", ""), the.config.stream):
            raise errors.NotAllowedError(
                f"a page of {origin[:200]} may not connect here", hint="ask from the server's own"
            )
        given = credential(websocket.headers) or await _token(websocket)
        websocket.state.grant = the.access.check(given, "GET", websocket.url.path)
        yield the
    except _GONE as error:
        log.debug("the client of a socket is gone: %s", error)
    except Exception as error:
        known = error if isinstance(error, errors.DesktopSandboxError) else unexpected(error)
        with suppress(*_GONE):
            await tell(websocket, {"t": "problem", "problem": to_problem(known)})
        await close(websocket, 4000 + known.status, known.message)
    else:
        await close(websocket, 1000, "")


async def _token(websocket: WebSocket) -> str:
    try:
        async with asyncio.timeout(AUTH_S):
            message = json.loads(await websocket.receive_text())
        if message["t"] == "auth" and isinstance(message["token"], str):
            return str(message["token"])
    except (TimeoutError, ValueError, TypeError, KeyError):
        pass
    raise errors.AuthenticationError(
        "this socket needs an API key", hint='send Authorization: Bearer KEY, or first {"t": "auth", "token": KEY}'
    )


class Inward:
    """What a client sends: bytes as an iterator for the guest, which ends at `{"t": "eof"}`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED)
        self._ended = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Binary messages."""
        while (data := await self._queue.get()) is not None:
            yield data

    async def receive(self, websocket: WebSocket, on_text: OnText) -> None:
        """Until the client leaves. InvalidRequestError for a message that makes no sense, DeadlineError where what is
        attached takes nothing for too long: meanwhile nobody would notice that the client is gone."""
        while True:
            message = await websocket.receive()
            if message["type"] != "websocket.receive":
                return
            data = message.get("bytes")
            if data is None:
                said = _object(message.get("text") or "")
                if said.get("t") != "eof":
                    await on_text(said)
                elif not self._ended:
                    self._ended = True
                    await self._put(None)
            elif data and not self._ended:
                await self._put(data)

    async def _put(self, data: bytes | None) -> None:
        try:
            async with asyncio.timeout(STALL_S):
                await self._queue.put(data)
        except TimeoutError:
            raise errors.DeadlineError(
                f"what was sent was not read for {STALL_S:g} s", hint="connect again; the program is busy, or hangs"
            ) from None


async def until_refused(the: Services, grant: Grant) -> None:
    """As long as a caller's token holds (the key always does). AuthenticationError once it is revoked or expired."""
    while True:
        await asyncio.sleep(LOOK_S)
        if grant.token is not None and not the.tokens.is_good(grant.token):
            raise errors.AuthenticationError("the link was revoked or has expired", hint="ask for a new one")


async def relay(websocket: WebSocket, *all_ways: Awaitable[None]) -> None:
    """Both ways until what is attached has ended, the client left, or it may no more. Raises what went wrong on one."""
    ways = [asyncio.ensure_future(way) for way in all_ways]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        outcomes = await asyncio.gather(*ways, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def tell(websocket: WebSocket, message: Mapping[str, Any]) -> None:
    """Send a JSON message."""
    await websocket.send_text(json.dumps(message))


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close; does not wait long for a client that does not answer."""
    if websocket.application_state is WebSocketState.CONNECTED:
        with suppress(*_GONE, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await websocket.close(code, reason.encode()[:120].decode("utf-8", "ignore"))


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise errors.InvalidRequestError("a text message is no JSON object", hint="send bytes as binary messages")
    return said
