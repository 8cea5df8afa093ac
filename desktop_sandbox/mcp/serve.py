"""Runs the MCP server: over stdio for the program that started it, or over HTTP for whoever has the API key."""

from __future__ import annotations

import hmac
import json
import sys
from typing import TYPE_CHECKING, Any

import uvicorn

from desktop_sandbox.config import client_config, is_loopback, parse_bind
from desktop_sandbox.errors import AuthenticationError, ConfigurationError
from desktop_sandbox.mcp.server import build

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH = "/mcp"


def serve_stdio(sandbox: str | None) -> None:
    """Speak MCP on stdin and stdout until they close."""
    build(sandbox=sandbox).run("stdio")


def serve_http(bind: str, sandbox: str | None) -> None:
    """Serve streamable HTTP at /mcp until Ctrl-C; every request needs the key that this program uses itself."""
    host, port = parse_bind(bind)
    key = client_config().api_key
    if key is None:
        raise ConfigurationError(
            "there is no API key to ask for", hint="set DESKTOP_SANDBOX_API_KEY, or start the server on this host first"
        )
    app = build(sandbox=sandbox).streamable_http_app(streamable_http_path=PATH, host=host)
    if not is_loopback(host):
        print("warning: the key travels in the clear; put TLS in front of this", file=sys.stderr)
    shown = f"[{host}]" if ":" in host else host
    print(f"MCP on http://{shown}:{port}{PATH}, with the API key as Authorization: Bearer", file=sys.stderr, flush=True)
    uvicorn.run(WithKey(app, key), host=host, port=port, log_level="warning")


class WithKey:
    """Lets nobody through who does not send the key, as `Authorization: Bearer` or `X-API-Key`."""

    def __init__(self, app: App, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 401."""
        if scope["type"] == "http" and not self._is_good(dict(scope["headers"])):
            error = AuthenticationError("no API key, or a wrong one", hint="send Authorization: Bearer KEY")
            body = {"type": error.slug, "title": error.message, "status": 401, "hint": error.hint}
            headers = [(b"content-type", b"application/problem+json"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})
            return
        await self._app(scope, receive, send)

    def _is_good(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        return hmac.compare_digest(given, self._key)
