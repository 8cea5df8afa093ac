"""Before the kernel kills anything for want of memory, what nobody needs is put to disk; `pressure` says what.

First what stands ready for creates to come, then idle desktops that stand still. These come back with the next call,
and their time goes on meanwhile: nobody asked for their pause. Where memory runs out faster than that, all that nobody
waits for is held at once: its vCPUs stand still, and go on, one desktop after another, when memory is not short.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from desktop_sandbox.errors import DesktopSandboxError, SnapshotMismatchError
from desktop_sandbox.node.capacity import read_figures
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.pressure import AGAIN_S, Idle, is_running_out, is_short, next_to_go
from desktop_sandbox.node.returning import Returning

log = logging.getLogger("desktop_sandbox.node")

_TICK_S = 1.0
_JUST_NOW_S = 1.0
_UNUSED_S = 5.0


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

    async def _keep_from_running_out(self) -> None:
        """Until cancelled. Beside `_keep_memory`, which may wait for one machine for seconds."""
        going_on: asyncio.Task[None] | None = None
        while True:
            await asyncio.sleep(_TICK_S / 4)
            try:
                available = self._available_mib()
                if is_running_out(self.limits, available):
                    await self._hold()
                elif not is_short(self.limits, available, easing=False) and (going_on is None or going_on.done()):
                    going_on = self._start_soon(self._let_one_go_on(), "what was held goes on")
            except Exception:
                log.exception("keeping memory from running out")

    async def _hold(self) -> None:
        """Stop what nobody waits for, watches or used just now, and what may stand still by its maker's word."""
        since = time.monotonic() - _JUST_NOW_S
        able = [
            live
            for name, live in self._live.items()
            if not (live.frozen or live.busy or live.used_at > since or name in self._watched)
        ]
        held = [live for live in able if await self._may_stand_still(live)]
        # QEMU's own stop needs processor time, which a crowd that fills the memory does not leave
        for live in held:
            if not live.busy:
                live.brake()
        for live in held:
            try:
                await live.freeze(since, hold=True)
            except DesktopSandboxError as error:
                log.warning("%s x not held: %s", live.machine.id, error.message)
            except Exception:  # whatever it is, the others must not stay with the brake on
                log.exception("%s x not held", live.machine.id)
        if held:
            log.info("%d desktops are held, memory is short", len(held))

    async def _may_stand_still(self, live: LiveSandbox) -> bool:
        with contextlib.suppress(DesktopSandboxError):  # it may have ended meanwhile
            return await self._freeze_after_s(live) > 0
        return False

    async def _let_one_go_on(self) -> None:
        now = time.monotonic()
        able = [
            live
            for name, live in self._live.items()
            if live.held_at is not None and now - self._not_put_away.get(name, now - 2 * AGAIN_S) > AGAIN_S
        ]
        if able:
            live = max(able, key=lambda one: one.used_at)
            try:
                await live.guest(by_itself=True)
                await asyncio.sleep(_TICK_S)  # it is seen first how much it takes
            except DesktopSandboxError as error:
                self._not_put_away[live.machine.id] = time.monotonic()
                log.warning("%s x does not go on: %s", live.machine.id, error.message)

    def _available_mib(self) -> int:
        return read_figures(self.config.home, 0).available_memory_mib

    async def _relieve(self) -> bool:
        """Put one thing away; whether there was one."""
        if self._parked:
            await self._drop(self._parked.pop(0))
            return True
        while (sandbox_id := self._next_to_go()) is not None:
            try:
                if await self.pause_idle(sandbox_id, f"memory was short: {self._available_mib()} MiB were left"):
                    return True
            except SnapshotMismatchError as error:
                log.warning("%s x stays in memory: %s", sandbox_id, error.message)
                if (live := self._live.get(sandbox_id)) is not None:
                    live.stays = True
                continue
            except DesktopSandboxError as error:
                log.warning("%s x not put to disk: %s", sandbox_id, error.message)
            self._not_put_away[sandbox_id] = time.monotonic()
        return False

    async def _give_way(self) -> bool:
        """The least recently used that may stand still: in a crowd that is called in turn none comes to rest."""
        since = time.monotonic() - _UNUSED_S
        able = [
            live
            for name, live in self._live.items()
            if not (live.frozen or live.busy or live.stays or live.used_at > since or name in self._watched)
            and live.wakes_as is None
        ]
        for live in sorted(able, key=lambda one: one.used_at):
            sandbox_id = live.machine.id
            try:
                if not await self._may_stand_still(live) or not await live.freeze(since, hold=True):
                    continue
                if await self.pause_idle(sandbox_id, "memory was short, and another one was called"):
                    return True
            except DesktopSandboxError as error:
                log.warning("%s x does not give way: %s", sandbox_id, error.message)
        return False

    def _next_to_go(self) -> str | None:
        return next_to_go(
            self._idle(), time.monotonic(), running_out=is_running_out(self.limits, self._available_mib())
        )

    def _idle(self) -> list[Idle]:
        """Desktops that stand still, unwatched."""
        self._not_put_away = {name: at for name, at in self._not_put_away.items() if name in self._live}
        return [
            Idle(name, live.used_at, self._not_put_away.get(name), live.held_at)
            for name, live in self._live.items()
            if live.frozen and not live.busy and name not in self._watched and live.wakes_as is None
            if not (live.stays or (live.asked_still and live.freeze_after_s == 0))
        ]
