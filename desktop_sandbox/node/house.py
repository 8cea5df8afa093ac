"""Keep house: expiries, log sizes, old records, leftovers; once a second, cheap. One thing's trouble stops no other."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time

from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.returning import Returning
from desktop_sandbox.node.store import SandboxRecord

log = logging.getLogger("desktop_sandbox.node")

_KEEP_DEAD_S = 24 * 3600.0
_TICK_S = 1.0


class House(Returning):
    """The part of a node that nobody asks for."""

    async def _keep_house(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(_TICK_S)
            ticks += 1
            try:
                await self._expire(time.time())
                if ticks % 60 == 0:
                    await self._forget_dead(time.time())
                    await self._forget_expendable(time.time())
            except Exception:  # the house is kept whatever went wrong in one round (a full disk, say)
                log.exception("keeping house")

    async def _preload(self, name: str) -> None:
        """Bring a template's memory in before the first create wants it."""
        try:
            template = await asyncio.to_thread(self.shop.find_quickly, name)
            if template is not None:
                await self._memory.get(template)
        except DesktopSandboxError as error:
            log.warning("template %s x cannot be loaded: %s", name, error.message)

    async def _greet(self, live: LiveSandbox) -> None:
        """A sandbox taken over from a server that died: its programs may stand still, and nobody may ever ask."""
        try:
            await live.guest()
        except DesktopSandboxError as error:
            log.warning("%s x does not answer: %s", live.machine.id, error.message)

    async def _expire(self, now: float) -> None:
        for live in list(self._live.values()):
            live.machine.trim_logs()
        for record in await self.store.all(SandboxState.RUNNING, SandboxState.PAUSED):
            if record.state is SandboxState.PAUSED and not record.put_away:
                continue
            if record.expires_at is not None and record.expires_at <= now:
                try:
                    await self._expire_one(record)
                except Exception:  # one that cannot be ended now is tried again, and the others have their turn
                    log.exception("%s x not ended though its time is over", record.id)

    async def _expire_one(self, record: SandboxRecord) -> None:
        if record.info().on_timeout == "pause":
            try:
                await self._put_to_disk(record.id, or_its_disk=True)
                return
            except DesktopSandboxError as error:
                log.warning("%s x not paused, so it ends: %s", record.id, error.message)
        await self._end(record.id, "its timeout ran out")

    async def _forget_dead(self, now: float) -> None:
        for record in await self.store.all(SandboxState.DEAD):
            if now - record.created_at > _KEEP_DEAD_S:
                await self.store.remove(record.id)
                await asyncio.to_thread(shutil.rmtree, self._directory(record.id), True)
