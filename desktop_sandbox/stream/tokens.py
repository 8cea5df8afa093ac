"""Viewers' tokens: what one says, signed. Pure: the key and the time are handed in.

A token is `dst_<claims>.<signature>`, both base64url: JSON claims, and HMAC-SHA256 over the claims as they are written.
Whoever holds it may do what it says until it expires; that it was revoked is known to `token_store` only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal

from desktop_sandbox.errors import AuthenticationError

Rights = Literal["view", "control"]
PREFIX = "dst_"
MAX_LENGTH = 2048
MAX_TTL_S = 30 * 24 * 3600.0
_SIGNATURE_BYTES = 32


@dataclass(frozen=True)
class Token:
    """What a token says. `expires_at` in seconds since the epoch; `name` is shown to the others.

    `takes_control`: with the first key or click the viewer drives, as long as no other person does.
    """

    id: str
    sandbox: str
    rights: Rights
    expires_at: float
    name: str = ""
    takes_control: bool = False


def derive_key(secret: bytes) -> bytes:
    """The key that signs tokens, from a HOME's secret: nothing else is signed with it."""
    return hmac.digest(secret, b"desktop-sandbox viewer token v1", hashlib.sha256)


def sign(token: Token, key: bytes) -> str:
    """The token as its holder carries it."""
    claims: dict[str, Any] = {"i": token.id, "s": token.sandbox, "r": token.rights, "e": token.expires_at}
    if token.name:
        claims["n"] = token.name
    if token.takes_control:
        claims["t"] = 1
    body = _encode(json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode())
    return f"{PREFIX}{body}.{_encode(_signature(body, key))}"


def verify(text: str, key: bytes, now: float) -> Token:
    """What a token says. AuthenticationError if it was not signed here, was changed, or has expired."""
    body, dot, signature = text.removeprefix(PREFIX).partition(".")
    given = _decode(signature)
    if not (text.startswith(PREFIX) and dot and len(text) <= MAX_LENGTH and given is not None):
        raise _wrong()
    if not hmac.compare_digest(given, _signature(body, key)):
        raise _wrong()
    token = _read(_decode(body))
    if token.expires_at <= now:
        raise AuthenticationError("the link has expired", hint="ask for a new one: desktop-sandbox view SANDBOX")
    return token


def _read(body: bytes | None) -> Token:
    try:
        claims = json.loads(body or b"")
        rights: Rights = "control" if claims["r"] == "control" else "view"
        return Token(
            id=str(claims["i"]),
            sandbox=str(claims["s"]),
            rights=rights,
            expires_at=float(claims["e"]),
            name=str(claims.get("n", "")),
            takes_control=bool(claims.get("t")),
        )
    except (ValueError, KeyError, TypeError):
        raise _wrong() from None


def _signature(body: str, key: bytes) -> bytes:
    return hmac.digest(key, body.encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes | None:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _encode(data) == text else None


def _wrong() -> AuthenticationError:
    return AuthenticationError(
        "the token is not valid here", hint="ask for a new link: desktop-sandbox view SANDBOX, or POST …/tokens"
    )
