"""How sandboxes end: asked to, by themselves, or put away for a while. A machine's end is always verified."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from functools import partial
from typing import Any

from desktop_sandbox.errors import ConflictError, DesktopSandboxError, NotFoundError
from desktop_sandbox.node.birth import clear
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.node.interface import NodeNews
from desktop_sandbox.node.lifecycle import SandboxEvent
from desktop_sandbox.node.live import LiveSandbox, dead_reason
from desktop_sandbox.node.upkeep import Upkeep

log = logging.getLogger("desktop_sandbox.node")

_SESSION_STATES = ("stopped", "started")


class Ending(Upkeep):
    """The part of a node that watches over machines' ends."""

    def _adopt(self, live: LiveSandbox) -> None:
        self._live[live.machine.id] = live
        live.beginners = self._beginners
        live.heard = partial(self._guest_tells, live.machine.id)
        live.standing.watched = live.machine.id in self._watched
        if live.uid is not None:
            self._uids.add(live.uid)
        self._start_soon(self._watch(live), f"watch {live.machine.id}")

    def _guest_tells(self, sandbox_id: str, event: dict[str, Any]) -> None:
        """That its desktop session ended or began anew, with all windows: who finds them gone shall learn why."""
        if event["event"] == "session" and event.get("state") in _SESSION_STATES:
            self._start_soon(self._note_session(sandbox_id, event["state"]), f"note {sandbox_id}")

    async def _note_session(self, sandbox_id: str, state: str) -> None:
        with contextlib.suppress(NotFoundError):
            await self.store.note(sandbox_id, "session", {"state": state}, now=time.time())

    async def _watch(self, live: LiveSandbox) -> None:
        """Note the end of a machine that nobody asked to end."""
        await live.machine.process.wait()
        async with self._end_lock(live.machine.id):
            if self._live.get(live.machine.id) is live:
                await self._bury(live, dead_reason(live.machine))

    async def _bury(self, live: LiveSandbox, reason: str) -> None:
        sandbox_id = live.machine.id
        await self._put_away(live)
        with contextlib.suppress(ConflictError, NotFoundError):
            await self.store.move(sandbox_id, SandboxEvent.DIED, now=time.time(), reason=reason)
        self.tell(sandbox_id, NodeNews.ENDED, reason)
        log.info("%s = dead: %s", sandbox_id, reason)

    async def _put_away(self, live: LiveSandbox) -> None:
        """End its machine, and let go of all that was the machine's; its record is another matter."""
        sandbox_id = live.machine.id
        live.leaving = True
        await live.kill()
        self.networks.remove(sandbox_id)
        if self._live.get(sandbox_id) is live:
            del self._live[sandbox_id]
        if live.uid is not None:
            self._uids.discard(live.uid)
        self._clean(sandbox_id)

    def _clean(self, sandbox_id: str) -> None:
        """Remove what is large; logs stay for `why` until the record goes."""
        clear(self.hypervisor, sandbox_id, self._directory(sandbox_id))

    async def kill(self, sandbox_id: str) -> None:
        """End a sandbox and forget it."""
        record = await self.store.get(sandbox_id)
        await self._end(sandbox_id, "killed by its owner")
        await self.store.remove(sandbox_id)
        await self._forget_pause(record.snapshot)
        await asyncio.to_thread(shutil.rmtree, self._directory(sandbox_id), True)

    async def _end(self, sandbox_id: str, reason: str, *, due: float | None = None) -> None:
        """`due`: because its time was over then; nothing where it was given more meanwhile."""
        async with self._end_lock(sandbox_id):
            record = await self.store.get(sandbox_id)
            if record.state is SandboxState.DEAD or (due is not None and record.expires_at != due):
                return
            if record.state is SandboxState.CREATING:
                raise ConflictError(f"{sandbox_id} is being created", hint="wait until it runs, then kill it")
            await self.store.move(sandbox_id, SandboxEvent.KILL, now=time.time(), reason=reason)
            live = self._live.get(sandbox_id)
            if live is not None:
                await self._bury(live, reason)
            else:
                await self.store.move(sandbox_id, SandboxEvent.DIED, now=time.time(), reason=reason)

    async def kill_all(self) -> None:
        """End every running sandbox."""
        for sandbox_id in list(self._live):
            with contextlib.suppress(DesktopSandboxError):
                await self.kill(sandbox_id)

    async def _give_up(self, sandbox_id: str, error: BaseException, live: LiveSandbox | None = None) -> None:
        """A sandbox that was not created: nothing of it is left but its record and logs."""
        async with self._end_lock(sandbox_id):
            if live is not None:
                await self._put_away(live)
            self._clean(sandbox_id)
            reason = error.message if isinstance(error, DesktopSandboxError) else type(error).__name__
            reason = f"not created: {reason}"
            for event in (SandboxEvent.FAILED, SandboxEvent.DIED):  # its caller may have left just as it came to run
                with contextlib.suppress(DesktopSandboxError):
                    await self.store.move(sandbox_id, event, now=time.time(), reason=reason)
                    break
        log.warning("%s x %s", sandbox_id, reason)
