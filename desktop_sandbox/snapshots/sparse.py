"""Sparse files in a stream: what is not zero, and where; all else are holes. Bytes and files only, no network.

A record is `u64 offset (little endian) | grain`: a grain has 64 KiB, but for the last of a file, which ends with it.
Records come in ascending order and none is zero, so a content has one form only. How many there are is said elsewhere
(`SparsePart`). The digest is that of memory (see `ram`): SHA-256 over the file's size and all records as they are.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.snapshots.envelope import damaged
from desktop_sandbox.snapshots.ram import GRAIN_BYTES, grains

_OFFSET = struct.Struct("<Q")
_ZERO = bytes(GRAIN_BYTES)
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class SparsePart:
    """One file: its size in bytes, how many of its grains are not zero, and the digest of its content (hex)."""

    bytes: int
    grains: int
    digest: str

    @property
    def most_bytes(self) -> int:
        """The most that it takes of a disk."""
        return min(self.bytes, self.grains * GRAIN_BYTES)


def measure(descriptor: int) -> tuple[SparsePart, int]:
    """What a file is, and the length of its records in bytes (blocking: all of it is read)."""
    size = os.fstat(descriptor).st_size
    digest = hashlib.sha256(_OFFSET.pack(size))
    count = length = 0
    for offset, grain in grains(descriptor):
        digest.update(_OFFSET.pack(offset))
        digest.update(grain)
        count += 1
        length += _OFFSET.size + len(grain)
    return SparsePart(size, count, digest.hexdigest()), length


def records(descriptor: int) -> Iterator[bytes]:
    """A file's records, in pieces of a megabyte or more (blocking)."""
    held = bytearray()
    for offset, grain in grains(descriptor):
        held += _OFFSET.pack(offset)
        held += grain
        if len(held) >= _PIECE_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


class SparseTaker:
    """Takes the records of one file, and writes them to `path` (new, sparse), or only checks them where that is None.

    Raises InvalidRequestError for what no file has, FileExistsError and other OSErrors.
    """

    def __init__(self, name: str, part: SparsePart, path: Path | None, mode: int) -> None:
        self._name = name
        self._part = part
        self._left = part.grains
        self._floor = 0
        self._record = bytearray()
        self._digest = hashlib.sha256(_OFFSET.pack(part.bytes))
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        if self._file is not None:
            try:
                os.ftruncate(self._file, part.bytes)
            except OSError:
                self.close()
                raise

    @property
    def complete(self) -> bool:
        """Whether all records are there."""
        return not self._left

    def feed(self, data: memoryview) -> int:
        """Take what belongs to this file from the beginning of `data`; how many bytes that were."""
        used = 0
        while self._left and used < len(data):
            some = data[used : used + self._wanted() - len(self._record)]
            self._record += some
            used += len(some)
            if len(self._record) > _OFFSET.size and len(self._record) == self._wanted():
                self._take()
        return used

    def finish(self) -> None:
        """Make it durable. Raises InvalidRequestError unless it is what was said of it."""
        if self._digest.hexdigest() != self._part.digest:
            raise damaged(f"{self._name} in it is not what its head says")
        if self._file is not None:
            os.fsync(self._file)
        self.close()

    def close(self) -> None:
        """Let go of the file, whole or not."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _wanted(self) -> int:
        """Length of the record that is being taken; of its offset alone as long as that is not there."""
        if len(self._record) < _OFFSET.size:
            return _OFFSET.size
        offset: int = _OFFSET.unpack_from(self._record)[0]
        if offset % GRAIN_BYTES or not self._floor <= offset < self._part.bytes:
            raise damaged(f"{self._name} in it has a place that makes no sense ({offset})")
        return _OFFSET.size + min(GRAIN_BYTES, self._part.bytes - offset)

    def _take(self) -> None:
        (offset,) = _OFFSET.unpack_from(self._record)
        with memoryview(self._record) as whole, whole[_OFFSET.size :] as grain:
            if grain == _ZERO[: len(grain)]:
                raise damaged(f"{self._name} in it has a hole that is written")
            self._digest.update(whole)
            if self._file is not None:
                _write(self._file, grain, offset)
        self._floor = offset + GRAIN_BYTES
        self._left -= 1
        self._record.clear()


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], offset + done)
