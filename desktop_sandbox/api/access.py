"""Who a caller is and which calls are theirs: everything with the API key, a few calls of one sandbox with a token."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from desktop_sandbox import errors
from desktop_sandbox.stream.parties import API_KEY, Grant, token_grant
from desktop_sandbox.stream.tokens import PREFIX, Rights

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from desktop_sandbox.stream.token_store import TokenStore
    from desktop_sandbox.stream_settings import StreamSettings

_SANDBOX = r"/v1/sandboxes/(?P<sandbox>[^/]+)"
# what a token opens, by method and path, and the rights it takes
TOKEN_CALLS: tuple[tuple[frozenset[str], re.Pattern[str], Rights], ...] = (
    (frozenset({"GET"}), re.compile(rf"{_SANDBOX}/(stream|stream/ws|screenshot|control)"), "view"),
    (frozenset({"GET"}), re.compile(rf"{_SANDBOX}/snapshots(/[^/]+/thumbnail)?"), "view"),
    (frozenset({"POST"}), re.compile(rf"{_SANDBOX}/(checkpoint|rollback|snapshots/[^/]+/fork)"), "control"),
    (frozenset({"POST"}), re.compile(rf"{_SANDBOX}/stream/whep"), "view"),
    (frozenset({"DELETE", "PATCH"}), re.compile(rf"{_SANDBOX}/stream/whep/[^/]+"), "view"),
    (frozenset({"PUT"}), re.compile(rf"{_SANDBOX}/files"), "control"),
    (frozenset({"GET", "PUT"}), re.compile(rf"{_SANDBOX}/clipboard"), "control"),
    (frozenset({"POST"}), re.compile(rf"{_SANDBOX}/terminals"), "control"),
    (frozenset({"GET"}), re.compile(rf"{_SANDBOX}/terminals/[^/]+/connect"), "control"),
)
USER_OF_TOKENS = "user"
"""Whose terminals a token opens: those of the desktop's user, as whom its holder drives anyway; never root's."""
_OPEN = frozenset({"/healthz", "/openapi.json", "/wall", "/favicon.ico"})
_OPEN_BELOW = ("/view/", "/viewer/", "/v1/links/")


class Access:
    """Decides. `tokens` is there once the app's lifespan has begun."""

    def __init__(self, api_key: str) -> None:
        self._key = api_key.encode()
        self.tokens: TokenStore | None = None

    def is_open(self, method: str, path: str) -> bool:
        """Whether the call needs no key: pages, signed links, and what a browser asks before it calls."""
        return path in _OPEN or path.startswith(_OPEN_BELOW) or (method == "OPTIONS" and "/stream/whep" in path)

    def grant(self, headers: Headers, method: str, path: str) -> Grant:
        """What the caller may do. AuthenticationError, or NotAllowedError for a token that is not for this call."""
        return self.check(credential(headers), method, path)

    def check(self, given: str, method: str, path: str) -> Grant:
        """The same for a key or token that came in another way."""
        if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key):
            return API_KEY
        if not given.startswith(PREFIX) or self.tokens is None:
            raise errors.AuthenticationError(
                "the API key is wrong" if given else "this server needs an API key",
                hint="send Authorization: Bearer KEY; SDK and CLI find it in DESKTOP_SANDBOX_API_KEY,"
                " or on the server's own host in DESKTOP_SANDBOX_HOME/api-key",
            )
        token = self.tokens.check(given)
        for methods, pattern, rights in TOKEN_CALLS:
            match = pattern.fullmatch(path)
            if match is not None and method in methods:
                if match["sandbox"] != token.sandbox:
                    raise errors.NotAllowedError("the token is for another sandbox", hint="ask for one for this")
                if rights == "control" and token.rights != "control":
                    raise errors.NotAllowedError("the token is for watching only", hint="ask for one with control")
                return token_grant(token)
        raise errors.NotAllowedError("a viewer's token does not open this call", hint="it takes the API key")


def credential(headers: Headers) -> str:
    """The key or token in a request's headers; empty without one."""
    given = headers.get("x-api-key")
    if given is None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
    return given


def grant_of(connection: HTTPConnection) -> Grant:
    """What the gate found the caller may do."""
    found: Grant = connection.state.grant
    return found


def check_token_user(grant: Grant, user: str) -> None:
    """NotAllowedError where a token asks for a terminal of somebody else in the desktop."""
    if grant.token is not None and user != USER_OF_TOKENS:
        raise errors.NotAllowedError(
            f"a viewer's token opens no terminal of {user[:40]!r}",
            hint=f"those of {USER_OF_TOKENS!r}; else the API key",
        )


def origin_is_ours(origin: str, host: str, settings: StreamSettings) -> bool:
    """Whether a page of `origin` may open a WebSocket here: ours, that of the base URL, or one that is allowed."""
    if settings.allows_origin(origin):
        return True
    own = {host.lower()}
    if settings.base_url is not None:
        own.add(urlsplit(settings.base_url).netloc.lower())
    return urlsplit(origin).netloc.lower() in own
