"""Desktops that stand ready: restored, answered, settled and frozen, each with an identity of its own, owned by nobody.

Here they are handed out, and given up where a real request needs what they hold. Who makes them is `warm_pool`.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time

from desktop_sandbox.errors import CapacityError
from desktop_sandbox.node.core import FIRST_MEMORY_MIB
from desktop_sandbox.node.ending import Ending
from desktop_sandbox.node.facts import SandboxSpec
from desktop_sandbox.node.parked import Parked

log = logging.getLogger("desktop_sandbox.node")


class Parking(Ending):
    """The part of a node that hands out what stands ready."""

    async def _find_room(self, count: int = 1, each_mib: int = FIRST_MEMORY_MIB, *, returning: bool = False) -> None:
        """Raise CapacityError unless so many more machines fit; what stands ready goes first.

        `returning`: for one that comes back idle ones are put to disk, too, and then those that nobody used just now;
        for a new one they are not.
        """
        while True:
            try:
                return self._check_room(count, each_mib)
            except CapacityError as error:
                short = error.evidence.get("short")
                if short is not None and self._parked:
                    await self._drop(self._parked.pop(0))
                elif not (returning and short == "memory" and (await self._relieve() or await self._give_way())):
                    raise

    def _take(self, spec: SandboxSpec) -> Parked | None:
        """One that is what `spec` asks for, or None."""
        if spec.snapshot is not None:
            return None
        self._demand.note(spec.template, time.monotonic())
        if not self._parked or spec.resolution not in (None, self.shop.screen(spec.template)[0]):
            return None
        found = self.shop.find_quickly(spec.template)
        for parked in self._parked:
            if parked.template == spec.template and parked.is_good(found):
                self._parked.remove(parked)
                return parked
        return None

    async def _let_go(self, template: str) -> None:
        """Keep none of this template ready any more."""
        self._demand.forget(template)
        for parked in [each for each in self._parked if each.template == template]:
            self._parked.remove(parked)
            await self._drop(parked)

    async def _drop(self, parked: Parked) -> None:
        """End one that nobody had."""
        await asyncio.shield(self._put_away(parked.live))
        sandbox_id = parked.live.machine.id
        await asyncio.to_thread(shutil.rmtree, self._directory(sandbox_id), True)
        log.info("%s = dropped, it stood ready (%s)", sandbox_id, parked.template)
