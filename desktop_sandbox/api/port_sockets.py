"""WebSockets to servers in the guests: a client of our own there, and its messages both ways."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from desktop_sandbox import errors
from desktop_sandbox.api import port_link
from desktop_sandbox.api.port_request import HEAD_S, authorise, explain, forwarded

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from websockets.typing import Subprotocol

    from desktop_sandbox.api.port_access import GuestPort
    from desktop_sandbox.api.services import Services

log = logging.getLogger("desktop_sandbox.api")

MAX_MESSAGE_BYTES = 16 << 20
_SENDABLE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013))
_HANDSHAKE = frozenset((b"host", b"origin"))


async def carry(the: Services, there: GuestPort, scope: Scope, receive: Receive, send: Send) -> None:
    """Connect where the client wants to, and only then accept it."""
    if (await receive())["type"] != "websocket.connect":
        return
    async with AsyncExitStack() as stack:
        try:
            authorise(the.ports, there, Headers(scope=scope))
            guest = await stack.enter_async_context(_Dialled(the, there, scope))
        except Exception as error:
            known = explain(error, there)
            if isinstance(error, WebSocketException):
                known = errors.NotAllowedError(f"the guest's server refused the WebSocket: {error}"[:200])
            log.info("a WebSocket to port %d of %s: %s", there.port, there.sandbox, known)
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
            return
        await send({"type": "websocket.accept", "subprotocol": guest.subprotocol})
        ways = [asyncio.ensure_future(_there(guest, receive)), asyncio.ensure_future(_back(guest, send))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


class _Dialled:
    """A WebSocket of the guest, as a context."""

    def __init__(self, the: Services, there: GuestPort, scope: Scope) -> None:
        self._the, self._there, self._scope = the, there, scope
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> ClientConnection:
        async with AsyncExitStack() as stack:
            sock = await stack.enter_async_context(port_link.as_socket(self._the.node, self._there))
            scope = self._scope
            headers = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in forwarded(scope["headers"], scope)
                if name not in _HANDSHAKE and not name.startswith(b"sec-websocket-")
            ]
            given = Headers(scope=scope)
            query = scope["query_string"].decode("latin-1")
            path = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
            guest = await connect(
                f"ws://{given['host']}{path}",
                sock=sock,
                origin=given.get("origin"),  # type: ignore[arg-type]
                subprotocols=[_subprotocol(name) for name in scope["subprotocols"]] or None,
                additional_headers=headers,
                user_agent_header=None,
                compression=None,
                proxy=None,
                ping_interval=None,
                open_timeout=HEAD_S,
                close_timeout=2,
                max_size=MAX_MESSAGE_BYTES,
            )
            stack.push_async_callback(guest.close)
            self._stack = stack.pop_all()
            return guest

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def _subprotocol(name: str) -> Subprotocol:
    return name  # type: ignore[return-value]


async def _there(guest: ClientConnection, receive: Receive) -> None:
    with suppress(ConnectionClosed):
        while True:
            message: Any = await receive()
            if message["type"] != "websocket.receive":
                code = message.get("code") or 1001
                await guest.close(code if code in _SENDABLE_CODES else 1001, message.get("reason") or "")
                return
            data = message.get("bytes")
            await guest.send(message["text"] if data is None else data)


async def _back(guest: ClientConnection, send: Send) -> None:
    try:
        while True:
            data = await guest.recv()
            kind = "text" if isinstance(data, str) else "bytes"
            await send({"type": "websocket.send", kind: data})
    except ConnectionClosed:
        code = guest.close_code if guest.close_code in _SENDABLE_CODES else 1011
        await send({"type": "websocket.close", "code": code, "reason": guest.close_reason or ""})
