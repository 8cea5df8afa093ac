"""A snapshot as one signed file, written and read as a stream.

`DSSNAP1\\n | u32 length | head (JSON) | 32 bytes public key | 64 bytes signature`, then the parts of the snapshot one
behind the other. The signature is over all before it but the key; the head holds size and SHA-256 of each part, so it
vouches for the whole. Nothing of a file is believed before its signature was checked, nothing is a snapshot before
every part was. It needs the very template it was taken over: that travels in a file of its own (`template_export`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from desktop_sandbox.errors import MachineError
from desktop_sandbox.snapshots.checkpoint import DELTA, DISK, STATE
from desktop_sandbox.snapshots.envelope import damaged, open_head, sealed
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.manifest import Part
from desktop_sandbox.snapshots.signing import Keys
from desktop_sandbox.snapshots.snapshot import Snapshot, SnapshotManifest
from desktop_sandbox.snapshots.templates import MANIFEST, fsync_directory

KIND = "snapshot"
CHUNK_BYTES = 1 << 20
_ID = re.compile(r"ss-[0-9a-f]{1,61}")


def parts_of(manifest: SnapshotManifest) -> tuple[tuple[str, Part], ...]:
    """The files of a snapshot in the order in which they are exported."""
    return ((DELTA, manifest.delta), (STATE, manifest.state), (DISK, manifest.disk))


@dataclass(frozen=True)
class Head:
    """What an exported file says of itself: the manifest, and what people say of the snapshot."""

    manifest: SnapshotManifest
    about: Mapping[str, Any]

    @property
    def body_bytes(self) -> int:
        """Length of all parts together."""
        return sum(part.bytes for _, part in parts_of(self.manifest))

    @classmethod
    def read(cls, data: bytes) -> Head:
        """Read it. Raises InvalidRequestError for what makes no sense."""
        try:
            found = json.loads(data)
            manifest = SnapshotManifest.from_json(json.dumps(found["manifest"]))
            about = dict(found["about"])
        except (ValueError, KeyError, TypeError, MachineError) as error:
            raise damaged(f"its head cannot be read: {error}") from error
        sizes = [part.bytes for _, part in parts_of(manifest)]
        numbers = [*sizes, *manifest.resolution]
        whole = len(manifest.resolution) == 2 and all(type(each) is int and each >= 0 for each in numbers)
        if not _ID.fullmatch(str(manifest.id)) or not whole:
            raise damaged("its head makes no sense")
        return cls(manifest, about)


def export(snapshot: Snapshot, about: Mapping[str, Any], keys: Keys) -> tuple[int, Generator[bytes, None, None]]:
    """Length in bytes, and the pieces of the file (blocking). Files that go meanwhile are read to their end.

    Raises MachineError where a part is missing or has another length than it should.
    """
    head = json.dumps({"manifest": asdict(snapshot.manifest), "about": dict(about)}).encode()
    begin = sealed(KIND, head, keys)
    files: list[IO[bytes]] = []
    try:
        for name, part in parts_of(snapshot.manifest):
            files.append((snapshot.directory / name).open("rb"))
            if os.fstat(files[-1].fileno()).st_size != part.bytes:
                raise MachineError(f"{snapshot.directory / name} is damaged", hint="the snapshot is of no use")
    except BaseException as error:
        for file in files:
            file.close()
        if isinstance(error, OSError):
            raise MachineError(f"the snapshot cannot be read: {error}") from error
        raise

    def pieces() -> Generator[bytes, None, None]:
        try:
            yield begin
            for file in files:
                while chunk := file.read(CHUNK_BYTES):
                    fault_point("export.piece")
                    yield chunk
        finally:
            for file in files:
                file.close()

    body = sum(part.bytes for _, part in parts_of(snapshot.manifest))
    return len(begin) + body, pieces()


class Importer:
    """Takes an exported file piece by piece; `approve` sees its head and signer before any part is written.

    Everything is written into `work`, a folder that nobody takes for a snapshot. Raises InvalidRequestError for a
    file that is damaged or cut off, and what `approve` raises. The caller ends it with `finish` or `abandon`.
    """

    def __init__(self, make_work: Callable[[Head], Path], approve: Callable[[Head, bytes], None]) -> None:
        self._make_work = make_work
        self._approve = approve
        self._buffer = b""
        self._waiting: list[tuple[str, Part]] = []
        self._file: IO[bytes] | None = None
        self._left = 0
        self._digest = hashlib.sha256()
        self.head: Head | None = None
        self.work: Path | None = None

    def feed(self, data: bytes) -> None:
        """Take some bytes (blocking)."""
        if self.head is None:
            self._buffer += data
            data = self._begin()
        view = memoryview(data)
        while view:
            if self._file is None:
                raise damaged("there is more in it than there should be")
            some = view[: self._left]
            self._file.write(some)
            self._digest.update(some)
            self._left -= len(some)
            view = view[len(some) :]
            self._next()

    def finish(self, snapshot_id: str | None = None) -> tuple[Path, Head]:
        """The folder with the whole snapshot, durable, to be renamed. Raises InvalidRequestError if it was cut off.

        `snapshot_id`: what it is called here, instead of what it was called there.
        """
        if self.head is None or self.work is None or self._file is not None or self._waiting:
            raise damaged("it ends too early")
        if snapshot_id is not None:
            self.head = replace(self.head, manifest=replace(self.head.manifest, id=snapshot_id))
        manifest = self.work / MANIFEST
        manifest.write_text(self.head.manifest.to_json())
        fault_point("import.manifest")
        with manifest.open("rb") as file:
            os.fsync(file.fileno())
        fsync_directory(self.work)
        return self.work, self.head

    def abandon(self) -> None:
        """Remove what was written."""
        if self._file is not None:
            self._file.close()
        if self.work is not None:
            shutil.rmtree(self.work, ignore_errors=True)

    def _begin(self) -> bytes:
        """Read the head once it is there; what follows it."""
        opened = open_head(KIND, self._buffer)
        if opened is None:
            return b""
        head = Head.read(opened.head)
        self._approve(head, opened.key)
        self.work = self._make_work(head)
        self.head = head
        self._waiting = list(parts_of(head.manifest))
        self._buffer = b""
        self._open()
        return opened.rest

    def _open(self) -> None:
        assert self.work is not None
        name, part = self._waiting[0]
        self._file, self._left, self._digest = (self.work / name).open("xb"), part.bytes, hashlib.sha256()
        self._next()

    def _next(self) -> None:
        """Close a part that is complete, and go on to the one after it."""
        if self._left or self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        fault_point("import.part")
        name, part = self._waiting.pop(0)
        if self._digest.hexdigest() != part.digest:
            raise damaged(f"{name} in it is not what its head says")
        if self._waiting:
            self._open()
