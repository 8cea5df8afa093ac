"""Templates that leave this host and come to it, with the image below them: export and import."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from desktop_sandbox.errors import ConflictError, MachineError, SnapshotMismatchError
from desktop_sandbox.node.capacity import check_room, read_figures
from desktop_sandbox.node.carrying import Carrying, in_pieces
from desktop_sandbox.node.facts import TemplateInfo
from desktop_sandbox.snapshots.template_export import (
    Imported,
    Standing,
    TemplateImporter,
    export_template,
    image_here,
    lacks_image,
    place,
)
from desktop_sandbox.snapshots.template_head import TemplateHead
from desktop_sandbox.snapshots.templates import BUILDING, offered_fit, promoted_templates
from guest_image.recipe import recipe_names

log = logging.getLogger("desktop_sandbox.node")

_PIECE_BYTES = 1 << 20
_arriving: set[Path] = set()
"""Folders that are being imported into."""


class CarryingTemplates(Carrying):
    """The part of a node that carries templates from host to host."""

    async def export_template(self, name: str) -> tuple[int, AsyncIterator[bytes]]:
        """A template, by its name or its folder's, as one signed file: its length in bytes, and its content."""
        template, image = await asyncio.to_thread(self.shop.named, name)
        size, pieces = await asyncio.to_thread(export_template, template, image, self._keys)
        log.info("template %s = exported, %d bytes", template.directory.name, size)
        return size, in_pieces(pieces)

    async def import_template(self, data: AsyncIterator[bytes]) -> TemplateInfo:
        """A template out of such a file, with its image unless that is here; there whole afterwards, or not at all.

        Raises UntrustedError for a signer nobody trusted, SnapshotMismatchError that says what does not fit this host,
        ConflictError for one that is here already or over another image of its recipe, InvalidRequestError for a
        damaged file.
        """
        importer = TemplateImporter(self._approve_template, self._template_folder)
        placing: asyncio.Future[TemplateInfo] | None = None
        try:
            held = bytearray()
            async with aclosing(data) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    held += piece
                    if len(held) >= _PIECE_BYTES:
                        await asyncio.to_thread(importer.feed, bytes(held))
                        held.clear()
            await asyncio.to_thread(importer.feed, bytes(held))
            placing = asyncio.ensure_future(self._place(importer))
            placing.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, though nobody waits
            return await asyncio.shield(placing)
        except OSError as error:
            raise MachineError(f"the template cannot be written: {error}", hint="is the disk full?") from error
        finally:
            if placing is None:
                await asyncio.shield(asyncio.to_thread(self._abandon, importer))

    def _abandon(self, importer: TemplateImporter) -> None:
        importer.abandon()
        if importer.work is not None:
            _arriving.discard(importer.work)

    def _template_folder(self, head: TemplateHead) -> Path:
        """A new folder to import into; nothing takes it for a template. ConflictError while it comes in already."""
        work = self.config.home / "templates" / f"{BUILDING}import-{head.folder}-{os.getpid()}"
        if work in _arriving:
            raise ConflictError(f"template {head.folder} is being imported just now", hint="wait until that is done")
        shutil.rmtree(work, ignore_errors=True)  # of a server before this one, which had the same number
        work.mkdir(mode=0o700)
        _arriving.add(work)
        return work

    def _approve_template(self, head: TemplateHead, key: bytes) -> Standing | None:
        """Refuse, before anything is written, what is not trusted, not fit, here already, or too large.

        The image here that is the same, or None: then it is to be written, too.
        """
        self._check_signer(key)
        fit = head.manifest.fit
        differences = fit.differences(offered_fit(fit, self.hypervisor))
        if head.manifest.promoted is None and head.manifest.name not in recipe_names():
            differences.append(f"the recipe {head.manifest.name} is not here")
        if differences:
            raise SnapshotMismatchError(
                f"template {head.folder} does not fit this host: {'; '.join(differences)}",
                hint="nothing was imported; it fits the host it is from",
            )
        self._check_free(head)
        if self.shop.is_building(head.manifest.recipe):
            raise ConflictError(
                f"template {head.manifest.recipe} is being built", hint="wait until it is done, or stop the build"
            )
        standing = image_here(self.config.home, head)
        needed = head.bytes_needed(with_image=standing is None)
        check_room(self.limits, read_figures(self.config.home, 0), memory_mib=0, disk_mib=needed >> 20)
        return standing

    def _check_free(self, head: TemplateHead) -> None:
        """Raise ConflictError where a template of this folder is here, or one promoted has its name."""
        name, home = head.manifest.name, self.config.home
        if lacks_image(home, head):
            return
        if os.path.lexists(home / "templates" / head.folder):
            raise ConflictError(
                f"template {head.folder} is here already", hint=f"use it, or remove it first: template rm {name}"
            )
        if head.manifest.promoted is None:
            return
        if name in recipe_names():
            raise ConflictError(f"{name} is the name of a recipe here", hint="promote it under another name there")
        if name in promoted_templates(home):
            raise ConflictError(f"there is a template {name} already", hint=f"remove it first: template rm {name}")

    async def _place(self, importer: TemplateImporter) -> TemplateInfo:
        """Make what came in a template of this HOME."""

        def place_it(imported: Imported) -> TemplateInfo:
            try:
                self._check_free(imported.head)
            except BaseException:
                shutil.rmtree(imported.work, ignore_errors=True)
                raise
            return self.shop.info_of(place(self.config.home, imported))

        try:
            imported = await asyncio.to_thread(importer.finish)
            manifest = imported.head.manifest
            async with self.shop.adding(manifest.name, manifest.recipe), self._promoting:
                info = await asyncio.to_thread(place_it, imported)
        finally:
            await asyncio.to_thread(self._abandon, importer)
        log.info("template %s = imported", imported.head.folder)
        return info
