"""Snapshots of sandboxes on disk: write one so that it is whole or not there, find it again, judge whether it fits.

HOME/snapshots/<id>/  manifest.json  delta.bin  state.bin  disk.qcow2
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from desktop_sandbox.errors import MachineError, NotFoundError, SnapshotMismatchError
from desktop_sandbox.snapshots.checkpoint import DELTA, DISK, STATE, Captured
from desktop_sandbox.snapshots.delta import Delta, parse_delta, read_delta, write_delta
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.manifest import Fit, Part
from desktop_sandbox.snapshots.templates import (
    BUILDING,
    MANIFEST,
    Template,
    check_part,
    disk_digest,
    find_templates,
    fsync_directory,
)

FORMAT = 1
BOOTED = "booted.json"
_NAME = re.compile(r"ss-[0-9a-f]+")
_USELESS = "it is of no use"


@dataclass(frozen=True)
class SnapshotManifest:
    """What a snapshot consists of. `template` is the folder of the template whose RAM the delta is against."""

    id: str
    created_at: float
    template: str
    template_ram: str
    fit: Fit
    delta: Part
    state: Part
    disk: Part
    resolution: tuple[int, int]
    display: Mapping[str, Any]
    quiesced: bool
    stopped_ms: float
    format: int = FORMAT
    booted: bool = False
    """Its machine, or one that it descends from, was started from its disk, and not from its template's memory."""

    def to_json(self) -> str:
        """As text, for `manifest.json`, with a digest of itself."""
        data = asdict(self)
        return json.dumps({**data, "digest": _digest(data)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> SnapshotManifest:
        """Read it back. Raises MachineError if it is damaged, or none that this version understands."""
        try:
            data = json.loads(text)
            digest = data.pop("digest", None)  # older ones have none
            if digest is not None and digest != _digest(data):
                raise MachineError("the snapshot's manifest is damaged: it is not what was written", hint=_USELESS)
            if data["format"] != FORMAT:
                raise MachineError(f"the snapshot has format {data['format']}, this version reads {FORMAT}")
            data["fit"] = Fit(**data["fit"])
            for part in ("delta", "state", "disk"):
                data[part] = Part(**data[part])
            data["resolution"] = tuple(data["resolution"])
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MachineError(f"the snapshot's manifest cannot be read: {error}", hint=_USELESS) from error


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Snapshot:
    """A complete snapshot."""

    directory: Path
    manifest: SnapshotManifest

    @property
    def state(self) -> Path:
        """Device state."""
        return self.directory / STATE

    @property
    def disk(self) -> Path:
        """What the sandbox wrote to its disk, over its template's."""
        return self.directory / DISK

    def delta(self) -> Delta:
        """Its memory, checked (blocking, some tens of milliseconds). Raises MachineError if it is damaged."""
        part = self.manifest.delta
        return read_delta(self.directory / DELTA, part.bytes, part.digest, self.manifest.fit.memory_mib << 20)

    @contextlib.contextmanager
    def peek(self) -> Iterator[Delta]:
        """Its memory, of which no digest is checked: to look at a few pages. Raises OSError or MachineError."""
        path = self.directory / DELTA
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
            memoryview(mapped) as content,
        ):
            delta = parse_delta(path, content, self.manifest.fit.memory_mib << 20)
            with delta.pages:
                yield delta

    def check(self) -> None:
        """Raise MachineError unless device state and disk are what was written (blocking)."""
        check_part(self.state, self.manifest.state, _USELESS)
        self.check_disk()

    def check_disk(self) -> None:
        """The same for its disk alone."""
        check_part(self.disk, self.manifest.disk, _USELESS)

    def size_bytes(self) -> int:
        """Space taken on this host's disk."""
        return sum(file.stat().st_blocks * 512 for file in self.directory.iterdir())


def note_booted(directory: Path, fit: Fit) -> None:
    """Note in a machine's folder that it did not begin from its template's memory, and under what it runs."""
    (directory / BOOTED).write_text(json.dumps(asdict(fit)))


def booted_fit(directory: Path) -> Fit | None:
    """What was noted there; None for a machine that began as most do. MachineError if it cannot be read."""
    try:
        return Fit(**json.loads((directory / BOOTED).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise MachineError(f"{directory / BOOTED} cannot be read: {error}") from error


def new_directory(home: Path, snapshot_id: str) -> Path:
    """A folder to capture into; nothing takes it for a snapshot."""
    root = home / "snapshots"
    root.mkdir(exist_ok=True, mode=0o700)
    work = root / f"{BUILDING}{snapshot_id}"
    work.mkdir(mode=0o700)
    return work


def complete(
    work: Path,
    captured: Captured,
    template: Template,
    *,
    now: float,
    resolution: tuple[int, int],
    display: Mapping[str, Any],
    quiesced: bool,
    booted: Fit | None = None,
) -> Snapshot:
    """Make what was captured in `work` a snapshot, durably (blocking). Raises OSError; then there is none.

    `booted`: what `booted_fit` says of its machine.
    """
    snapshot_id = work.name.removeprefix(BUILDING)
    digest = write_delta(work / DELTA, captured.delta)

    def part(name: str, digest: str | None = None) -> Part:
        return Part((work / name).stat().st_size, digest or disk_digest(work / name))

    manifest = SnapshotManifest(
        id=snapshot_id,
        created_at=now,
        template=template.directory.name,
        template_ram=template.manifest.ram.digest,
        fit=booted or template.manifest.fit,
        delta=part(DELTA, digest),
        state=part(STATE),
        disk=part(DISK),
        resolution=resolution,
        display=dict(display),
        quiesced=quiesced,
        stopped_ms=round(captured.stopped_ms, 2),
        booted=booted is not None,
    )
    fault_point("save.files")
    (work / MANIFEST).write_text(manifest.to_json())
    for path in work.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    fsync_directory(work)
    target = work.with_name(snapshot_id)
    work.rename(target)
    fsync_directory(target.parent)
    fault_point("save.renamed")
    return Snapshot(target, manifest)


def read_snapshot(home: Path, snapshot_id: str) -> Snapshot:
    """A snapshot by its id. Raises NotFoundError, or MachineError if its manifest is damaged."""
    directory = home / "snapshots" / snapshot_id
    try:
        manifest = SnapshotManifest.from_json((directory / MANIFEST).read_text())
    except OSError as error:
        raise NotFoundError(f"the files of snapshot {snapshot_id} are gone: {error.strerror}") from error
    return Snapshot(directory, manifest)


def remove(home: Path, snapshot_id: str) -> None:
    """Remove a snapshot's files: first it is none any more, then they go."""
    directory = home / "snapshots" / snapshot_id
    doomed = directory.with_name(f"{BUILDING}{snapshot_id}-gone")
    if directory.exists():
        directory.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def found_ids(home: Path) -> Iterator[str]:
    """Ids of all complete snapshots on disk."""
    root = home / "snapshots"
    if root.is_dir():
        for directory in root.iterdir():
            if not directory.name.startswith(".") and (directory / MANIFEST).is_file():
                yield directory.name


def folders_without_manifest(home: Path) -> Iterator[str]:
    """Names of folders that were a snapshot's, and have lost what says so."""
    root = home / "snapshots"
    if root.is_dir():
        for directory in root.iterdir():
            if _NAME.fullmatch(directory.name) and directory.is_dir() and not (directory / MANIFEST).is_file():
                yield directory.name


def remove_leftovers(home: Path) -> None:
    """Remove what was never finished, or half removed. For a server that has just taken over HOME."""
    for directory in (home / "snapshots").glob(f"{BUILDING}*"):
        shutil.rmtree(directory, ignore_errors=True)


def template_of(home: Path, snapshot: Snapshot, wanted: Fit) -> Template:
    """The template below a snapshot. SnapshotMismatchError says what is gone or does not fit this host."""
    manifest = snapshot.manifest
    differences = manifest.fit.differences(wanted)
    if differences:
        raise SnapshotMismatchError(
            f"snapshot {manifest.id} does not fit this host: {'; '.join(differences)}",
            hint="restore it where it was taken, or start a new sandbox",
        )
    return template_named(home, snapshot)


def template_named(home: Path, snapshot: Snapshot) -> Template:
    """The template below a snapshot, whether or not that fits this host. SnapshotMismatchError if it is gone."""
    manifest = snapshot.manifest
    for template in find_templates(home):
        if template.directory.name == manifest.template and template.manifest.ram.digest == manifest.template_ram:
            return template
    raise SnapshotMismatchError(
        f"the template below snapshot {manifest.id} is gone ({manifest.template})", hint="start a new sandbox"
    )


def snapshots_by_template(home: Path) -> dict[str, list[str]]:
    """Ids of all complete snapshots by the folder of the template that they need."""
    found: dict[str, list[str]] = {}
    for snapshot_id in sorted(found_ids(home)):
        with contextlib.suppress(MachineError, NotFoundError):
            found.setdefault(read_snapshot(home, snapshot_id).manifest.template, []).append(snapshot_id)
    return found
