"""Reads guest-physical memory out of a VM process, through an open read-only descriptor of /proc/PID/mem.

It needs no right but that descriptor, no cooperation of the guest, and works while the guest is stopped.
It never reads outside the guest's RAM: every run is checked before any of it is read.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from desktop_sandbox.errors import GuestError, MachineError
from desktop_sandbox.screen.scatter import Places, ProcessReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GIB = 1 << 30
PAGE = 4096
FOUR_GIB = 4 * GIB
MAX_RUNS = 1 << 15  # a screen of 7680 x 4320 in single pages
MAX_BYTES = MAX_RUNS * PAGE

CHUNK_BYTES = 256 * 1024  # rows wider than wanted are cut while still in the processor's cache

Bytes = npt.NDArray[np.uint8]


class StaleFramebuffer(GuestError):
    """What the guest once said of its screen's memory does not hold (any more): ask it again."""

    slug = "stale-framebuffer"


class Run(NamedTuple):
    """Guest-physical bytes that lie one after another."""

    address: int
    length: int


@dataclass(frozen=True)
class PageRuns:
    """A guest's file as runs of whole pages in file order; `size` is the file's length in bytes.

    Raises StaleFramebuffer where a guest's runs are not whole pages, too many, or not as long as the file.
    """

    size: int
    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        if not 0 < self.size <= MAX_BYTES:
            raise _refuse(f"a file of {self.size} bytes; 1 to {MAX_BYTES} are allowed")
        if not 0 < len(self.runs) <= MAX_RUNS:
            raise _refuse(f"{len(self.runs)} runs; 1 to {MAX_RUNS} are allowed")
        for address, length in self.runs:
            if address < 0 or length <= 0 or address % PAGE or length % PAGE:
                raise _refuse(f"a run of {length} bytes at {address:#x} that is not whole pages")
        total = sum(run.length for run in self.runs)
        if total != -(-self.size // PAGE) * PAGE:
            raise _refuse(f"runs of {total} bytes in all for a file of {self.size} bytes")

    @classmethod
    def from_wire(cls, value: object) -> PageRuns:
        """From the agent's `{"size": bytes, "runs": [[address, length], ...]}`, trusting nothing."""
        if not isinstance(value, dict) or type(value.get("size")) is not int:
            raise _refuse("no size")
        runs = value.get("runs")
        if not isinstance(runs, list) or len(runs) > MAX_RUNS:
            raise _refuse(f"no list of at most {MAX_RUNS} runs")
        return cls(value["size"], tuple(_run(item) for item in runs))


class Descriptor:
    """A descriptor that closes once nobody holds this any more: a thread may be reading when its owner ends, and the
    number would be another file's then.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class GuestMemory:
    """A VM process's guest RAM, seen from outside.

    `mem`: read-only descriptor of /proc/PID/mem; a plain number stays the caller's. `host_base`: where guest RAM is
    mapped in that process. `below_4g_bytes`: how much of a larger RAM lies below 4 GiB in the guest's view
    (QEMU's microvm: 3 GiB); the rest begins at 4 GiB there. `pid`: that same process, to read frames in half
    the time where this process may trace it; without that right the descriptor is used all the same.
    """

    def __init__(
        self,
        mem: Descriptor | int,
        host_base: int,
        ram_bytes: int,
        below_4g_bytes: int = 3 * GIB,
        *,
        pid: int | None = None,
    ) -> None:
        if host_base < 0 or ram_bytes <= 0 or not 0 < below_4g_bytes <= FOUR_GIB:
            raise ValueError(f"guest RAM of {ram_bytes} bytes at {host_base:#x}, {below_4g_bytes} below 4 GiB")
        self._mem = mem
        self._base = host_base
        self._ram = ram_bytes
        self._below = min(ram_bytes, below_4g_bytes)
        self._process = ProcessReader(pid) if pid is not None else None

    def __repr__(self) -> str:
        return f"<GuestMemory {self._ram >> 20} MiB at {self._base:#x}>"

    def file_offset(self, run: Run) -> int:
        """Offset of a run in the RAM file; StaleFramebuffer if any byte of it is not guest RAM."""
        address, length = run
        if address >= FOUR_GIB:
            offset, limit = address - FOUR_GIB + self._below, self._ram
        else:
            offset, limit = address, self._below
        if address < 0 or length <= 0 or offset + length > limit:
            raise _refuse(f"{length} bytes at {address:#x}, outside its {self._ram} bytes of RAM")
        return offset

    def map(self, pages: PageRuns) -> MappedRuns:
        """Check all runs against guest RAM and make them readable as one file."""
        places = [(self._base + self.file_offset(run), run.length) for run in pages.runs]
        return MappedRuns(self._mem, places, pages.size, self._process)


class MappedRuns:
    """A guest's file whose pages lie here and there in a VM process; made by `GuestMemory.map`.

    Several threads may read at once.
    """

    def __init__(
        self, mem: Descriptor | int, places: Sequence[tuple[int, int]], size: int, process: ProcessReader | None = None
    ) -> None:
        self._mem = mem
        self._fd = mem.fd if isinstance(mem, Descriptor) else mem
        self._process = process
        self._plan: tuple[tuple[int, ...], Places] | None = None
        self.size = size
        self._addresses: list[int] = []
        self._starts: list[int] = []
        position, end = 0, -1
        for address, length in places:
            if address != end:
                self._addresses.append(address)
                self._starts.append(position)
            position, end = position + length, address + length
        self._ends = [*self._starts[1:], position]

    @property
    def run_count(self) -> int:
        """Runs left after those that touch were merged: reads of the whole need this many system calls."""
        return len(self._addresses)

    def read_into(self, target: Bytes, offset: int) -> None:
        """Fill `target` (one dimension, contiguous) from the file's byte `offset` on.

        Raises MachineError when the process is gone or its memory cannot be read.
        """
        view = memoryview(target.data)
        for address, length in self._pieces(offset, len(view)):
            self._read(view[:length], address)
            view = view[length:]

    def plan(self, target: memoryview, offset: int) -> ReadPlan:
        """What `read_into` does for this target (writable bytes), worked out once, to be done many times."""
        steps = []
        for address, length in self._pieces(offset, len(target)):
            steps.append(([target[:length]], length, address))
            target = target[length:]
        return ReadPlan(self, steps)

    def read_rows(self, target: Bytes, offset: int, row_bytes: int, stride_bytes: int) -> None:
        """Fill `target` with rows of `row_bytes` that begin `stride_bytes` apart in the file, tightly packed.

        Raises as `read_into` does.
        """
        count = target.size // row_bytes
        if self._process is not None and self._process.usable:
            places = self._places(offset, row_bytes, stride_bytes, count)
            if self._process.read(target, places) and self._alive(int(places[0, 0])):
                return
        if row_bytes == stride_bytes:
            self.read_into(target, offset)
            return
        rows, per_chunk = target.reshape(count, row_bytes), max(1, CHUNK_BYTES // stride_bytes)
        chunk = np.empty(per_chunk * stride_bytes, np.uint8)
        for top in range(0, count, per_chunk):
            some = min(per_chunk, count - top)
            wide = chunk[: (some - 1) * stride_bytes + row_bytes]
            self.read_into(wide, offset + top * stride_bytes)
            rows[top : top + some] = chunk[: some * stride_bytes].reshape(some, stride_bytes)[:, :row_bytes]

    def read_bytes(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on, usually in one system call. Raises as `read_into` does."""
        if offset >= 0 and offset + length <= self._ends[0]:
            try:
                data = os.pread(self._fd, length, self._addresses[0] + offset)
            except OSError as error:
                raise MachineError(f"the machine's memory cannot be read: {error.strerror}") from error
            if len(data) == length:
                return data
        return self.read(offset, length).tobytes()

    def read(self, offset: int, length: int) -> Bytes:
        """`length` bytes from `offset` on, as a fresh array."""
        target: Bytes = np.empty(length, np.uint8)
        self.read_into(target, offset)
        return target

    def _pieces(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Addresses and lengths in the VM process of a piece of the file."""
        end = offset + length
        if offset < 0 or end > self.size:
            raise ValueError(f"bytes {offset} to {end} of a file of {self.size}")
        index = bisect_right(self._starts, offset) - 1
        while offset < end:
            stop = min(end, self._ends[index])
            yield self._addresses[index] + offset - self._starts[index], stop - offset
            offset, index = stop, index + 1

    def _places(self, *rows: int) -> Places:
        """The same for many rows, merged where they touch; the last answer is kept, since frames repeat."""
        kept = self._plan
        if kept is not None and kept[0] == rows:
            return kept[1]
        offset, row_bytes, stride, count = rows
        merged: list[list[int]] = []
        for row in range(count):
            for address, length in self._pieces(offset + row * stride, row_bytes):
                if merged and sum(merged[-1]) == address:
                    merged[-1][1] += length
                else:
                    merged.append([address, length])
        places = np.array(merged, np.uint64)
        self._plan = (rows, places)
        return places

    def _alive(self, address: int) -> bool:
        """Whether the process behind the descriptor still has its memory: then its id was not another's before."""
        try:
            return len(os.pread(self._fd, 1, address)) == 1
        except OSError:
            return False

    def _read(self, view: memoryview, address: int) -> None:
        while len(view):
            try:
                count = os.preadv(self._fd, [view], address)
            except OSError as error:
                raise MachineError(f"the machine's memory cannot be read: {error.strerror}") from error
            if count == 0:
                raise MachineError("the machine's memory cannot be read: its process has ended")
            view, address = view[count:], address + count


class ReadPlan:
    """A part of a file, in its pieces, and where it goes; made by `MappedRuns.plan`."""

    def __init__(self, runs: MappedRuns, steps: Sequence[tuple[list[memoryview], int, int]]) -> None:
        self._runs = runs
        self._steps = steps

    def read(self) -> None:
        """Fill the target. MachineError when the process is gone or its memory cannot be read."""
        fd, preadv = self._runs._fd, os.preadv
        try:
            for views, length, address in self._steps:
                if preadv(fd, views, address) != length:
                    raise MachineError("the machine's memory cannot be read: its process has ended")
        except OSError as error:
            raise MachineError(f"the machine's memory cannot be read: {error.strerror}") from error


def _run(item: object) -> Run:
    """One `[address, length]` pair of the wire."""
    if isinstance(item, list | tuple) and len(item) == 2 and all(type(part) is int for part in item):
        return Run(*item)
    raise _refuse("a run that is no pair of whole numbers")


def _refuse(what: str) -> StaleFramebuffer:
    return StaleFramebuffer(f"The guest describes its screen's memory wrongly: {what}.", hint="Ask the guest again.")
