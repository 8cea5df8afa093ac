"""A finished answer as a value: what is sent, and what is kept for a repeat of the request."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response


@dataclass(frozen=True)
class Answer:
    """Status, body, media type and further headers. `kept` goes to the disk where the full body is too big to keep."""

    status: int
    body: bytes
    media_type: str = "application/json"
    kept: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def response(self, *, replayed: bool = False) -> Response:
        """The HTTP response; a replayed one says so in a header."""
        headers = dict(self.headers)
        if replayed:
            headers["Idempotency-Replayed"] = "true"
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="desktop-sandbox"'
        if self.status == 503:
            headers["Retry-After"] = "5"
        media_type = None if self.status == 204 else self.media_type
        return Response(self.body, self.status, media_type=media_type, headers=headers)
