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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.private_pages import PAGE, Runs, page_count, runs_of

_HEAD = struct.Struct("<8sQ")
_MAGIC = b"DSDELTA1"
_CHUNK_BYTES = 8 << 20
_COMPARED_PAGES = 2048
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


def only_changed(delta: Delta, memory_fd: int) -> Delta:
    """The pages that do differ from those in `memory_fd`, a template's memory (blocking, some tens of milliseconds).

    A third of what a machine wrote is there already: zeros, and what was changed and changed back. What is kept moves
    together in the same buffer, which the old delta cannot use any more.
    """
    kept: list[npt.NDArray[np.uint64]] = []
    pages = np.frombuffer(delta.pages, np.uint64).reshape(-1, PAGE // 8)
    scratch = memoryview(bytearray(_COMPARED_PAGES * PAGE))
    theirs = np.frombuffer(scratch, np.uint64).reshape(-1, PAGE // 8)
    taken = moved = 0
    for piece, numbers in _by_pieces(delta.runs, _COMPARED_PAGES):
        at = 0
        for begin, count in piece:
            # not mapped: a page that is read in a hole of a memfd would take memory for good
            _read_at(memory_fd, scratch[at : at + count * PAGE], begin * PAGE)
            at += count * PAGE
        mine = pages[taken : taken + len(numbers)]
        differ = (mine != theirs[: len(numbers)]).any(axis=1)
        chosen = mine[differ]
        pages[moved : moved + len(chosen)] = chosen
        taken, moved = taken + len(numbers), moved + len(chosen)
        kept.append(numbers[differ])
    numbers = np.concatenate(kept) if kept else np.empty(0, np.uint64)
    return Delta(runs_of(numbers.astype(np.intp)), delta.pages[: moved * PAGE])


def _by_pieces(runs: Runs, most: int) -> Iterator[tuple[list[tuple[int, int]], npt.NDArray[np.uint64]]]:
    """The runs in pieces of up to `most` pages: (first page, pages) of each, and the numbers of all their pages."""
    piece: list[tuple[int, int]] = []
    room = most
    for first, count in runs.tolist():
        at, end = first, first + count
        while at < end:
            part = min(end - at, room)
            piece.append((at, part))
            at, room = at + part, room - part
            if not room:
                yield piece, _numbers(piece)
                piece, room = [], most
    if piece:
        yield piece, _numbers(piece)


def _numbers(piece: list[tuple[int, int]]) -> npt.NDArray[np.uint64]:
    runs = np.array(piece, np.uint64)
    before = np.cumsum(runs[:, 1]) - runs[:, 1]
    steps = np.arange(int(runs[:, 1].sum()), dtype=np.uint64)
    return np.repeat(runs[:, 0] - before, runs[:, 1].astype(np.intp)) + steps


def _read_at(descriptor: int, room: memoryview, offset: int) -> None:
    while room:
        read = os.preadv(descriptor, [room], offset)
        if not read:
            raise MachineError("a template's memory is shorter than its machine's")
        room, offset = room[read:], offset + read


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
