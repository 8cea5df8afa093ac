"""Before the kernel kills anything for want of memory, what nobody needs is put to disk; `pressure` says what.

First what stands ready for creates to come, then idle desktops that stand still. These come back with the next call,
and their time goes on meanwhile: nobody asked for their pause.
"""

from __future__ import annotations

import asyncio
import logging
import time

from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.node.capacity import read_figures
from desktop_sandbox.node.pressure import Idle, is_short, next_to_go
from desktop_sandbox.node.returning import Returning

log = logging.getLogger("desktop_sandbox.node")

_TICK_S = 1.0


class Reclaiming(Returning):
    """The part of a node that keeps memory free."""

    async def _keep_memory(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await self._ease()
            except Exception:
                log.exception("keeping memory free")

    async def _ease(self) -> None:
        """Where memory is short, put away one after another until it is not, or nothing is left to put away."""
        easing = False
        while is_short(self.limits, self._available_mib(), easing=easing):
            easing = True
            if not await self._relieve():
                return

    def _available_mib(self) -> int:
        return read_figures(self.config.home, 0).available_memory_mib

    async def _relieve(self) -> bool:
        """Put one thing away; whether there was one."""
        if self._parked:
            await self._drop(self._parked.pop(0))
            return True
        while (sandbox_id := next_to_go(self._idle(), time.monotonic())) is not None:
            try:
                if await self.pause_idle(sandbox_id, f"memory was short: {self._available_mib()} MiB were left"):
                    return True
            except DesktopSandboxError as error:
                log.warning("%s x not put to disk: %s", sandbox_id, error.message)
            self._not_put_away[sandbox_id] = time.monotonic()
        return False

    def _idle(self) -> list[Idle]:
        """Desktops that stand still, unwatched."""
        self._not_put_away = {name: at for name, at in self._not_put_away.items() if name in self._live}
        return [
            Idle(name, live.used_at, self._not_put_away.get(name))
            for name, live in self._live.items()
            if live.frozen and not live.busy and name not in self._watched and live.wakes_as is None
        ]
