"""Promote a snapshot to a template: log in once, then start a thousand from there."""

from __future__ import annotations

import asyncio
import logging
import re
import time

from desktop_sandbox.errors import CapacityError, InvalidRequestError
from desktop_sandbox.node.capacity import check_room, read_figures
from desktop_sandbox.node.facts import TemplateInfo
from desktop_sandbox.node.parking import Parking
from desktop_sandbox.snapshots.promote import bytes_needed, check_depth, promote

log = logging.getLogger("desktop_sandbox.node")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Promoting(Parking):
    """The part of a node that makes templates of snapshots."""

    async def promote_snapshot(self, snapshot_id: str, name: str) -> TemplateInfo:
        """A template `name` that begins where the snapshot was taken; all of it, or none.

        It needs the snapshot no longer. A caller who leaves does not stop it. ConflictError where the name is taken.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(f"a template named {name!r}", hint="letters, digits, dots, dashes; at most 64")
        working = asyncio.ensure_future(self._promote(snapshot_id, name))
        working.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, though nobody waits
        return await asyncio.shield(working)

    async def _promote(self, snapshot_id: str, name: str) -> TemplateInfo:
        async with self._promoting, self._using(snapshot_id):
            self.shop.check_free(name)
            origin = await self.snapshot_origin(snapshot_id)
            check_depth(origin.template)
            memory, disk = await asyncio.to_thread(bytes_needed, origin)
            await self._find_room_for_template(memory >> 20, disk >> 20)
            _, largest = self.shop.screen(origin.template.manifest.name)
            root = self.config.home / "templates"
            began = time.monotonic()
            made, descriptor = await asyncio.to_thread(
                lambda: promote(root, name, origin, now=time.time(), max_resolution=largest)
            )
            await self._memory.take(made, descriptor)
        log.info("template %s = promoted from %s in %.1f s", name, snapshot_id, time.monotonic() - began)
        return await asyncio.to_thread(self.shop.info, name)

    async def _find_room_for_template(self, memory_mib: int, disk_mib: int) -> None:
        """Raise CapacityError unless it fits; what stands ready for creates to come goes first."""
        while True:
            try:
                figures = read_figures(self.config.home, 0)
                return check_room(self.limits, figures, memory_mib=memory_mib, disk_mib=disk_mib)
            except CapacityError as error:
                if error.evidence.get("short") != "memory" or not self._parked:
                    raise
                await self._drop(self._parked.pop(0))
