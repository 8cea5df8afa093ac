"""What is common to HTTP and WebSockets for servers in the guests: who may, which headers go on, what went wrong."""

from __future__ import annotations

from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

import httpcore
from starlette.datastructures import Headers

from desktop_sandbox import errors
from desktop_sandbox.api.problems import unexpected

if TYPE_CHECKING:
    from starlette.types import Scope

    from desktop_sandbox.api.port_access import GuestPort, PortAccess

HEAD_S = 60.0
TOKEN = "desktop-sandbox-token"  # noqa: S105
COOKIE = "desktop-sandbox-port"
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
    )
) | {b"transfer-encoding", b"upgrade", f"x-{TOKEN}".encode()}


def authorise(ports: PortAccess, there: GuestPort, headers: Headers) -> None:
    """AuthenticationError unless the port is public, or a header or the cookie opens it."""
    if ports.is_public(there):
        return
    given = headers.get(f"x-{TOKEN}") or cookies(headers).get(COOKIE)
    if not given:
        raise errors.AuthenticationError(
            "this address needs a token",
            hint="open the whole address that get_host gave, or let the desktop's owner make the port public",
        )
    ports.check(there, given)


def cookies(headers: Headers) -> dict[str, str]:
    """The cookies of a request; none where they cannot be read."""
    jar: SimpleCookie = SimpleCookie()
    with suppress(CookieError):
        jar.load(headers.get("cookie", ""))
    return {name: morsel.value for name, morsel in jar.items()}


def forwarded(headers: list[tuple[bytes, bytes]], scope: Scope) -> list[tuple[bytes, bytes]]:
    """A request's headers as the guest gets them."""
    named = {part.strip().lower() for name, value in headers if name == b"connection" for part in value.split(b",")}
    kept = []
    for name, value in headers:
        if name in HOP_BY_HOP or name in named or name.startswith(b"x-forwarded-"):
            continue
        if name != b"cookie":
            kept.append((name, value))
        elif theirs := b"; ".join(
            part.strip() for part in value.split(b";") if not part.strip().startswith(f"{COOKIE}=".encode())
        ):
            kept.append((name, theirs))
    host = Headers(scope=scope).get("host", "").encode("latin-1")
    client = scope.get("client")
    kept += [(b"x-forwarded-host", host), (b"x-forwarded-proto", scope["scheme"].replace("ws", "http").encode())]
    return [*kept, (b"x-forwarded-for", client[0].encode())] if client else kept


class NothingThereError(errors.NotFoundError):
    """Nothing listens on the port."""

    slug = "nothing-there"
    status = 502


class GuestServerError(errors.DesktopSandboxError):
    """The guest's server answered what is no HTTP."""

    slug = "guest-server"
    status = 502


def explain(error: Exception, there: GuestPort) -> errors.DesktopSandboxError:
    """What went wrong, in our words."""
    if isinstance(error, errors.NotFoundError) and f"port {there.port}" in error.message:
        return NothingThereError(
            f"nothing answers on port {there.port} in the desktop yet",
            hint="start the server in the desktop; a page that is open is loaded again by itself",
        )
    if isinstance(error, errors.DesktopSandboxError):
        return error
    if isinstance(error, httpcore.TimeoutException):
        return errors.DeadlineError(
            f"the server on port {there.port} took the request and has not answered for {HEAD_S:g} s",
            hint="look at what it does in the desktop",
        )
    if isinstance(error, httpcore.ProtocolError | httpcore.NetworkError | ConnectionError):
        return GuestServerError(
            f"what answers on port {there.port} ended, or speaks no HTTP: {error or type(error).__name__}"[:300],
            hint="for other protocols: desktop-sandbox forward",
        )
    return unexpected(error)
