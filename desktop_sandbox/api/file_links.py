"""Signed links to one path of one sandbox, good without a key until they expire. Pure: key and time are handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from desktop_sandbox.api.signing import seal, unseal, wrong
from desktop_sandbox.errors import AuthenticationError

LinkAccess = Literal["read", "write", "archive"]
PREFIX = "dsf_"
PURPOSE = "desktop-sandbox file link v1"
MAX_TTL_S = 7 * 24 * 3600.0


@dataclass(frozen=True)
class FileLink:
    """What a link opens: `access` is read (a file), archive (a folder, as tar) or write (replace a file)."""

    sandbox: str
    path: str
    user: str
    access: LinkAccess
    expires_at: float


def sign(link: FileLink, key: bytes) -> str:
    """The link's token, as its URL carries it."""
    return seal(PREFIX, [link.sandbox, link.path, link.user, link.access, link.expires_at], key)


def verify(text: str, key: bytes, now: float) -> FileLink:
    """What a token opens. AuthenticationError if it was not signed here, was changed, or has expired."""
    sandbox, path, user, access, expires_at = unseal(PREFIX, text, key, 5)
    try:
        link = FileLink(str(sandbox), str(path), str(user), cast("LinkAccess", access), float(expires_at))
    except (ValueError, TypeError):
        raise wrong() from None
    if link.expires_at <= now:
        raise AuthenticationError("the link has expired", hint="ask who gave it for a new one")
    return link


def file_name(path: str, access: LinkAccess) -> str:
    """What a download is called: the path's last part, without what a header or a file system could stumble over."""
    last = path.rstrip("/").rpartition("/")[2]
    name = "".join(char if char.isascii() and (char.isalnum() or char in "._-+ ") else "_" for char in last).strip(". ")
    return (name[:100] or "download") + (".tar" if access == "archive" else "")
