"""What a server holds: open files, threads, memory, processes of its HOME, files of sandboxes and snapshots."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Census:
    """A count of all that, meant for a server whose machines have ended.

    `descriptors`, `threads` and `memory_mb` (PSS) are of the server and its helpers together: gateway, media process,
    maker. `kept_mb`: memory without a process, in memfds that these hold. `processes`: these, and machines of its HOME.
    """

    descriptors: int
    threads: int
    memory_mb: float
    kept_mb: float
    processes: int
    files: int

    @classmethod
    def take(cls, pid: int, home: Path, *more: int) -> Census:
        """Count, for the server of this pid and HOME; `more`: other processes that are its helpers (the keeper)."""
        pids = [*_family(pid), *more]
        return cls(
            descriptors=sum(1 for each in pids for _ in _descriptors(each)),
            threads=sum(_number(each, "status", "Threads") for each in pids),
            memory_mb=sum(_number(each, "smaps_rollup", "Pss") for each in pids) * 1024 / 1e6,
            kept_mb=_kept_bytes(pids) / 1e6,
            processes=len({*pids, *_pids_with(str(home))}),
            files=sum(len(names) for root in ("sandboxes", "snapshots") for *_, names in os.walk(home / root)),
        )


def _family(pid: int) -> list[int]:
    """A process and all below it; what has ended meanwhile has nothing below it."""
    below: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            below += [int(child) for child in (task / "children").read_text().split()]
    return [pid, *(each for child in below for each in _family(child))]


def _descriptors(pid: int) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from Path(f"/proc/{pid}/fd").iterdir()


def _number(pid: int, name: str, field: str) -> int:
    """A field of /proc/PID/NAME; 0 where there is none."""
    found = None
    with contextlib.suppress(OSError):
        found = re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/{name}").read_text(), re.MULTILINE)
    return int(found.group(1)) if found else 0


def _kept_bytes(pids: Iterable[int]) -> int:
    """What all memfds of these take, each counted once."""
    kept: dict[int, int] = {}
    for pid in pids:
        for entry in _descriptors(pid):
            with contextlib.suppress(OSError):
                if os.readlink(entry).startswith("/memfd:"):
                    found = entry.stat()
                    kept[found.st_ino] = found.st_blocks * 512
    return sum(kept.values())


def _pids_with(text: str) -> Iterator[int]:
    """Processes that have a text in their command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes():
                    yield int(entry.name)
