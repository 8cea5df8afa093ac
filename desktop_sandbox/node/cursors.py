"""Cursors of lists: opaque to their callers, a number to us. Pure."""

from __future__ import annotations

import base64
import binascii

from desktop_sandbox.errors import InvalidRequestError


def encode_cursor(seq: int) -> str:
    """An opaque cursor: "go on below this number"."""
    return base64.urlsafe_b64encode(b"s%d" % seq).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """The number in a cursor; InvalidRequestError for anything this store did not make."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digits = text[1:].decode("ascii")
        if text[:1] != b"s" or not digits.isdigit() or len(digits) > 18:
            raise ValueError(cursor)
        return int(digits)
    except (binascii.Error, ValueError):
        raise InvalidRequestError(
            f"{cursor[:80]!r} is no cursor of this list",
            hint="pass on the cursor of the page before, unchanged",
        ) from None
