"""Archives for the kernel's initramfs (cpio "newc", Documentation/driver-api/early-userspace/buffer-format.rst).

Pure: entries in, bytes out; the same entries always give the same bytes (no clock, inode numbers counted).
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """A file, directory or symbolic link. `path` is relative, without a leading slash; `mode` has type and rights.

    `data`: a file's content, or a link's target.
    """

    path: str
    mode: int
    data: bytes = b""
    uid: int = 0
    gid: int = 0

    @classmethod
    def file(cls, path: str, data: bytes, mode: int = 0o644, owner: int = 0) -> Entry:
        """A regular file."""
        return cls(path, stat.S_IFREG | mode, data, owner, owner)

    @classmethod
    def directory(cls, path: str, mode: int = 0o755, owner: int = 0) -> Entry:
        """A directory."""
        return cls(path, stat.S_IFDIR | mode, b"", owner, owner)

    @classmethod
    def link(cls, path: str, target: str, owner: int = 0) -> Entry:
        """A symbolic link to `target`."""
        return cls(path, stat.S_IFLNK | 0o777, target.encode(), owner, owner)


def with_parents(entries: Iterable[Entry], owners: dict[str, int] | None = None) -> list[Entry]:
    """The entries sorted by path, with a directory entry for each parent that has none.

    `owners` maps directory prefixes to the uid of what lies below them, for the parents that are made up.
    """
    known = {entry.path: entry for entry in entries}
    for path in list(known):
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            owner = next((uid for top, uid in (owners or {}).items() if _below(parent, top)), 0)
            known.setdefault(parent, Entry.directory(parent, owner=owner))
    return [known[path] for path in sorted(known)]


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


def write(entries: Iterable[Entry]) -> bytes:
    """The archive: a multiple of 512 bytes. Parents must stand before their children."""
    out = bytearray()
    for inode, entry in enumerate(entries, 1):
        _append(out, entry, inode)
    _append(out, Entry(_TRAILER, 0), 0)
    out.extend(bytes(-len(out) % 512))
    return bytes(out)


def _append(out: bytearray, entry: Entry, inode: int) -> None:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    numbers = (inode, entry.mode, entry.uid, entry.gid, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    out.extend(b"070701" + b"".join(b"%08X" % number for number in numbers) + name)
    out.extend(bytes(-len(out) % 4))
    out.extend(entry.data)
    out.extend(bytes(-len(out) % 4))
