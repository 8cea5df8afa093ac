"""Desktops that stand ready: restored, answered, settled and frozen, each with an identity of its own, owned by nobody.

Here they are handed out, and given up where a real request needs what they hold. Who makes them is `warm_pool`.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time

from desktop_sandbox.errors import CapacityError
from desktop_sandbox.node.ending import Ending
from desktop_sandbox.node.interface import SandboxSpec
from desktop_sandbox.node.parked import Parked

log = logging.getLogger("desktop_sandbox.node")


class Parking(Ending):
    """The part of a node that hands out what stands ready."""

    async def _find_room(self) -> None:
        """Raise CapacityError unless one more machine fits; what stands ready goes first."""
        while True:
            try:
                return self._check_room()
            except CapacityError as error:
                if not self._parked or error.evidence.get("short") is None:
                    raise
                await self._drop(self._parked.pop(0))

    def _take(self, spec: SandboxSpec) -> Parked | None:
        """One that is what `spec` asks for, or None."""
        if spec.snapshot is not None:
            return None
        self._demand.note(spec.template, time.monotonic())
        if not self._parked or spec.resolution not in (None, self.shop.recipe(spec.template).resolution):
            return None
        found = self.shop.find_quickly(spec.template)
        for parked in self._parked:
            if parked.template == spec.template and parked.is_good(found):
                self._parked.remove(parked)
                return parked
        return None

    async def _drop(self, parked: Parked) -> None:
        """End one that nobody had."""
        await asyncio.shield(self._put_away(parked.live))
        sandbox_id = parked.live.machine.id
        await asyncio.to_thread(shutil.rmtree, self._directory(sandbox_id), True)
        log.info("%s = dropped, it stood ready (%s)", sandbox_id, parked.template)
