"""Keeps what screens showed for some minutes, so that a later look can be compared. Bounded in time and bytes. No clock
of its own: `now` is passed in, in seconds."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from isal import isal_zlib

from desktop_sandbox.errors import NotFoundError

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame

KEPT_S = 600.0
MOST_BYTES = 128 << 20
MOST_PER_SANDBOX = 64
_LEVEL = 1


@dataclass(frozen=True)
class Packed:
    """A frame, compressed; `name` stands for what it shows: equal frames have equal names."""

    name: str
    shape: tuple[int, ...]
    data: bytes

    def frame(self) -> Frame:
        """The frame again, the caller's own. Blocks for some ms."""
        size = int(np.prod(self.shape))
        return np.frombuffer(bytearray(isal_zlib.decompress(self.data, bufsize=size)), np.uint8).reshape(self.shape)


def pack(frame: Frame) -> Packed:
    """Compress a frame. Blocks for some ms."""
    plain = np.ascontiguousarray(frame)
    name = hashlib.blake2b(plain.data, digest_size=8, person=b"moment").hexdigest()
    return Packed(name, plain.shape, isal_zlib.compress(plain.data, _LEVEL))


class Moments:
    """What was kept, the newest last; each sandbox has its own, and no more than its share."""

    def __init__(self, most_bytes: int = MOST_BYTES, kept_s: float = KEPT_S) -> None:
        self._most_bytes = most_bytes
        self._kept_s = kept_s
        self._kept: OrderedDict[tuple[str, str], tuple[Packed, float]] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Moments {len(self._kept)}, {self._bytes} bytes>"

    def keep(self, sandbox_id: str, packed: Packed, now: float) -> str:
        """Keep a frame of a sandbox; its name."""
        key = (sandbox_id, packed.name)
        self._drop(key)
        self._kept[key] = packed, now
        self._bytes += len(packed.data)
        own = [kept for kept in self._kept if kept[0] == sandbox_id]
        for old in own[:-MOST_PER_SANDBOX]:
            self._drop(old)
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))
        self._expire(now)
        return packed.name

    def find(self, sandbox_id: str, name: str, now: float) -> Packed:
        """What was kept under a name. NotFoundError if it is not there any more."""
        self._expire(now)
        found = self._kept.get((sandbox_id, name))
        if found is None:
            raise NotFoundError(
                f"there is no moment {name} of {sandbox_id}",
                hint=f"moments are kept for {self._kept_s / 60:g} minutes; take a new one",
            )
        return found[0]

    def _expire(self, now: float) -> None:
        for key in [key for key, (_, at) in self._kept.items() if now - at > self._kept_s]:
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(found[0].data)
