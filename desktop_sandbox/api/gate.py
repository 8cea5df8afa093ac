"""What every request passes first, as plain ASGI: key, size limits while reading, content type, timing, last resort.

Nothing here buffers a body. /healthz and /openapi.json need no key.
"""

from __future__ import annotations

import hmac
import logging
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from desktop_sandbox import errors
from desktop_sandbox.api.problems import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from desktop_sandbox.api.metrics import Metrics

log = logging.getLogger("desktop_sandbox.api")

OPEN_PATHS = frozenset({"/healthz", "/openapi.json"})
UPLOAD_SUFFIX = "/files"


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
        self, app: ASGIApp, *, api_key: str, max_body_bytes: int, max_upload_bytes: int, metrics: Metrics
    ) -> None:
        self._app = app
        self._key = api_key.encode()
        self._max_body = max_body_bytes
        self._max_upload = max_upload_bytes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's scope (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path: str = scope["path"]
        try:
            refusal, limit = self._decide(scope, path)
            if refusal is not None:
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
        if path not in OPEN_PATHS and not self._authentic(headers):
            given = "authorization" in headers or "x-api-key" in headers
            error = errors.AuthenticationError(
                "the API key is wrong" if given else "this server needs an API key",
                hint="send Authorization: Bearer KEY; SDK and CLI find it in DESKTOP_SANDBOX_API_KEY,"
                " or on the server's own host in DESKTOP_SANDBOX_HOME/api-key",
            )
            return error, 0
        upload = scope["method"] == "PUT" and path.endswith(UPLOAD_SUFFIX)
        limit = self._max_upload if upload else self._max_body
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            return _too_large(limit), 0
        chunked = "transfer-encoding" in headers
        if (chunked or length != "0") and not upload and scope["method"] not in ("GET", "HEAD"):
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                wrong = MediaTypeError(
                    f"the body's content type is {kind or 'missing'}", hint="send Content-Type: application/json"
                )
                return wrong, 0
        return None, limit

    def _authentic(self, headers: Headers) -> bool:
        given = headers.get("x-api-key")
        if given is None:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            given = token.strip() if scheme.lower() == "bearer" else ""
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key)


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
