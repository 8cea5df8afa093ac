"""What every exported file begins with: a signed head, before anything is believed.

`magic | u32 length | head (JSON) | 32 bytes public key | 64 bytes signature`, integers little endian. The signature is
over all before the key. What follows the head is vouched for by sizes and digests in it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.snapshots import signing

KINDS = {"snapshot": b"DSSNAP1\n", "template": b"DSTMPL1\n"}
"""The magic of each kind of file, by the command that exports and imports it."""
MAX_HEAD_BYTES = 8 << 20
_MAGIC_BYTES = 8
_LENGTH = struct.Struct("<I")
_START = _MAGIC_BYTES + _LENGTH.size
_AFTER_HEAD = signing.KEY_BYTES + signing.SIGNATURE_BYTES


@dataclass(frozen=True)
class Opened:
    """A head that was signed by the holder of `key`, and the bytes that came behind it."""

    head: bytes
    key: bytes
    rest: bytes


def sealed(kind: str, head: bytes, keys: signing.Keys) -> bytes:
    """What a file of this kind begins with, signed by this host."""
    message = KINDS[kind] + _LENGTH.pack(len(head)) + head
    return message + keys.own() + keys.sign(message)


def open_head(kind: str, data: bytes) -> Opened | None:
    """The head at the beginning of `data`, its signature checked; None as long as it is not all there.

    Raises InvalidRequestError for a file of another kind, or one that is damaged.
    """
    magic = data[:_MAGIC_BYTES]
    if not KINDS[kind].startswith(magic):
        other = next((name for name, known in KINDS.items() if known == magic), None)
        raise InvalidRequestError(
            f"this file is no exported {kind}" + (f" but a {other}" if other else ""),
            hint=f"desktop-sandbox {other} import" if other else f"desktop-sandbox {kind} export",
        )
    head = peek_head(data)
    if head is None:
        return None
    end = _START + len(head)
    if len(data) < end + _AFTER_HEAD:
        return None
    key = data[end : end + signing.KEY_BYTES]
    if not signing.is_signed(data[:end], data[end + signing.KEY_BYTES : end + _AFTER_HEAD], key):
        raise damaged("its signature does not fit its content")
    return Opened(head, key, data[end + _AFTER_HEAD :])


def peek_head(data: bytes) -> bytes | None:
    """The head, whoever signed it and whatever kind of file it is; None as long as it is not all there."""
    if len(data) < _START:
        return None
    (length,) = _LENGTH.unpack_from(data, _MAGIC_BYTES)
    if length > MAX_HEAD_BYTES:
        raise damaged("its head is too long")
    return data[_START : _START + length] if len(data) >= _START + length else None


def damaged(what: str) -> InvalidRequestError:
    """The error for a file that is not what was exported."""
    return InvalidRequestError(f"the file is damaged: {what}", hint="export or copy it anew; nothing was imported")
