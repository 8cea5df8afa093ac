"""The name in a TLS ClientHello (RFC 8446, RFC 6066), and whether Encrypted Client Hello is in it. Pure.

A ClientHello may come in several records and pieces; more than 16 KiB of it is taken for nothing that is known.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_HELLO = 16384
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ECH = 0, 0xFE0D


class HelloError(ValueError):
    """Something that begins like TLS and is no ClientHello."""


@dataclass(frozen=True)
class Hello:
    """What was found: `name` as it was sent (None: there is none); `ech`: an extension of Encrypted Client Hello,
    which browsers also send when they have nothing to hide (RFC 9849, GREASE)."""

    name: str | None
    ech: bool


class _Reader:
    """Bytes taken from the front; HelloError past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise HelloError("it ends early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))

    @property
    def done(self) -> bool:
        return self._at == len(self._data)


def read_hello(data: bytes) -> Hello | None:
    """What a ClientHello says; None while more of it has to come. Raises HelloError."""
    body = _handshake(data)
    if body is None:
        if len(data) > MAX_HELLO:
            raise HelloError("it is too long")
        return None
    hello = _Reader(body)
    hello.take(2 + 32)
    hello.vector(1)
    if len(hello.vector(2)) < 2:
        raise HelloError("no ciphers")
    hello.vector(1)
    if hello.done:
        return Hello(None, ech=False)
    extensions = _Reader(hello.vector(2))
    if not hello.done:
        raise HelloError("something follows its extensions")
    name: str | None = None
    ech = False
    seen: set[int] = set()
    while not extensions.done:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind in seen:
            raise HelloError("an extension twice")
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _server_name(content)
        elif kind == _ECH:
            ech = True
    return Hello(name, ech)


def _handshake(data: bytes) -> bytes | None:
    """The ClientHello out of its records, or None while it is not whole."""
    message = b""
    at = 0
    while True:
        if len(message) >= 4:
            if message[0] != _CLIENT_HELLO:
                raise HelloError("no ClientHello")
            length = int.from_bytes(message[1:4])
            if length > MAX_HELLO:
                raise HelloError("it is too long")
            if len(message) >= 4 + length:
                return message[4 : 4 + length]
        if len(data) < at + 5:
            return None
        if data[at] != _HANDSHAKE or data[at + 1] != 3:
            raise HelloError("no handshake record")
        size = int.from_bytes(data[at + 3 : at + 5])
        if not 1 <= size <= MAX_HELLO:
            raise HelloError("a record's length")
        # a record that has not come whole may still hold all that is needed
        message += data[at + 5 : at + 5 + size]
        if len(data) < at + 5 + size:
            if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4]):
                continue
            return None
        at += 5 + size


def _server_name(content: bytes) -> str:
    names = _Reader(_Reader(content).vector(2))
    if names.number(1) != 0:
        raise HelloError("a name of an unknown kind")
    raw = names.vector(2)
    if not names.done or not raw:
        raise HelloError("not just one name")
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise HelloError("a name that is not ASCII") from None
