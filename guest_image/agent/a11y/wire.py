"""D-Bus messages as bytes (D-Bus Specification 0.43, "Marshaling" and "Message Protocol"). Pure: no sockets, no clock.

Signatures are lists of single complete types; a variant to send is a pair (signature, value).
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

CALL, REPLY, ERROR, SIGNAL = 1, 2, 3, 4
MAX_BODY_BYTES = 1 << 20
FIXED_BYTES = 16
_MAX_DEPTH = 32

_NUMBERS = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "b": "I"}
_ALIGN = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "i": 4, "u": 4, "b": 4, "s": 4, "o": 4, "a": 4}
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SENDER, _SIGNATURE = range(1, 9)
_FIELD_TYPES = {
    _PATH: "o", _INTERFACE: "s", _MEMBER: "s", _ERROR_NAME: "s", _REPLY_SERIAL: "u", _DESTINATION: "s", _SENDER: "s",
    _SIGNATURE: "g",
}  # fmt: skip


class WireError(ValueError):
    """Bytes that are no D-Bus message, or a value that its signature does not allow."""


class Message(NamedTuple):
    """One message; what a kind of message does not have is empty, or 0."""

    kind: int
    serial: int
    path: str = ""
    interface: str = ""
    member: str = ""
    error_name: str = ""
    reply_serial: int = 0
    destination: str = ""
    sender: str = ""
    signature: str = ""
    body: tuple[Any, ...] = ()


def split(signature: str) -> list[str]:
    """The single complete types of a signature. WireError if it is none."""
    types, at = [], 0
    while at < len(signature):
        end = _end(signature, at, 0)
        types.append(signature[at:end])
        at = end
    return types


def _end(signature: str, at: int, depth: int) -> int:
    if at >= len(signature) or depth > _MAX_DEPTH:
        raise WireError(f"signature {signature!r:.80}")
    head = signature[at]
    if head == "a":
        return _end(signature, at + 1, depth + 1)
    if head in "({":
        close = ")" if head == "(" else "}"
        at += 1
        while at < len(signature) and signature[at] != close:
            at = _end(signature, at, depth + 1)
        if at >= len(signature):
            raise WireError(f"signature {signature!r:.80}")
        return at + 1
    if head not in _NUMBERS and head not in "sogv":
        raise WireError(f"signature {signature!r:.80}")
    return at + 1


def align_of(kind: str) -> int:
    """The alignment of a type, in bytes."""
    return _ALIGN.get(kind[0], 8)


class Writer:
    """Values to bytes, little endian."""

    def __init__(self) -> None:
        self.data = bytearray()

    def pad(self, to: int) -> None:
        """Zeros up to a multiple of `to` bytes."""
        self.data += bytes(-len(self.data) % to)

    def put(self, kind: str, value: Any) -> None:
        """One value of a single complete type."""
        self.pad(align_of(kind))
        head = kind[0]
        if head in _NUMBERS:
            self.data += struct.pack("<" + _NUMBERS[head], value)
        elif head in "so":
            text = value.encode()
            self.data += struct.pack("<I", len(text)) + text + b"\0"
        elif head == "g":
            self.data += bytes((len(value),)) + value.encode() + b"\0"
        elif head == "v":
            self.put("g", value[0])
            self.put(*value)
        elif head == "a":
            self._array(kind[1:], value)
        else:
            for part, item in zip(split(kind[1:-1]), value, strict=True):
                self.put(part, item)

    def _array(self, kind: str, value: Any) -> None:
        place = len(self.data)
        self.data += bytes(4)
        self.pad(align_of(kind))
        begin = len(self.data)
        for item in value.items() if isinstance(value, dict) else value:
            self.put(kind, item)
        struct.pack_into("<I", self.data, place, len(self.data) - begin)


class Reader:
    """Bytes to values. Whatever is wrong with them is a WireError."""

    def __init__(self, data: bytes | memoryview, endian: str = "<", at: int = 0) -> None:
        self._data = memoryview(data)
        self._endian = endian
        self.at = at

    def pad(self, to: int) -> None:
        """Go to a multiple of `to` bytes."""
        self.at += -self.at % to

    def take(self, kind: str, depth: int = 0) -> Any:
        """One value of a single complete type; a variant is its value alone."""
        if depth > _MAX_DEPTH:
            raise WireError("nested too deeply")
        self.pad(align_of(kind))
        head = kind[0]
        if head in _NUMBERS:
            form = self._endian + _NUMBERS[head]
            try:
                (value,) = struct.unpack_from(form, self._data, self.at)
            except struct.error as error:
                raise WireError(str(error)) from error
            self.at += struct.calcsize(form)
            return bool(value) if head == "b" else value
        if head in "so":
            return self._text(self.take("u"))
        if head == "g":
            return self._text(self.take("y"))
        if head == "v":
            types = split(self.take("g"))
            if len(types) != 1:
                raise WireError("a variant of several types")
            return self.take(types[0], depth + 1)
        if head == "a":
            return self._array(kind[1:], depth)
        return tuple(self.take(part, depth + 1) for part in split(kind[1:-1]))

    def _text(self, length: int) -> str:
        end = self.at + length
        if end >= len(self._data):
            raise WireError("text beyond the end")
        text = bytes(self._data[self.at : end]).decode("utf-8", "replace")
        self.at = end + 1
        return text

    def _array(self, kind: str, depth: int) -> Any:
        length = self.take("u")
        self.pad(align_of(kind))
        end = self.at + length
        if end > len(self._data):
            raise WireError("an array beyond the end")
        items = []
        while self.at < end:
            before = self.at
            items.append(self.take(kind, depth + 1))
            if self.at == before:
                raise WireError("an array of nothing")
        return dict(items) if kind[0] == "{" else items


def encode(message: Message) -> bytes:
    """A message as bytes."""
    body = Writer()
    for kind, value in zip(split(message.signature), message.body, strict=True):
        body.put(kind, value)
    fields = {
        _PATH: message.path, _INTERFACE: message.interface, _MEMBER: message.member, _ERROR_NAME: message.error_name,
        _REPLY_SERIAL: message.reply_serial, _DESTINATION: message.destination, _SENDER: message.sender,
        _SIGNATURE: message.signature,
    }  # fmt: skip
    head = Writer()
    for kind, value in zip("yyyyuu", (ord("l"), message.kind, 0, 1, len(body.data), message.serial), strict=True):
        head.put(kind, value)
    head.put("a(yv)", [(number, (_FIELD_TYPES[number], value)) for number, value in fields.items() if value])
    head.pad(8)
    return bytes(head.data + body.data)


def lengths(start: bytes | bytearray | memoryview) -> tuple[int, int]:
    """(head, body) in bytes of the message whose first FIXED_BYTES are given. WireError if there is none."""
    endian = {ord("l"): "<", ord("B"): ">"}.get(start[0])
    if endian is None or start[3] != 1:
        raise WireError(f"no message begins with {bytes(start[:4])!r}")
    body, _, fields = struct.unpack_from(endian + "III", start, 4)
    if fields > 1 << 16:
        raise WireError(f"{fields} bytes of header fields")
    return FIXED_BYTES + fields + -fields % 8, body


def decode(data: bytes | memoryview, *, with_body: bool = True) -> Message:
    """A message out of its bytes. WireError if they are none."""
    try:
        return _decode(data, with_body)
    except (struct.error, IndexError, TypeError) as error:
        raise WireError(str(error)) from error


def _decode(data: bytes | memoryview, with_body: bool) -> Message:
    endian = "<" if data[0] == ord("l") else ">"
    head, size = lengths(data)
    reader = Reader(data[:head], endian, 12)
    values = {number: value for number, value in reader.take("a(yv)") if number in _FIELD_TYPES}
    signature = str(values.get(_SIGNATURE, ""))
    body: tuple[Any, ...] = ()
    if with_body and size:
        inside = Reader(memoryview(data)[head : head + size], endian)
        body = tuple(inside.take(kind) for kind in split(signature))
    (serial,) = struct.unpack_from(endian + "I", data, 8)
    return Message(
        kind=data[1],
        serial=serial,
        path=str(values.get(_PATH, "")),
        interface=str(values.get(_INTERFACE, "")),
        member=str(values.get(_MEMBER, "")),
        error_name=str(values.get(_ERROR_NAME, "")),
        reply_serial=int(values.get(_REPLY_SERIAL, 0)),
        destination=str(values.get(_DESTINATION, "")),
        sender=str(values.get(_SENDER, "")),
        signature=signature,
        body=body,
    )
