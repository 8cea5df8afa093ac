"""Guest RAM as files: a memfd while it is in use, a sparse file on disk to keep it.

A template's RAM reaches QEMU as a write-sealed memfd: QEMU 7.2 opens it read-write, and every write fails, whatever a
guest or its QEMU does. The file on disk stays the server's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from desktop_sandbox.errors import MachineError

NAME = "guest-ram"
_PAGE_BYTES = 4096
_CHUNK_BYTES = 4 * 1024**2
GRAIN_BYTES = 64 * 1024
_ZERO = bytes(GRAIN_BYTES)
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


def new_ram(size_bytes: int) -> int:
    """An empty memfd for a machine that boots; the caller closes it."""
    descriptor = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size_bytes)
    return descriptor


def merged_ram(base: int, size_bytes: int, runs: Sequence[tuple[int, int]], pages: memoryview) -> int:
    """A memfd with the content of `base` and `pages` (4096 bytes each) over it; the caller seals and closes it.

    `runs`: first page and number of pages of each run, in the order in which `pages` holds them. Blocking.
    """
    target = new_ram(size_bytes)
    try:
        for begin, end in _segments(base, size_bytes):
            at = os.lseek(target, begin, os.SEEK_SET)
            while at < end:
                at += os.sendfile(target, base, at, end - at)
        taken = 0
        for first, count in runs:
            done, length = 0, count * _PAGE_BYTES
            while done < length:
                done += os.pwrite(target, pages[taken + done : taken + length], first * _PAGE_BYTES + done)
            taken += length
    except BaseException:
        os.close(target)
        raise
    return target


def seal(descriptor: int) -> None:
    """Make a memfd immutable for good. Raises OSError (EBUSY) while a process still maps it shared and writable."""
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)


def is_sealed(descriptor: int) -> bool:
    """Whether nobody can write to it any more."""
    return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS


def save_ram(descriptor: int, path: Path) -> str:
    """Write a memfd to a sparse file, durably; the digest of its content (see `_Digest`)."""
    size = os.fstat(descriptor).st_size
    digest = _Digest(size)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(target, size)
        for offset, data in _content(descriptor, size):
            digest.add(offset, data)
            os.pwrite(target, data, offset)
        os.fsync(target)
    finally:
        os.close(target)
    return digest.hex()


def load_ram(path: Path, size_bytes: int, expected_digest: str) -> int:
    """A sealed memfd with the file's content. Raises MachineError if the file is not what was written once."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    target = -1
    try:
        if os.fstat(source).st_size != size_bytes:
            raise MachineError(
                f"{path} has {os.fstat(source).st_size} bytes instead of {size_bytes}", hint="rebuild the template"
            )
        target = new_ram(size_bytes)
        digest = _Digest(size_bytes)
        for offset, data in _content(source, size_bytes):
            digest.add(offset, data)
            os.pwrite(target, data, offset)
        if digest.hex() != expected_digest:
            raise MachineError(f"{path} is damaged: its digest is not the manifest's", hint="rebuild the template")
        # the copy in memory serves from now on; the page cache need not hold a second one
        os.posix_fadvise(source, 0, 0, os.POSIX_FADV_DONTNEED)
        seal(target)
    except BaseException:
        if target >= 0:
            os.close(target)
        raise
    finally:
        os.close(source)
    return target


def grains(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """(offset, grain) of every grain of a file or memfd that is not zero, in order; the last may be short."""
    for offset, data in _content(descriptor, os.fstat(descriptor).st_size):
        for start in range(0, len(data), GRAIN_BYTES):
            yield offset + start, data[start : start + GRAIN_BYTES]


class _Digest:
    """SHA-256 over (offset, grain) of all grains that are not zero: holes and written zeros count the same."""

    def __init__(self, size_bytes: int) -> None:
        self._hash = hashlib.sha256(size_bytes.to_bytes(8, "little"))

    def add(self, offset: int, data: bytes) -> None:
        """Count a run of non-zero grains in."""
        for start in range(0, len(data), GRAIN_BYTES):
            self._hash.update((offset + start).to_bytes(8, "little"))
            self._hash.update(data[start : start + GRAIN_BYTES])

    def hex(self) -> str:
        """The digest as text."""
        return self._hash.hexdigest()


def _content(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of everything that is not zero, on grain boundaries, in order."""
    position = 0
    for first, last in _segments(descriptor, size):
        begin = max(position, first - first % GRAIN_BYTES)
        end = min(size, last + -last % GRAIN_BYTES)
        for offset in range(begin, end, _CHUNK_BYTES):
            yield from _grains(offset, os.pread(descriptor, min(_CHUNK_BYTES, end - offset), offset))
        position = max(position, end)


def _segments(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of what is no hole, in order."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, end


def _grains(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    start = None
    for at in range(0, len(data), GRAIN_BYTES):
        grain = data[at : at + GRAIN_BYTES]
        if grain == _ZERO[: len(grain)]:
            if start is not None:
                yield offset + start, data[start:at]
                start = None
        elif start is None:
            start = at
    if start is not None:
        yield offset + start, data[start:]
