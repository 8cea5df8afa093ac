"""Snapshots that leave this host and come to it: export, import, and the keys that are trusted."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import aclosing
from pathlib import Path

from desktop_sandbox.errors import ConflictError, MachineError, SnapshotMismatchError, UntrustedError
from desktop_sandbox.node.capacity import check_room, read_figures
from desktop_sandbox.node.facts import SnapshotInfo
from desktop_sandbox.node.upkeep import Upkeep
from desktop_sandbox.snapshots import snapshot as files
from desktop_sandbox.snapshots.export import Head, Importer, export
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.signing import Keys, show_key
from desktop_sandbox.snapshots.templates import fsync_directory, offered_fit

_HERE = "use it, remove it first, or import it under another name (--name)"

log = logging.getLogger("desktop_sandbox.node")


async def in_pieces(pieces: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    """What a blocking generator yields, read in threads; it is closed at the end, whoever breaks off and when."""
    reading = threading.Lock()

    def read() -> bytes | None:
        with reading:
            return next(pieces, None)

    def close() -> None:
        with reading:  # a reader that was given up may still be at it
            pieces.close()

    try:
        while (piece := await asyncio.to_thread(read)) is not None:
            yield piece
    finally:
        await asyncio.shield(asyncio.to_thread(close))


class Carrying(Upkeep):
    """The part of a node that carries snapshots from host to host."""

    @property
    def _keys(self) -> Keys:
        return Keys(self.config.home)

    async def export_snapshot(self, snapshot_id: str) -> tuple[int, AsyncIterator[bytes]]:
        """A snapshot as one signed file: its length in bytes, and its content in pieces."""
        async with self._using(snapshot_id) as info:
            snapshot = await asyncio.to_thread(files.read_snapshot, self.config.home, snapshot_id)
            about = {"name": info.name, "description": info.description, "tags": [*info.tags], "sandbox": info.sandbox}
            about["template"] = info.template
            size, pieces = await asyncio.to_thread(export, snapshot, about, self._keys)
        return size, in_pieces(pieces)

    async def import_snapshot(self, data: AsyncIterator[bytes], *, name: str | None = None) -> SnapshotInfo:
        """A snapshot out of such a file; it is there whole afterwards, or not at all.

        `name`: what it is called here. One that is here already then comes once more, under another id.

        Raises UntrustedError for a signer nobody trusted, SnapshotMismatchError that says what does not fit this
        host, ConflictError for one that is here already, InvalidRequestError for a damaged file.
        """
        known = {info.id for info in await self.snapshot_store.all()}
        home = self.config.home

        def approve(head: Head, key: bytes) -> None:
            self._approve(head, key, set() if name else known)

        def make_work(head: Head) -> Path:
            return files.new_directory(home, f"{head.manifest.id}-import-{time.monotonic_ns():x}")

        importer = Importer(make_work, approve)
        try:
            async with aclosing(data) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    await asyncio.to_thread(importer.feed, piece)
            taken = importer.head is not None and importer.head.manifest.id in known
            another = f"ss-{secrets.token_hex(8)}" if taken and name else None
            work, head = await asyncio.to_thread(importer.finish, another)
            return await asyncio.shield(self._keep(work, head, name))
        except OSError as error:
            raise MachineError(f"the snapshot cannot be written: {error}", hint="is the disk full?") from error
        finally:
            await asyncio.shield(asyncio.to_thread(importer.abandon))

    def _approve(self, head: Head, key: bytes, known: set[str]) -> None:
        """Refuse, before anything is written, what is not trusted, not fit, here already, or too large."""
        manifest = head.manifest
        self._check_signer(key)
        if manifest.id in known:
            raise ConflictError(f"snapshot {manifest.id} is here already", hint=_HERE)
        differences = manifest.fit.differences(offered_fit(manifest.fit, self.hypervisor))
        if differences:
            raise SnapshotMismatchError(
                f"snapshot {manifest.id} does not fit this host: {'; '.join(differences)}",
                hint="nothing was imported; it fits the host it is from",
            )
        self._check_template(manifest)
        check_room(self.limits, read_figures(self.config.home, 0), memory_mib=0, disk_mib=head.body_bytes >> 20)

    def _check_signer(self, key: bytes) -> None:
        """Raise UntrustedError unless this host, or one that was trusted, holds the key."""
        if self._keys.name_of(key) is None:
            raise UntrustedError(
                f"the file is signed by {show_key(key)}, whom nobody trusts here",
                hint="if you know whose key that is: desktop-sandbox trust add NAME KEY",
            )

    def _check_template(self, manifest: files.SnapshotManifest) -> None:
        """Raise SnapshotMismatchError, naming what is needed, unless template and image below a snapshot are here."""
        try:
            template = files.template_named(self.config.home, files.Snapshot(Path(), manifest))
            missing = None if template.image.is_file() else f"images/{template.image.parent.name}"
        except SnapshotMismatchError:
            missing = f"templates/{manifest.template}"
        if missing is not None:
            raise SnapshotMismatchError(
                f"this host lacks what snapshot {manifest.id} was taken over: {missing} is not here"
                f" (template {manifest.template}, RAM {manifest.template_ram[:16]}, image {manifest.fit.image[:16]})",
                hint=f"there: desktop-sandbox template export {manifest.template}; here: desktop-sandbox template"
                " import FILE, then this again. Another build of the same recipe is another template",
            )

    async def _keep(self, work: Path, head: Head, name: str | None = None) -> SnapshotInfo:
        """Make what was imported a snapshot of this host."""
        manifest, about = head.manifest, head.about
        target = work.with_name(manifest.id)

        def rename() -> int:
            if target.exists():
                raise ConflictError(f"snapshot {manifest.id} is here already", hint=_HERE)
            work.rename(target)
            fsync_directory(target.parent)
            fault_point("import.renamed")
            return files.Snapshot(target, manifest).size_bytes()

        info = SnapshotInfo(
            id=manifest.id,
            name=name or (str(about["name"])[:200] if about.get("name") else None),
            sandbox=str(about.get("sandbox"))[:64],
            parent=None,
            template=str(about.get("template")),
            kind="import",
            created_at=manifest.created_at,
            size_bytes=await asyncio.to_thread(rename),
            resolution=manifest.resolution,
            quiesced=manifest.quiesced,
            stopped_ms=manifest.stopped_ms,
            description=str(about.get("description") or "")[:4096],
            tags=tuple(str(tag)[:64] for tag in list(about.get("tags") or ())[:32]),
        )
        try:
            await self.snapshot_store.add(info)
        except BaseException:
            # files without a record would block the id, and nobody could delete them
            await asyncio.to_thread(files.remove, self.config.home, info.id)
            raise
        log.info("snapshot %s = imported", info.id)
        return info

    async def signing_key(self) -> str:
        """This host's public key."""
        return await asyncio.to_thread(lambda: show_key(self._keys.own()))

    async def trusted(self) -> Mapping[str, str]:
        """Keys that are trusted, by name."""
        return await asyncio.to_thread(self._keys.trusted)

    async def trust(self, name: str, key: str) -> None:
        """Trust a key under a name."""
        await asyncio.to_thread(self._keys.trust, name, key)

    async def distrust(self, name: str) -> None:
        """Trust it no longer."""
        await asyncio.to_thread(self._keys.distrust, name)
