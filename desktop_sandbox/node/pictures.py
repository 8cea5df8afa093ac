"""Pictures of snapshots, made when somebody looks; the last ones are kept in memory: a snapshot never changes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import cached_property

from desktop_sandbox.errors import InvalidRequestError, SnapshotMismatchError
from desktop_sandbox.node.core import NodeCore
from desktop_sandbox.node.facts import Screenshot
from desktop_sandbox.screen.encode import encode, shrink
from desktop_sandbox.screen.saved import saved_frame
from desktop_sandbox.snapshots.snapshot import Snapshot, read_snapshot
from desktop_sandbox.snapshots.templates import Template, find_templates

MIN_WIDTH, MAX_WIDTH = 16, 8192
_KEPT = 256
_QUALITY = 75
_AT_ONCE = 2


class Pictures(NodeCore):
    """The part of a node that shows snapshots."""

    @cached_property
    def _pictures(self) -> OrderedDict[tuple[str, int], Screenshot]:
        return OrderedDict()

    @cached_property
    def _drawing(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(_AT_ONCE)

    async def thumbnail(self, snapshot_id: str, width: int = 320) -> Screenshot:
        """What a snapshot showed, as a JPEG at most `width` pixels wide."""
        if not MIN_WIDTH <= width <= MAX_WIDTH:
            raise InvalidRequestError(f"a picture {width} pixels wide", hint=f"from {MIN_WIDTH} to {MAX_WIDTH}")
        info = await self.snapshot_store.get(snapshot_id)
        width = min(width, info.resolution[0])  # no wider one is another picture
        key = (snapshot_id, width)
        if key not in self._pictures:
            async with self._drawing:
                self._pictures[key] = await asyncio.to_thread(self._draw, snapshot_id, width)
        self._pictures.move_to_end(key)
        while len(self._pictures) > _KEPT:
            self._pictures.popitem(last=False)
        return self._pictures[key]

    def _draw(self, snapshot_id: str, width: int) -> Screenshot:
        snapshot = read_snapshot(self.config.home, snapshot_id)
        frame = saved_frame(snapshot, self._below(snapshot))
        small = shrink(frame, min(1.0, width / frame.shape[1]))
        return Screenshot(encode(small, "jpeg", _QUALITY), "image/jpeg", small.shape[1], small.shape[0])

    def _below(self, snapshot: Snapshot) -> Template:
        """The template below a snapshot; to look at one it need not fit this host."""
        for template in find_templates(self.config.home):
            if template.directory.name == snapshot.manifest.template:
                return template
        raise SnapshotMismatchError(
            f"the template below snapshot {snapshot.manifest.id} is gone", hint="there is nothing to look at any more"
        )
