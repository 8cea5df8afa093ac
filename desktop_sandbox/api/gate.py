"""What every request passes first, as plain ASGI: key or token, size limits while reading, content type, calls from
pages elsewhere (CORS), timing, last resort. Nothing here buffers a body.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from desktop_sandbox import errors
from desktop_sandbox.api.problems import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from desktop_sandbox.api.access import Access
    from desktop_sandbox.api.metrics import Metrics
    from desktop_sandbox.stream_settings import StreamSettings

log = logging.getLogger("desktop_sandbox.api")

UPLOAD = re.compile(r"/v1/(sandboxes/[^/]+/files(/archive)?|(snapshots|templates)/import|links/[^/]+)")
PICTURE = re.compile(r"/v1/sandboxes/[^/]+/clipboard/picture")
MAX_PICTURE_BYTES = 16 << 20
WHEP = re.compile(r"/v1/sandboxes/[^/]+/stream/whep")
SOCKET = re.compile(r"/v1/sandboxes/[^/]+/(stream/ws|(terminals|jobs|ports)/[^/]+/connect)")
MAX_OFFER_BYTES = 256 << 10
_CORS = {
    b"access-control-allow-methods": b"GET, POST, PUT, PATCH, DELETE, OPTIONS",
    b"access-control-allow-headers": b"Authorization, X-API-Key, Content-Type, Idempotency-Key, If-None-Match",
    b"access-control-max-age": b"600",
}
_EXPOSED = b"Location, ETag, Link, Accept-Post, X-Screen-Width, X-Screen-Height, X-Screen-Moment, Idempotency-Replayed"


class BodyTooLargeError(errors.InvalidRequestError):
    """The body is larger than this server takes."""

    slug = "body-too-large"
    status = 413


class MediaTypeError(errors.InvalidRequestError):
    """The body is of a kind that this call does not take."""

    slug = "media-type"
    status = 415


class Gate:
    """ASGI middleware around the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        settings: StreamSettings,
        max_body_bytes: int,
        max_upload_bytes: int,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._access = access
        self._settings = settings
        self._max_body = max_body_bytes
        self._max_upload = max_upload_bytes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's scope (ASGI)."""
        if scope["type"] == "websocket" and not SOCKET.fullmatch(scope["path"]):
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cors = self._cors(scope)
        started = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *cors]}
            await send(message)

        path: str = scope["path"]
        try:
            refusal, limit = self._decide(scope, path)
            if cors and _is_preflight(scope):
                await sending({"type": "http.response.start", "status": 204, "headers": list(_CORS.items())})
                await sending({"type": "http.response.body", "body": b""})
            elif refusal is not None:
                response = problem_response(refusal, instance=path)
                response.headers["Connection"] = "close"
                await response(scope, receive, sending)
            else:
                await self._app(scope, limited(receive, limit), sending)
        except Exception as error:
            # Starlette answers and raises again, so that servers can log: it is logged already.
            if not status:
                await problem_response(error, instance=path)(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", None) or "none"
            self._metrics.request(scope["method"], route, status, time.perf_counter() - started)

    def _decide(self, scope: Scope, path: str) -> tuple[errors.DesktopSandboxError | None, int]:
        """Why a request is refused (or None), and how long its body may be."""
        headers = Headers(scope=scope)
        method: str = scope["method"]
        if not self._access.is_open(method, path):
            try:
                scope.setdefault("state", {})["grant"] = self._access.grant(headers, method, path)
            except errors.AuthenticationError as error:
                return error, 0
        upload = method == "PUT" and UPLOAD.fullmatch(path) is not None
        offer = method == "POST" and WHEP.fullmatch(path) is not None
        picture = method == "PUT" and PICTURE.fullmatch(path) is not None
        limit = self._max_body
        if upload or picture or offer:
            limit = self._max_upload if upload else MAX_PICTURE_BYTES if picture else MAX_OFFER_BYTES
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            return _too_large(limit), 0
        chunked = "transfer-encoding" in headers
        if (chunked or length != "0" or offer) and not upload and method not in ("GET", "HEAD", "PATCH"):
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            wanted = "application/sdp" if offer else "image/png" if picture else "application/json"
            if kind != wanted:
                wrong = MediaTypeError(
                    f"the body's content type is {kind or 'missing'}", hint=f"send Content-Type: {wanted}"
                )
                return wrong, 0
        return None, limit

    def _cors(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Headers for a page elsewhere that may call this server; none for any other."""
        origin = Headers(scope=scope).get("origin")
        if origin is None or not self._settings.allows_origin(origin):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]


def _is_preflight(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def limited(receive: Receive, limit: int) -> Receive:
    """A `receive` that raises BodyTooLargeError as soon as more than `limit` bytes came."""
    total = 0

    async def counting() -> Message:
        nonlocal total
        message = await receive()
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > limit:
                raise _too_large(limit)
        return message

    return counting


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"the body is larger than the {limit} bytes this server takes",
        hint="send less at once, or let the server's owner raise DESKTOP_SANDBOX_MAX_BODY_BYTES or ..._UPLOAD_BYTES",
    )
