"""Keep desktops ready for creates to come: as many as lately came, one made at a time, only while the node is calm.

They take nothing from anybody: none is made unless there is room to spare, and `parking` gives them up where there is
none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import time

from actions.model import CursorPosition, Move
from desktop_sandbox.errors import CapacityError, DesktopSandboxError, MachineError, NotFoundError
from desktop_sandbox.node.capacity import check_room, read_figures
from desktop_sandbox.node.core import FIRST_DISK_MIB
from desktop_sandbox.node.creating import Creating
from desktop_sandbox.node.facts import SandboxSpec
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.parked import Parked
from desktop_sandbox.node.settling import caught_up
from desktop_sandbox.snapshots.restore import Origin
from desktop_sandbox.snapshots.templates import Template

log = logging.getLogger("desktop_sandbox.node")

_TICK_S = 0.5
_CALM_S = 2.0
_SPARE_MEMORY_MIB = 1024
_SETTLE_S = 8.0
_QUIET_SHARE = 0.15
_TRY_AGAIN_S = 30.0
_FREEZE_TRIES = 20


class WarmPool(Creating):
    """The part of a node that keeps desktops ready."""

    async def _keep_warm(self) -> None:
        """Until cancelled; nothing where the pool is off."""
        if self.config.warm_pool <= 0:
            return
        self._demand.note(SandboxSpec().template, time.monotonic())
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await self._tend(time.monotonic())
            except CapacityError:
                await asyncio.sleep(_TRY_AGAIN_S)
            except DesktopSandboxError as error:
                log.warning("the warm pool x %s", error.message)
                await asyncio.sleep(_TRY_AGAIN_S)
            except Exception:
                log.exception("the warm pool")
                await asyncio.sleep(_TRY_AGAIN_S)

    async def _tend(self, now: float) -> None:
        """Drop what is not wanted any more, or make one that is."""
        wanted = self._demand.wanted(now)
        kept: dict[str, int] = dict.fromkeys(wanted, 0)
        for parked in list(self._parked):
            if parked not in self._parked:  # handed out meanwhile
                continue
            found = self._template_now(parked.template)
            kept[parked.template] = kept.get(parked.template, 0) + 1
            if kept[parked.template] > wanted.get(parked.template, 0) or not parked.is_good(found):
                kept[parked.template] -= 1
                self._parked.remove(parked)
                await self._drop(parked)
        if self._creating or now - self._last_create < _CALM_S:
            return
        for template, count in wanted.items():
            if kept[template] < count:
                await self._park(template)
                return

    def _template_now(self, name: str) -> Template | None:
        """The template, unless it is gone or does not fit any more."""
        with contextlib.suppress(NotFoundError):
            return self.shop.find_quickly(name)
        return None

    async def _park(self, name: str) -> None:
        """Make one. CapacityError where there is no room to spare."""
        figures = read_figures(self.config.home, len(self._live) + len(self._parked))
        check_room(self.limits, figures, memory_mib=_SPARE_MEMORY_MIB, disk_mib=FIRST_DISK_MIB)
        template = self._template_now(name)
        if template is None:
            return
        origin = Origin(template, await self._memory.get(template))
        sandbox_id = f"sb-{secrets.token_hex(8)}"
        try:
            live = await self._start(sandbox_id, origin, None)
        except BaseException:
            self._clean(sandbox_id)
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, self._directory(sandbox_id), True))
            raise
        parked = Parked(name, live)
        try:
            await _rehearse(live)
            await caught_up(live, share=_QUIET_SHARE, patience_s=_SETTLE_S)
            await _stand_still(live)
        except BaseException:
            await asyncio.shield(self._drop(parked))
            raise
        self._parked.append(parked)
        log.debug("%s = stands ready (%s)", live.machine.id, name)


async def _stand_still(live: LiveSandbox) -> None:
    """Freeze it, as soon as no answer is outstanding."""
    for _ in range(_FREEZE_TRIES):
        if await live.freeze(time.monotonic()):
            return
        await asyncio.sleep(0.2)
    raise MachineError(f"{live.machine.id} does not come to rest", hint="it is made anew")


async def _rehearse(live: LiveSandbox) -> None:
    """Go the way of an action once, with nothing to see of it: what is translated and loaded then is quick later."""
    where = (await live.act((CursorPosition(),), f"park-{live.machine.id}-0", None, None)).results[0]
    await live.act((Move(int(where["x"]), int(where["y"])),), f"park-{live.machine.id}-1", None, None)
