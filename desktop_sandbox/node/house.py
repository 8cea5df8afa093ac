"""Keep house: expiries, log sizes, old records, leftovers; once a second, cheap. One thing's trouble stops no other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time

from desktop_sandbox.errors import CapacityError, DesktopSandboxError
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.pressure import AGAIN_S
from desktop_sandbox.node.returning import Returning
from desktop_sandbox.node.store import SandboxRecord
from desktop_sandbox.snapshots.templates import find_templates

log = logging.getLogger("desktop_sandbox.node")

_KEEP_DEAD_S = 24 * 3600.0
_TICK_S = 1.0
_MOST_TRIES = 5
"""A guest must not be able to outlive its time by making its pause fail."""


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
                    await self._forget_memory()
            except Exception:  # the house is kept whatever went wrong in one round (a full disk, say)
                log.exception("keeping house")

    async def _forget_memory(self) -> None:
        """Let go of the memory of templates that are gone: rebuilt, or removed."""
        if self._creating:
            return
        home = self.config.home
        keys = await asyncio.to_thread(lambda: {template.key for template in find_templates(home)})
        for key in await self._memory.forget_others(keys):
            log.info("template memory %s = let go, its template is gone", key)

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
            due = record.expires_at is not None and record.expires_at <= now
            if due and record.id not in self._expiring:  # each by itself: one that takes long keeps no other
                self._expiring.add(record.id)
                self._start_soon(self._expire_one(record), f"end of {record.id}'s time")

    async def _expire_one(self, record: SandboxRecord) -> None:
        rests_s = 0.0
        try:
            if record.info().on_timeout != "pause" or not await self._pause_expired(record):
                await self._end(record.id, "its timeout ran out", due=record.expires_at)
        except BaseException:
            rests_s = AGAIN_S
            raise
        finally:
            asyncio.get_running_loop().call_later(rests_s, self._expiring.discard, record.id)

    async def _pause_expired(self, record: SandboxRecord) -> bool:
        """Pause it; False where that cannot be, and it has to end. What may pass, as a full disk, is tried again."""
        tries, due = self._not_paused.pop(record.id, (0, None))
        if due != record.expires_at:
            tries = 0  # it was given more time since
        try:
            await self._put_to_disk(record.id, due=record.expires_at)
        except DesktopSandboxError as error:
            tries += not isinstance(error, CapacityError)
            if record.id not in self._live or tries >= _MOST_TRIES:  # without a machine there is nothing to keep
                return False
            log.warning("%s x not paused, tried again in %.0f s: %s", record.id, AGAIN_S, error.message)
            again = time.time() + AGAIN_S
            self._not_paused[record.id] = tries, again
            await self.store.postpone(record.id, record.expires_at, again)
            with contextlib.suppress(DesktopSandboxError):
                await self.store.note(record.id, "not-paused", {"because": error.message}, now=time.time())
        return True

    async def _forget_dead(self, now: float) -> None:
        for sandbox_id in await self.store.forget_dead(now - _KEEP_DEAD_S):
            await asyncio.to_thread(shutil.rmtree, self._directory(sandbox_id), True)
