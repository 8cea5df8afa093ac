"""Signed links to one path of one sandbox, good without a key until they expire. Pure: key and time are handed in.

A link's token is `dsf_<claims>.<signature>`, both base64url: JSON claims, and HMAC-SHA256 over the claims as written.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Literal, cast

from desktop_sandbox.errors import AuthenticationError

LinkAccess = Literal["read", "write", "archive"]
PREFIX = "dsf_"
MAX_TTL_S = 7 * 24 * 3600.0
_MAX_LENGTH = 16_384


@dataclass(frozen=True)
class FileLink:
    """What a link opens: `access` is read (a file), archive (a folder, as tar) or write (replace a file)."""

    sandbox: str
    path: str
    user: str
    access: LinkAccess
    expires_at: float


def derive_key(secret: bytes) -> bytes:
    """The key that signs links, from a HOME's secret: nothing else is signed with it."""
    return hmac.digest(secret, b"desktop-sandbox file link v1", hashlib.sha256)


def sign(link: FileLink, key: bytes) -> str:
    """The link's token, as its URL carries it."""
    claims = [link.sandbox, link.path, link.user, link.access, link.expires_at]
    body = _encode(json.dumps(claims, separators=(",", ":")).encode())
    return f"{PREFIX}{body}.{_encode(_signature(body, key))}"


def verify(text: str, key: bytes, now: float) -> FileLink:
    """What a token opens. AuthenticationError if it was not signed here, was changed, or has expired."""
    body, dot, signature = text.removeprefix(PREFIX).partition(".")
    if not (text.startswith(PREFIX) and dot and len(text) <= _MAX_LENGTH):
        raise _wrong()
    # compared as text: bits that base64 ignores at its end make no second signature
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), _encode(_signature(body, key)).encode()):
        raise _wrong()
    try:
        sandbox, path, user, access, expires_at = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        link = FileLink(str(sandbox), str(path), str(user), cast("LinkAccess", access), float(expires_at))
    except (binascii.Error, ValueError, TypeError):
        raise _wrong() from None
    if link.expires_at <= now:
        raise AuthenticationError("the link has expired", hint="ask who gave it for a new one")
    return link


def file_name(path: str, access: LinkAccess) -> str:
    """What a download is called: the path's last part, without what a header or a file system could stumble over."""
    last = path.rstrip("/").rpartition("/")[2]
    name = "".join(char if char.isascii() and (char.isalnum() or char in "._-+ ") else "_" for char in last).strip(". ")
    return (name[:100] or "download") + (".tar" if access == "archive" else "")


def _signature(body: str, key: bytes) -> bytes:
    return hmac.digest(key, body.encode("utf-8", "replace"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _wrong() -> AuthenticationError:
    return AuthenticationError("this link is not valid", hint="it must be used whole, as it was given")
