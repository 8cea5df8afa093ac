"""A sandbox's network log: JSON lines in a file of its folder, cut in half when it grows too long."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from desktop_sandbox.network.records import LogEntry, newest, parse_entry

NAME = "network.log"
_LARGEST_BYTES = 4 << 20


def append(path: Path, entries: Sequence[LogEntry]) -> None:
    """Add entries at the end. OSError where the folder is gone or the disk full."""
    with path.open("ab") as file:
        file.write(b"".join(json.dumps(entry.json()).encode() + b"\n" for entry in entries))
        size = file.tell()
    if size > _LARGEST_BYTES:
        kept = path.read_bytes()[-_LARGEST_BYTES // 2 :]
        path.write_bytes(kept[kept.find(b"\n") + 1 :])


def read(path: Path, limit: int) -> list[LogEntry]:
    """The last `limit` connections and lookups, oldest first, each as it was said last; none without a file."""
    entries: list[LogEntry] = []
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entries.append(parse_entry(json.loads(line)))
    return newest(entries, limit)
