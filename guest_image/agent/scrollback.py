"""The last of what a program wrote, numbered by bytes, so that whoever comes back goes on where it left. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

LIMIT_BYTES: Final = 256 << 10
_MAX_PIECES: Final = 2048
_JOIN_BYTES: Final = 4096


class Scrollback:
    """Bytes of all output streams in the order they came; `start` and `end` are offsets in all that was written."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit = limit_bytes
        self._pieces: deque[tuple[int, bytearray]] = deque()
        self.start = 0
        self.end = 0

    def add(self, stream: int, data: bytes) -> None:
        """Keep `data`; what is older than the limit is forgotten."""
        if not data:
            return
        if self._pieces and self._pieces[-1][0] == stream and len(self._pieces[-1][1]) < _JOIN_BYTES:
            self._pieces[-1][1].extend(data)
        else:
            self._pieces.append((stream, bytearray(data)))
        self.end += len(data)
        while self.end - self.start > self.limit or len(self._pieces) > _MAX_PIECES:
            first = self._pieces[0][1]
            surplus = self.end - self.start - self.limit
            if surplus >= len(first) or len(self._pieces) > _MAX_PIECES:
                self._pieces.popleft()
                self.start += len(first)
            else:
                del first[:surplus]
                self.start += surplus

    def piece(self, offset: int, most: int) -> tuple[int, bytes] | None:
        """(stream, bytes) from `offset` on, at most `most` of them; None where nothing is there (yet)."""
        if not self.start <= offset < self.end:
            return None
        at = self.start
        for stream, data in self._pieces:
            if offset < at + len(data):
                return stream, bytes(data[offset - at : offset - at + most])
            at += len(data)
        return None

    def nearest(self, offset: int | None) -> int:
        """The offset from which there is something: `offset`, or what is kept next to it; None: the start."""
        return self.start if offset is None else min(max(offset, self.start), self.end)
