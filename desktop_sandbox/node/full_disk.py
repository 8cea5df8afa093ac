"""Desktops that stand still because this host's disk is full: seen, told, and let go on when there is room again.

QEMU stops a machine whose disk cannot be written for want of space, so that the guest sees no error and loses nothing;
it does not start it again by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time

from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.node.capacity import read_figures
from desktop_sandbox.node.core import NodeCore
from desktop_sandbox.node.live import LiveSandbox

log = logging.getLogger("desktop_sandbox.node")

_TICK_S = 3.0
_ENOUGH_MIB = 128
"""So much has to be free before they go on, lest they stop again at once."""


class FullDisk(NodeCore):
    """The part of a node that looks after machines which cannot write."""

    async def _keep_writing(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            for live in list(self._live.values()):
                if live.leaving or (live.frozen and not live.disk_full):
                    continue
                try:
                    await self._look_at_disk(live)
                except DesktopSandboxError as error:
                    log.debug("%s is not asked for its state: %s", live.machine.id, error.message)
                except Exception:  # one machine's trouble leaves the others their turn
                    log.exception("%s x its state", live.machine.id)

    async def _look_at_disk(self, live: LiveSandbox) -> None:
        sandbox_id, before = live.machine.id, live.disk_full
        free_mib = read_figures(live.machine.directory, 0).free_disk_mib
        await live.look_at_disk(lambda: free_mib >= _ENOUGH_MIB)
        if before and not live.disk_full:
            log.info("%s = goes on, the disk has room again", sandbox_id)
            await self.store.note(sandbox_id, "writes-again", {}, now=time.time())
        elif live.disk_full and not before:
            log.warning("%s x stands still: the disk of this host is full", sandbox_id)
            await self.store.note(sandbox_id, "disk-full", {"free_mib": free_mib}, now=time.time())
