"""What is inside frames: JSON, pieces of streams, credit. Pure; the door is protocol.py."""

from __future__ import annotations

import json
import math
import re
import struct
from typing import Any

from guest_image.agent.frames import MAX_FRAME_PAYLOAD, Kind, ProtocolError, encode

CHUNK_BYTES = 32 << 10
WINDOW_BYTES = 256 << 10
MAX_DATA_PAYLOAD = 64 << 10
MAX_JSON_DEPTH = 64
STREAM_IN, STREAM_OUT, STREAM_ERR = 0, 1, 2

_CREDIT = struct.Struct("!BI")


def encode_json(kind: Kind, request: int, value: object, *, max_payload: int = MAX_FRAME_PAYLOAD) -> bytes:
    """One frame with a JSON payload (compact, ASCII). ProtocolError if too long or not JSON."""
    return encode(kind, request, dump_json(value), max_payload=max_payload)


def encode_data(request: int, stream: int, data: bytes) -> bytes:
    """A DATA frame: at most `MAX_DATA_PAYLOAD - 1` bytes of one stream."""
    return encode(Kind.DATA, request, bytes((stream,)) + data, max_payload=MAX_DATA_PAYLOAD)


def encode_end(request: int, stream: int) -> bytes:
    """An END frame: the stream has no more data."""
    return encode(Kind.END, request, bytes((stream,)))


def encode_credit(request: int, stream: int, granted_bytes: int) -> bytes:
    """A CREDIT frame: the sender of `stream` may send that many bytes more."""
    return encode(Kind.CREDIT, request, _CREDIT.pack(stream, granted_bytes))


def parse_data(payload: bytes) -> tuple[int, bytes]:
    """(stream, bytes) of a DATA payload. ProtocolError if it is empty or its stream unknown."""
    if len(payload) < 2 or payload[0] > STREAM_ERR:
        raise ProtocolError(f"DATA of {len(payload)} bytes, first {payload[:1].hex() or 'missing'}")
    return payload[0], payload[1:]


def parse_end(payload: bytes) -> int:
    """Stream number of an END payload. ProtocolError if it is not exactly one known stream."""
    if len(payload) != 1 or payload[0] > STREAM_ERR:
        raise ProtocolError(f"END payload {payload[:8].hex() or 'empty'}")
    return payload[0]


def parse_credit(payload: bytes) -> tuple[int, int]:
    """(stream, bytes granted) of a CREDIT payload. ProtocolError if it is malformed."""
    if len(payload) != _CREDIT.size or payload[0] > STREAM_ERR:
        raise ProtocolError(f"CREDIT payload {payload[:8].hex() or 'empty'}")
    stream, granted = _CREDIT.unpack(payload)
    return stream, granted


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def _reject_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number out of range: {text[:20]}")
    return value


_DECODER = json.JSONDecoder(parse_constant=_reject_constant, parse_float=_finite)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def dump_json(value: object) -> bytes:
    """Compact ASCII JSON. ProtocolError if `value` is not JSON."""
    try:
        return _ENCODER.encode(value).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error


def load_json(payload: bytes) -> Any:
    """The JSON value of a payload. ProtocolError if malformed, nested deeper than 64, or beyond a double.

    Lone surrogates (a guest can send them, no UTF-8 encoder takes them) become U+FFFD.
    """
    try:
        value = _DECODER.decode(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"payload is not JSON: {str(error)[:200]}") from error
    odd_text = _SURROGATE_ESCAPE.search(payload) is not None
    if odd_text or payload.count(b"[") + payload.count(b"{") > MAX_JSON_DEPTH:
        return _cleaned(value, MAX_JSON_DEPTH, odd_text)
    return value


def load_object(payload: bytes) -> dict[str, Any]:
    """A payload that must be a JSON object; else ProtocolError."""
    value = load_json(payload)
    if not isinstance(value, dict):
        raise ProtocolError(f"payload is a JSON {type(value).__name__}, not an object")
    return value


def _cleaned(value: Any, depth: int, odd_text: bool) -> Any:
    if depth < 0:
        raise ProtocolError(f"JSON nested deeper than {MAX_JSON_DEPTH}")
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value) if odd_text else value
    if isinstance(value, list):
        return [_cleaned(item, depth - 1, odd_text) for item in value]
    if isinstance(value, dict):
        return {_cleaned(key, 0, odd_text): _cleaned(item, depth - 1, odd_text) for key, item in value.items()}
    return value


class SendWindow:
    """How many bytes of one stream may be sent now."""

    def __init__(self, window_bytes: int = WINDOW_BYTES) -> None:
        self.available_bytes = window_bytes

    def take(self, wanted_bytes: int) -> int:
        """At most `wanted_bytes`, as far as credit reaches; they count as sent."""
        taken = min(wanted_bytes, self.available_bytes)
        self.available_bytes -= taken
        return taken

    def grant(self, granted_bytes: int) -> None:
        """The receiver gave more credit. ProtocolError beyond any window a receiver may open."""
        self.available_bytes += granted_bytes
        if self.available_bytes > 64 * WINDOW_BYTES:
            raise ProtocolError(f"credit of {self.available_bytes} bytes for one stream")


class ReceiveWindow:
    """What the other side may still send on one stream, and when to give it more."""

    def __init__(self, window_bytes: int = WINDOW_BYTES) -> None:
        self._window_bytes = window_bytes
        self._allowed_bytes = window_bytes
        self._consumed_bytes = 0

    def received(self, size_bytes: int) -> None:
        """Data came. ProtocolError if it is more than was granted."""
        if size_bytes > self._allowed_bytes:
            raise ProtocolError(f"{size_bytes} bytes of data with credit for {self._allowed_bytes}")
        self._allowed_bytes -= size_bytes

    def consumed(self, size_bytes: int) -> int:
        """Data was handed on: the credit to grant now, 0 while it is not worth a frame."""
        self._consumed_bytes += size_bytes
        if self._consumed_bytes * 4 < self._window_bytes:
            return 0
        grant, self._consumed_bytes = self._consumed_bytes, 0
        self._allowed_bytes += grant
        return grant
