"""The memory of a checkpoint as a file: which pages differ from the template's RAM, and what they hold.

`DSDELTA1 | u64 runs | runs × (u64 first page, u64 pages)`, little endian, zeros up to a whole page, then the pages one
behind the other. The digest is SHA-256 of all of it; nothing is believed before it was checked.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.private_pages import PAGE, Runs, page_count

_HEAD = struct.Struct("<8sQ")
_MAGIC = b"DSDELTA1"
_CHUNK_BYTES = 8 << 20
_POPULATE = 0x8000


@dataclass(frozen=True)
class Delta:
    """Pages that differ from the template's: `pages` holds them in the order of `runs`."""

    runs: Runs
    pages: memoryview


def page_buffer(pages: int) -> memoryview:
    """Room for so many pages, in memory already: taking it page by page would cost the time of a stopped machine."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _POPULATE
    return memoryview(mmap.mmap(-1, max(1, pages) * PAGE, flags=flags))


def page_file(pages: int, directory: Path) -> memoryview:
    """The same in a file that has no name: the kernel may write it out where memory is short."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.truncate(max(1, pages) * PAGE)
        return memoryview(mmap.mmap(file.fileno(), max(1, pages) * PAGE))


def write_delta(path: Path, delta: Delta) -> str:
    """Write it durably to a new file; the digest."""
    head = _HEAD.pack(_MAGIC, len(delta.runs)) + delta.runs.astype("<u8").tobytes()
    head += bytes(-len(head) % PAGE)
    digest = hashlib.sha256(head)
    with path.open("xb") as file:
        file.write(head)
        for start in range(0, len(delta.pages), _CHUNK_BYTES):
            chunk = delta.pages[start : start + _CHUNK_BYTES]
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def read_delta(path: Path, size_bytes: int, digest: str, ram_bytes: int) -> Delta:
    """Read it back. Raises MachineError if it is not what was written, or has pages outside of RAM."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != size_bytes or size_bytes < PAGE:
                raise MachineError(f"{path} is not as long as its snapshot says", hint="the snapshot is damaged")
            content = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}", hint="the snapshot is damaged") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise MachineError(f"{path} is damaged: its digest is not the manifest's", hint="the snapshot is of no use")
    return parse_delta(path, content, ram_bytes)


def parse_delta(path: Path, content: memoryview, ram_bytes: int) -> Delta:
    """What the file at `path` holds, its digest not checked. MachineError if its runs make no sense for `ram_bytes`."""
    size_bytes = len(content)
    if size_bytes < PAGE:
        raise MachineError(f"{path} holds no memory of a checkpoint")
    magic, count = _HEAD.unpack_from(content)
    head = _HEAD.size + 16 * count
    head += -head % PAGE
    if magic != _MAGIC or head > size_bytes:
        raise MachineError(f"{path} holds no memory of a checkpoint")
    runs = np.frombuffer(content, "<u8", count=2 * count, offset=_HEAD.size).reshape(-1, 2).astype(np.uint64)
    ends = runs[:, 0] + runs[:, 1]
    ordered = bool((runs[1:, 0] > ends[:-1]).all())
    if not ordered or (count and int(ends[-1]) * PAGE > ram_bytes) or page_count(runs) * PAGE != size_bytes - head:
        raise MachineError(f"{path} does not fit the machine's memory")
    return Delta(runs, content[head:])
