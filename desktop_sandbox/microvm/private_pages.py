"""Which pages of guest RAM a machine has made its own, and copying them out of and into its process.

Guest RAM is a private mapping of a sealed file: a page that was written is anonymous memory, all others are still the
file's. The kernel tells which (ioctl PAGEMAP_SCAN of Linux 6.7, or /proc/PID/pagemap before that); nothing is asked of
the guest or of QEMU. The vCPUs must stand still meanwhile.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import re
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desktop_sandbox.errors import MachineError

PAGE = 4096
Runs = npt.NDArray[np.uint64]
"""(count, 2): first page of a run and its length in pages, ascending, apart from each other."""

_PAGEMAP_SCAN = 0xC0606610
_IS_FILE, _IS_PRESENT, _IS_SWAPPED = 1 << 2, 1 << 3, 1 << 4
_SCAN_ARG = struct.Struct("=12Q")
_REGION_BYTES = 24
_REGIONS = 65536
_VECTORS = 1024
_BIT_FILE, _BIT_SWAPPED, _BIT_PRESENT = np.uint64(1 << 61), np.uint64(1 << 62), np.uint64(1 << 63)
_libc = ctypes.CDLL(None, use_errno=True)
_pool = ThreadPoolExecutor(2, thread_name_prefix="pages")


@dataclass(frozen=True)
class GuestRam:
    """Guest RAM in a VM process: `base` is its address there."""

    pid: int
    base: int
    size_bytes: int


def private_runs(ram: GuestRam) -> Runs:
    """The pages that are this machine's own. Raises MachineError if the process is gone."""
    try:
        descriptor = os.open(f"/proc/{ram.pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MachineError(f"the machine's process {ram.pid} cannot be looked at: {error.strerror}") from error
    try:
        try:
            return _scan(descriptor, ram)
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise MachineError(f"the machine's pages cannot be looked at: {error.strerror}") from error
        return _read_pagemap(descriptor, ram)
    finally:
        os.close(descriptor)


def _scan(descriptor: int, ram: GuestRam) -> Runs:
    """By ioctl(PAGEMAP_SCAN), see Documentation/admin-guide/mm/pagemap.rst."""
    found: list[npt.NDArray[np.uint64]] = []
    regions = np.empty((_REGIONS, 3), np.uint64)
    start, end = ram.base, ram.base + ram.size_bytes
    while start < end:
        argument = bytearray(
            _SCAN_ARG.pack(
                _SCAN_ARG.size, 0, start, end, 0, regions.ctypes.data, _REGIONS, 0,
                _IS_FILE, _IS_FILE, _IS_PRESENT | _IS_SWAPPED, _IS_PRESENT | _IS_SWAPPED,
            )
        )  # fmt: skip
        count = fcntl.ioctl(descriptor, _PAGEMAP_SCAN, argument)
        found.append(regions[:count, :2].copy())
        if count < _REGIONS:
            break  # not before: `walk_end` of a scan that came to its end may be that of a step on its way
        start = _SCAN_ARG.unpack(argument)[4]
    ranges = np.concatenate(found) if found else np.empty((0, 2), np.uint64)
    first = (ranges[:, 0] - np.uint64(ram.base)) // np.uint64(PAGE)
    return merged(np.stack([first, (ranges[:, 1] - ranges[:, 0]) // np.uint64(PAGE)], axis=1))


def _read_pagemap(descriptor: int, ram: GuestRam) -> Runs:
    entries = np.frombuffer(os.pread(descriptor, ram.size_bytes // PAGE * 8, ram.base // PAGE * 8), np.uint64)
    if entries.size != ram.size_bytes // PAGE:
        raise MachineError("the machine's pages cannot be looked at: its process has ended")
    own = (entries & _BIT_SWAPPED != 0) | ((entries & _BIT_PRESENT != 0) & (entries & _BIT_FILE == 0))
    return runs_of(np.flatnonzero(own))


def runs_of(pages: npt.NDArray[np.intp]) -> Runs:
    """Ascending page numbers as runs."""
    if not pages.size:
        return np.empty((0, 2), np.uint64)
    breaks = np.flatnonzero(np.diff(pages) != 1)
    first = pages[np.concatenate(([0], breaks + 1))]
    last = pages[np.concatenate((breaks, [pages.size - 1]))]
    return np.stack([first, last - first + 1], axis=1).astype(np.uint64)


def merged(runs: Runs) -> Runs:
    """Ascending runs, those that touch put together."""
    if len(runs) < 2:
        return runs
    ends = runs[:, 0] + runs[:, 1]
    fresh = np.concatenate(([True], runs[1:, 0] != ends[:-1]))
    starts = np.flatnonzero(fresh)
    lengths = np.add.reduceat(runs[:, 1], starts)
    return np.stack([runs[starts, 0], lengths], axis=1)


def united(one: Runs, other: Runs) -> Runs:
    """The pages that are in one or the other or both, of runs in any order."""
    both = np.concatenate([one, other])
    if not len(both):
        return both
    both = both[np.argsort(both[:, 0], kind="stable")]
    ends = np.maximum.accumulate(both[:, 0] + both[:, 1])
    begins = np.flatnonzero(np.concatenate(([True], both[1:, 0] > ends[:-1])))
    last = np.concatenate((begins[1:] - 1, [len(both) - 1]))
    return np.stack([both[begins, 0], ends[last] - both[begins, 0]], axis=1)


def page_count(runs: Runs) -> int:
    """How many pages the runs hold together."""
    return int(runs[:, 1].sum())


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_pages(ram: GuestRam, runs: Runs, out: memoryview) -> None:
    """Copy the runs out of the process, one behind the other, into `out` (page_count × 4096 bytes).

    Raises MachineError if not all could be read.
    """
    _transfer("process_vm_readv", ram, runs, out)


def write_pages(ram: GuestRam, runs: Runs, data: memoryview) -> None:
    """Copy pages into the process, before its vCPUs have run for the first time."""
    _transfer("process_vm_writev", ram, runs, data)


def _transfer(name: str, ram: GuestRam, runs: Runs, local: memoryview) -> None:
    if len(local) != page_count(runs) * PAGE:
        raise ValueError(f"{len(local)} bytes for {page_count(runs)} pages")
    address = np.frombuffer(local, np.uint8).ctypes.data
    places = np.concatenate(([0], np.cumsum(runs[:, 1]))).astype(np.uint64) * np.uint64(PAGE) + np.uint64(address)
    vectors = np.empty((len(runs), 2), np.uint64)
    vectors[:, 0] = runs[:, 0] * np.uint64(PAGE) + np.uint64(ram.base)
    vectors[:, 1] = runs[:, 1] * np.uint64(PAGE)
    jobs = []
    for start in range(0, len(runs), _VECTORS):
        part = vectors[start : start + _VECTORS]
        jobs.append(_pool.submit(_call, name, ram.pid, part, int(places[start]), int(part[:, 1].sum())))
    for job in jobs:
        job.result()


def _call(name: str, pid: int, remote: npt.NDArray[np.uint64], local: int, size: int) -> None:
    """One process_vm_readv or _writev; what it leaves over (it may stop early) is asked again."""
    vectors: Sequence[tuple[int, int]] = [(int(base), int(length)) for base, length in remote]
    done = 0
    while done < size:
        ours = _Vector(local + done, size - done)
        theirs = array.array("Q", [number for vector in vectors for number in vector])
        pointer, _ = theirs.buffer_info()
        moved = getattr(_libc, name)(
            pid, ctypes.byref(ours), ctypes.c_ulong(1), ctypes.c_void_p(pointer), ctypes.c_ulong(len(vectors)), 0
        )
        if moved <= 0:
            reason = os.strerror(ctypes.get_errno()) if moved < 0 else "nothing was moved"
            raise MachineError(f"the machine's memory cannot be copied: {reason}")
        done += moved
        vectors = _rest(vectors, moved)


def _rest(vectors: Sequence[tuple[int, int]], moved: int) -> Sequence[tuple[int, int]]:
    for index, (base, length) in enumerate(vectors):
        if moved < length:
            return [(base + moved, length - moved), *vectors[index + 1 :]]
        moved -= length
    return []


def ram_address(maps: str, ram_bytes: int) -> int:
    """Where guest RAM lies in a VM process, from its /proc/PID/maps: the one mapping of a memfd with just that size."""
    found = []
    for line in maps.splitlines():
        match = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+\s+/memfd:guest-ram", line)
        if match:
            low, high, offset = (int(match.group(i), 16) for i in (1, 2, 3))
            found.append((low, high, offset))
    # the kernel may show one mapping in pieces
    found.sort()
    if not found or found[0][2] != 0 or found[-1][1] - found[0][0] != ram_bytes:
        raise MachineError("guest RAM is not found in the machine's process", mappings=found)
    return found[0][0]
