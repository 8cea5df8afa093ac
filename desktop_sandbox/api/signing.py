"""Signed tokens: a prefix, JSON claims and their HMAC-SHA256, both base64url. Pure: keys are handed in.

The signature covers the claims as written, and no token is ever taken for one of another prefix.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from desktop_sandbox.errors import AuthenticationError

_MAX_LENGTH = 16_384


def derive_key(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose, from a HOME's secret: nothing else is signed with it."""
    return hmac.digest(secret, purpose.encode(), hashlib.sha256)


def seal(prefix: str, claims: list[Any], key: bytes) -> str:
    """A token that says these claims."""
    body = _encode(json.dumps(claims, separators=(",", ":")).encode())
    return f"{prefix}{body}.{_encode(_signature(body, key))}"


def unseal(prefix: str, text: str, key: bytes, count: int) -> list[Any]:
    """A token's `count` claims. AuthenticationError if it was not signed with the key, or was changed."""
    body, dot, signature = text.removeprefix(prefix).partition(".")
    if not (text.startswith(prefix) and dot and len(text) <= _MAX_LENGTH):
        raise wrong()
    # compared as text: bits that base64 ignores at its end make no second signature
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), _encode(_signature(body, key)).encode()):
        raise wrong()
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError):
        raise wrong() from None
    if not isinstance(claims, list) or len(claims) != count:
        raise wrong()
    return claims


def wrong() -> AuthenticationError:
    """What is said of a token that is none."""
    return AuthenticationError("this link is not valid", hint="it must be used whole, as it was given")


def _signature(body: str, key: bytes) -> bytes:
    return hmac.digest(key, body.encode("utf-8", "replace"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
