"""What a guest says on a connection, taken apart into names to be judged and bytes to be passed on. Pure.

TLS shows one name at its beginning, HTTP one with every request, everything else none. No byte is passed on before the
name that it belongs to has been told, so that whoever judges can stop in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from desktop_sandbox.network.hello import HelloError, read_hello
from desktop_sandbox.network.http1 import MAX_HEAD, Head, HttpError, Requests

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ", b"PRI ")
_FIRST_LINE = 8192


class Speech(StrEnum):
    """What is spoken on a connection."""

    TLS = "tls"
    HTTP = "http"
    OTHER = "other"


@dataclass(frozen=True)
class Named:
    """The guest says whom it speaks to: `host` as it was sent, None where it says none or `problem` says why not."""

    speech: Speech
    host: str | None = None
    ech: bool = False
    problem: str | None = None
    head: Head | None = None


def classify(data: bytes) -> Speech | None:
    """What begins like this; None while that is open."""
    if data[:1] == b"\x16":
        if len(data) < 3:
            return None
        return Speech.TLS if data[1] == 3 and data[2] <= 4 else Speech.OTHER
    text = data.lstrip(b"\r\n \t")
    if not text:
        return None if len(data) < _FIRST_LINE else Speech.OTHER
    upper = text[:8].upper()
    if any(upper.startswith(method) for method in _METHODS):
        return Speech.HTTP
    if not (0x41 <= upper[0] <= 0x5A):
        return Speech.OTHER
    line, end, _ = text.partition(b"\n")
    if b"HTTP/" in line.upper():
        return Speech.HTTP
    if end or b"\0" in line or len(line) >= _FIRST_LINE:
        return Speech.OTHER
    return None


class GuestSpeech:
    """Reads what a guest sends on one connection."""

    def __init__(self) -> None:
        self.speech: Speech | None = None
        self._buffer = b""
        self._done = False
        self._requests = Requests()
        self._answer = b""

    def feed(self, data: bytes) -> list[Named | bytes]:
        """Names to be judged and bytes to be passed on, in their order. A name with a problem is the last."""
        if self._done and self.speech is not Speech.HTTP:
            return [data]
        self._buffer += data
        if self.speech is None:
            self.speech = classify(self._buffer)
        if self.speech is None or not self._buffer:
            return []
        match self.speech:
            case Speech.TLS:
                return self._tls()
            case Speech.HTTP:
                return self._http()
            case _:
                self._done = True
                return [Named(Speech.OTHER), self._take()]

    def _take(self) -> bytes:
        data, self._buffer = self._buffer, b""
        return data

    def _tls(self) -> list[Named | bytes]:
        try:
            hello = read_hello(self._buffer)
        except HelloError as error:
            return [Named(Speech.TLS, problem=f"TLS that cannot be read: {error}")]
        if hello is None:
            return []
        self._done = True
        return [Named(Speech.TLS, hello.name, hello.ech), self._take()]

    def _http(self) -> list[Named | bytes]:
        self._done = True
        out: list[Named | bytes] = []
        try:
            for item in self._requests.feed(self._take()):
                if isinstance(item, Head):
                    out += [Named(Speech.HTTP, item.host, head=item), item.raw]
                else:
                    out.append(item)
        except HttpError as error:
            out.append(Named(Speech.HTTP, problem=f"HTTP that cannot be read: {error}"))
        return out

    @property
    def pending_bytes(self) -> int:
        """How much is held back until more of it comes."""
        return len(self._buffer) + self._requests.pending_bytes

    def answered(self, data: bytes) -> list[Named | bytes]:
        """The server's next bytes: they say what became of an upgrade that was asked for. What waited for that."""
        if self.speech is not Speech.HTTP or not self._requests.waits_for_server:
            return []
        self._answer += data[:16]
        if len(self._answer) < 12:
            return []
        if self._answer.startswith((b"HTTP/1.1 101", b"HTTP/1.0 101")):
            self._requests.switched()
        elif self._answer.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
            return [Named(Speech.HTTP, problem="HTTP that cannot be read: an answer before the one to an upgrade")]
        else:
            self._requests.not_switched()
        self._answer = b""
        return self._http()


MAX_PENDING = MAX_HEAD + 4096
