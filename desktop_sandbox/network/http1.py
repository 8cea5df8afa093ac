"""Requests of an HTTP/1 connection, taken apart just far enough to know each one's host. Pure.

Each byte a client sends is a request's head, its body, or (after a server agreed to change the protocol) something
else. What two programs might read in two ways is refused: both lengths, several lengths, folded lines, bare line feeds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

MAX_HEAD = 32768
_METHOD = re.compile(rb"[A-Z][A-Z0-9_-]{0,31}")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@/\\?#]+))(?::(\d{0,5}))?")
_ABSOLUTE = re.compile(rb"(?i)http://([^/?#]*)([/?#].*)?")


class HttpError(ValueError):
    """A request that is not read the same way by everybody, or not at all."""


@dataclass(frozen=True)
class Head:
    """A request's first line and headers. `host` is the name (or address) it is for, None if it says none."""

    method: str
    target: str
    host: str | None
    raw: bytes
    upgrade: bool = False


class _State(Enum):
    HEAD = auto()
    LENGTH = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    UPGRADING = auto()
    OPAQUE = auto()


class Requests:
    """Reads what a client sends. `feed` gives heads, and bytes that belong to the request before, in their order."""

    def __init__(self) -> None:
        self._state = _State.HEAD
        self._buffer = b""
        self._left = 0

    def feed(self, data: bytes) -> list[Head | bytes]:
        """What these bytes bring. Raises HttpError; nothing more may be passed on then."""
        self._buffer += data
        out: list[Head | bytes] = []
        while self._buffer:
            before = len(self._buffer), self._state
            self._step(out)
            if before == (len(self._buffer), self._state):
                break
        return out

    def switched(self) -> None:
        """The server has agreed to change the protocol: what follows is no HTTP."""
        if self._state is _State.UPGRADING:
            self._state = _State.OPAQUE

    def not_switched(self) -> None:
        """The server has answered an upgrade in HTTP: requests follow."""
        if self._state is _State.UPGRADING:
            self._state = _State.HEAD

    @property
    def waits_for_server(self) -> bool:
        """Whether an upgrade was asked for, and nothing is read before it is known what became of it."""
        return self._state is _State.UPGRADING

    @property
    def pending_bytes(self) -> int:
        """How much is held back until more of it comes."""
        return len(self._buffer)

    def _take(self, count: int) -> bytes:
        piece, self._buffer = self._buffer[:count], self._buffer[count:]
        return piece

    def _step(self, out: list[Head | bytes]) -> None:
        match self._state:
            case _State.HEAD:
                self._head(out)
            case _State.LENGTH | _State.CHUNK:
                piece = self._take(self._left)
                self._left -= len(piece)
                out.append(piece)
                if self._left == 0:
                    self._state = _State.HEAD if self._state is _State.LENGTH else _State.CHUNK_END
            case _State.CHUNK_SIZE:
                line = self._line(1024)
                if line is not None:
                    size = re.fullmatch(rb"([0-9A-Fa-f]{1,12})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?", line)
                    if size is None:
                        raise HttpError("the length of a chunk")
                    self._left = int(size[1], 16)
                    self._state = _State.CHUNK if self._left else _State.TRAILER
                    out.append(line + b"\r\n")
            case _State.CHUNK_END:
                line = self._line(0)
                if line is not None:
                    self._state = _State.CHUNK_SIZE
                    out.append(b"\r\n")
            case _State.TRAILER:
                line = self._line(8192)
                if line is not None:
                    self._state = _State.HEAD if not line else _State.TRAILER
                    out.append(line + b"\r\n")
            case _State.OPAQUE:
                out.append(self._take(len(self._buffer)))
            case _State.UPGRADING:
                if len(self._buffer) > MAX_HEAD:
                    raise HttpError("more than an upgrade allows before it is answered")

    def _line(self, most: int) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > most + 1:
                raise HttpError("a line is too long")
            return None
        if end > most + 1 or self._buffer[max(0, end - 1) : end] != b"\r":
            raise HttpError("the end of a line")
        line = self._take(end + 1)[:-2]
        if b"\r" in line or b"\0" in line:
            raise HttpError("a control character")
        return line

    def _head(self, out: list[Head | bytes]) -> None:
        if self._buffer.startswith((b"\r\n", b"\n")):
            raise HttpError("an empty line before a request")
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise HttpError("its head is too long")
            return
        if end > MAX_HEAD:
            raise HttpError("its head is too long")
        raw = self._take(end + 4)
        head, length, chunked = read_head(raw)
        out.append(head)
        if head.upgrade:
            self._state = _State.UPGRADING
            if length or chunked:
                raise HttpError("an upgrade with a body")
        elif chunked:
            self._state = _State.CHUNK_SIZE
        elif length:
            self._left, self._state = length, _State.LENGTH


def read_head(raw: bytes) -> tuple[Head, int, bool]:
    """A request's head, the length of its body, and whether that comes in chunks. Raises HttpError."""
    lines = raw[:-4].split(b"\r\n")
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        raise HttpError("a control character")
    method, target = _request_line(lines[0])
    fields: dict[bytes, list[bytes]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name):
            raise HttpError("a header")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    host = _host_of(fields.get(b"host", []), target)
    length, chunked = _length_of(fields)
    if chunked and lines[0].endswith(b"HTTP/1.0"):
        raise HttpError("the coding of its body")  # RFC 9112, 6.1: its framing is not to be trusted
    upgrade = b"upgrade" in fields
    return Head(method.decode(), target.decode("latin-1"), host, raw, upgrade), length, chunked


def _request_line(line: bytes) -> tuple[bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3 or not _METHOD.fullmatch(parts[0]) or not parts[1] or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise HttpError("the request's first line")
    return parts[0], parts[1]


def _host_of(values: list[bytes], target: bytes) -> str | None:
    if len(values) > 1:
        raise HttpError("two hosts")
    host = host_name(values[0].decode("latin-1")) if values and values[0] else None
    if target.startswith(b"/") or target == b"*":
        return host
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise HttpError("the request's target")
    named = host_name(absolute[1].decode("latin-1"))
    if host is not None and named.lower() != host.lower():
        raise HttpError("the target and the Host header name two hosts")
    return named


def host_name(text: str) -> str:
    """The name or address in a Host header, without its port. Raises HttpError."""
    found = _HOST.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        raise HttpError("the host")
    return found[1] or found[2]


def _length_of(fields: dict[bytes, list[bytes]]) -> tuple[int, bool]:
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise HttpError("the coding of its body")
        return 0, True
    if not lengths:
        return 0, False
    if len(lengths) > 1 or not re.fullmatch(rb"\d{1,15}", lengths[0]):
        raise HttpError("the length of its body")
    return int(lengths[0]), False
