"""Carries HTTP to servers in the guests: a request whose Host names a port of a sandbox never reaches the API.

ASGI, around everything else. What this adds (token, cookie) is taken out before the guest sees the request; bodies are
streamed both ways, and whoever leaves ends the guest's work.
"""

from __future__ import annotations

import asyncio
import html
import time
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import httpcore
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response

from desktop_sandbox.api import port_link, port_sockets
from desktop_sandbox.api.port_access import PREFIX, GuestPort, read_host
from desktop_sandbox.api.port_request import (
    COOKIE,
    HEAD_S,
    HOP_BY_HOP,
    TOKEN,
    NothingThereError,
    authorise,
    explain,
    forwarded,
)
from desktop_sandbox.api.problems import problem_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from desktop_sandbox.api.services import Services

_PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">{again}
<title>{title}</title><style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto; }}
h1 {{ font-size: 1.4rem }}</style><h1>{title}</h1><p>{hint}"""


class PortProxy:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, *, domain: str) -> None:
        self._app = app
        self._domain = domain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's scope (ASGI)."""
        there = None
        if scope["type"] in ("http", "websocket"):
            there = read_host(Headers(scope=scope).get("host", ""), self._domain)
        if there is None:
            await self._app(scope, receive, send)
            return
        the: Services = scope["app"].state.services
        if scope["type"] == "websocket":
            await port_sockets.carry(the, there, scope, receive, send)
        else:
            await _carry(the, there, scope, receive, send)


async def _carry(the: Services, there: GuestPort, scope: Scope, receive: Receive, send: Send) -> None:
    began = False

    async def sending(message: Message) -> None:
        nonlocal began
        began = True
        await send(message)

    try:
        visit = _first_visit(the, there, scope)
        if visit is not None:
            await visit(scope, receive, send)
            return
        authorise(the.ports, there, Headers(scope=scope))
        await _relay(the, there, scope, receive, sending)
    except Exception as error:
        if began:  # cut it, so that nobody takes half an answer for a whole one
            raise
        await _refuse(error, there, scope)(scope, receive, send)


def _first_visit(the: Services, there: GuestPort, scope: Scope) -> Response | None:
    """A token in the address becomes a cookie, and the address loses it."""
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    given = next((value for name, value in query if name == TOKEN), None)
    if given is None:
        return None
    expires_at = the.ports.check(there, given)
    rest = urlencode([pair for pair in query if pair[0] != TOKEN])
    # a path that begins with two slashes would be another host's address
    path = "/" + scope["raw_path"].decode("latin-1").lstrip("/")
    response = RedirectResponse(path + (f"?{rest}" if rest else ""), 307 if scope["method"] != "GET" else 303)
    response.headers["cache-control"] = "no-store"
    response.headers["referrer-policy"] = "no-referrer"
    attributes = f"Path=/; HttpOnly; Max-Age={max(1, int(expires_at - time.time()))}"
    # in a page of another site only such a cookie is sent; browsers take it from localhost without TLS, too
    across = scope["scheme"] == "https" or the.config.port_domain == "localhost"
    attributes += "; SameSite=None; Secure; Partitioned" if across else "; SameSite=Lax"
    token = given if given.startswith(PREFIX) else the.ports.token(there, expires_at)
    response.headers["set-cookie"] = f"{COOKIE}={token}; {attributes}"
    return response


async def _relay(the: Services, there: GuestPort, scope: Scope, receive: Receive, send: Send) -> None:
    """One request there and its answer back; ended when the client leaves."""
    uploaded = asyncio.Event()
    gone = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                gone.set()
                raise ConnectionResetError("the client left")
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                uploaded.set()
                return

    async def watching() -> None:
        await uploaded.wait()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    headers = forwarded(scope["headers"], scope)
    chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    has_body = chunked or Headers(scope=scope).get("content-length", "0") != "0"
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    request = httpcore.Request(
        scope["method"],
        httpcore.URL(scheme=b"http", host=b"guest", port=there.port, target=target),
        headers=[*headers, (b"connection", b"close")],
        content=body() if has_body else b"",
        extensions={"timeout": {"read": HEAD_S, "write": HEAD_S}},
    )
    if not has_body:
        uploaded.set()

    async def exchange() -> None:
        async with port_link.opened(the.node, there) as stream:
            origin = httpcore.Origin(b"http", b"guest", there.port)
            connection = httpcore.AsyncHTTP11Connection(origin, stream)
            response = await connection.handle_async_request(request)
            # the head has come in time; what follows may take any time, as events do
            request.extensions["timeout"] = {}
            kept = [(name, value) for name, value in response.headers if name.lower() not in HOP_BY_HOP]
            await send({"type": "http.response.start", "status": response.status, "headers": kept})
            async with aclosing(response):
                async for data in response.aiter_stream():
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    work, watch = asyncio.ensure_future(exchange()), asyncio.ensure_future(watching())
    try:
        await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, watch):
            task.cancel()
        outcome, _ = await asyncio.gather(work, watch, return_exceptions=True)
    if isinstance(outcome, Exception) and not gone.is_set():
        raise outcome


def _refuse(error: Exception, there: GuestPort, scope: Scope) -> Response:
    """An error as a page for people, and as a problem document for programs."""
    known = explain(error, there)
    accept = Headers(scope=scope).get("accept", "")
    if "text/html" not in accept:
        return problem_response(known, instance=scope["path"])
    again = '<meta http-equiv="refresh" content="2">' if isinstance(known, NothingThereError) else ""
    page = _PAGE.format(title=html.escape(known.message), hint=html.escape(known.hint or ""), again=again)
    return HTMLResponse(page, known.status, {"cache-control": "no-store"})
