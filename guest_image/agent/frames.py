"""Frames: how they are packed and how they are read out of a byte stream. Pure; the door is protocol.py."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
MAGIC = b"DS"

HEADER = struct.Struct("!2sBBIII")
HEADER_BYTES = HEADER.size
_CHECKED = struct.Struct("!2sBBII")
_CRC = struct.Struct("!I")

MAX_FRAME_PAYLOAD = 1 << 20
MAX_SYNC_PAYLOAD = 4096


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    WELCOME = 2
    REQUEST = 3
    REPLY = 4
    ERROR = 5
    CANCEL = 6
    EVENT = 7
    DATA = 8
    END = 9
    CREDIT = 10


class ProtocolError(Exception):
    """The other side sent something that is not this protocol."""


class Frame(NamedTuple):
    """One frame: its kind, the request it belongs to (0: none) and its payload."""

    kind: Kind
    request: int
    payload: bytes


def encode(kind: Kind, request: int = 0, payload: bytes = b"", *, max_payload: int = MAX_FRAME_PAYLOAD) -> bytes:
    """One frame as bytes, ready for one write. ProtocolError if the payload is over `max_payload` bytes."""
    if len(payload) > max_payload:
        raise ProtocolError(f"{kind.name} payload of {len(payload)} bytes; {max_payload} fit into a frame")
    head = _CHECKED.pack(MAGIC, VERSION, kind, request, len(payload))
    return b"".join((head, _CRC.pack(crc32(payload, crc32(head))), payload))


class FrameReader:
    """Turns bytes, however cut, into frames. Holds at most one partial frame.

    It starts by skipping everything up to the first `sync` frame (HELLO for a guest, WELCOME for a host)
    that `accept` takes. After that a strict reader (host) raises ProtocolError at the first bad byte and for
    ever after; a resynchronising one (guest) skips to the next sync frame.
    """

    def __init__(
        self,
        sync: Kind,
        *,
        strict: bool,
        max_payload: int,
        accept: Callable[[Frame], bool] | None = None,
    ) -> None:
        self._strict = strict
        self._max_payload = max_payload
        self._accept = accept
        self._buffer = bytearray()
        self._pattern = MAGIC + bytes((VERSION, sync))
        self._broken: str | None = None
        self.seeking = True
        self.skipped_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the partial frame held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by `data`. ProtocolError (strict only) where no frame can be read any more."""
        if self._broken is not None:
            raise ProtocolError(self._broken)
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        position = 0
        while True:
            if self.seeking:
                position, frame = self._seek(position)
            else:
                try:
                    frame = self._parse(position)
                except ProtocolError as error:
                    if self._strict:
                        self._broken = str(error)
                        buffer.clear()
                        raise
                    self.seeking = True
                    self.skipped_bytes += 1
                    position += 1
                    continue
            if frame is None:
                break
            position += HEADER_BYTES + len(frame.payload)
            frames.append(frame)
        del buffer[:position]
        return frames

    def stalled(self) -> list[Frame]:
        """Call when no byte has come for a while: the sync frame that ends what is held as a partial frame.

        A restored guest may sit in the middle of a frame whose rest never comes; the host's HELLO is then the
        last thing in the buffer, since the host waits for its answer. Resynchronising readers only.
        """
        if self._strict or self.seeking or len(self._buffer) < HEADER_BYTES:
            return []
        start = self._buffer.rfind(self._pattern)
        if start <= 0:
            return []
        try:
            frame = self._parse(start)
        except ProtocolError:
            return []
        if frame is None or start + HEADER_BYTES + len(frame.payload) != len(self._buffer):
            return []
        if self._accept is not None and not self._accept(frame):
            return []
        self.skipped_bytes += start
        self._buffer.clear()
        return [frame]

    def _parse(self, position: int) -> Frame | None:
        """The frame at `position`, None while it is incomplete; ProtocolError if there is none."""
        buffer = self._buffer
        held = len(buffer) - position
        if held < HEADER_BYTES:
            if held and not MAGIC.startswith(buffer[position : position + 2]):
                raise ProtocolError(f"no frame starts with {buffer[position : position + 4].hex()}")
            return None
        magic, version, kind, request, length, crc = HEADER.unpack_from(buffer, position)
        if magic != MAGIC or version != VERSION:
            raise ProtocolError(f"no frame starts with {buffer[position : position + 4].hex()}")
        if not Kind.HELLO <= kind <= Kind.CREDIT:
            raise ProtocolError(f"unknown frame kind {kind}")
        if length > self._max_payload:
            raise ProtocolError(f"frame of {length} bytes; at most {self._max_payload} are allowed here")
        if held < HEADER_BYTES + length:
            return None
        start = position + HEADER_BYTES
        payload = bytes(buffer[start : start + length])
        if crc32(payload, crc32(buffer[position : position + _CHECKED.size])) != crc:
            raise ProtocolError(f"checksum of a {Kind(kind).name} frame is wrong")
        return Frame(Kind(kind), request, payload)

    def _seek(self, position: int) -> tuple[int, Frame | None]:
        """(position, the sync frame there); without one, how far nothing more can be found, and None."""
        buffer = self._buffer
        begin = position
        try:
            while True:
                found = buffer.find(self._pattern, position)
                if found < 0:
                    keep = len(self._pattern) - 1
                    position = max(position, len(buffer) - keep)
                    return position, None
                position = found
                if len(buffer) - found < HEADER_BYTES:
                    return position, None
                if HEADER.unpack_from(buffer, found)[4] <= min(MAX_SYNC_PAYLOAD, self._max_payload):
                    try:
                        frame = self._parse(found)
                    except ProtocolError:
                        position = found + 1
                        continue
                    if frame is None:
                        return position, None
                    if self._accept is None or self._accept(frame):
                        self.seeking = False
                        return position, frame
                position = found + 1
        finally:
            self.skipped_bytes += position - begin
