"""Freeze what nobody needs: stop the vCPUs of desktops that are idle and unwatched; the next call wakes them.

`idleness` decides; this watches all of them from outside, once a second, looks into one guest at a time, and acts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from desktop_sandbox.errors import ConflictError, DesktopSandboxError
from desktop_sandbox.microvm.host import process_cpu_seconds
from desktop_sandbox.node.facts import SandboxInfo
from desktop_sandbox.node.idleness import (
    LOOK,
    MAX_LOOK_BYTES,
    MAX_YOUNG,
    UNSEEN,
    Idleness,
    Program,
    Programs,
    closer,
    parse_closer,
    parse_programs,
    seen,
)
from desktop_sandbox.node.live import LiveSandbox
from desktop_sandbox.node.saving import Saving
from desktop_sandbox.snapshots.snapshot import booted_fit

log = logging.getLogger("desktop_sandbox.node")

_TICK_S = 1.0
_LOOK_S = 20.0


@dataclass
class Queue:
    """Desktops that are to be looked into, and the one that is."""

    wanted: dict[LiveSandbox, Idleness] = field(default_factory=dict)
    at: LiveSandbox | None = None


class Freezing(Saving):
    """The part of a node that lets idle machines stand still."""

    def watched(self, sandbox_ids: Collection[str]) -> None:
        """These, and no others, are watched or recorded now: they do not stand still."""
        self._watched = frozenset(sandbox_ids)
        for sandbox_id, live in self._live.items():
            live.standing.watched = sandbox_id in self._watched
            if live.standing.watched:
                live.release_brake()
            if live.standing.watched and live.stands_still:
                self._start_soon(live.thaw(), f"thaw {sandbox_id}")

    async def freeze(self, sandbox_id: str) -> SandboxInfo:
        """Let a running sandbox stand still in memory at once, whatever works in it; the next call wakes it.

        Raises ConflictError while somebody watches it or waits for it.
        """
        live = await self.live(sandbox_id, resume=False)
        await self._freeze_after_s(live)
        if not await live.freeze(time.monotonic()):
            why = "is watched or recorded" if live.standing.watched else "is in use"
            raise ConflictError(f"{sandbox_id} {why}, and does not stand still", hint="try again when it is not")
        if live.frozen:
            live.asked_still, live.held_at = True, None
        return await self.get(sandbox_id)

    async def thaw(self, sandbox_id: str) -> SandboxInfo:
        """Wake a sandbox that stands still; of one that is awake nothing changes."""
        await (await self.live(sandbox_id)).thaw()
        return await self.get(sandbox_id)

    @abstractmethod
    async def get(self, sandbox_id: str) -> SandboxInfo:
        """What is known of a sandbox."""

    async def _keep_still(self) -> None:
        """Until cancelled."""
        quiet: WeakKeyDictionary[LiveSandbox, Idleness] = WeakKeyDictionary()
        queue = Queue()
        looks = asyncio.create_task(self._look_in_turn(queue))
        try:
            while True:
                await asyncio.sleep(_TICK_S)
                for live in list(self._live.values()):
                    if live is queue.at:
                        continue
                    # who waits for a look is still watched from outside: it may begin to work meanwhile
                    queue.wanted.pop(live, None)
                    with self._not_for_this_one(live):
                        idle = await self._consider(live, quiet)
                        if idle is not None and self._is_as_made(live):
                            await self._freeze(live, idle)
                        elif idle is not None:
                            queue.wanted[live] = idle
        finally:
            looks.cancel()

    async def _look_in_turn(self, queue: Queue) -> None:
        """Look into those guests, one after another. A look takes a part of a second, and among many far longer."""
        while True:
            await asyncio.sleep(_TICK_S / 4)
            while queue.wanted:
                live, idle = max(queue.wanted.items(), key=lambda item: -item[1].since)
                del queue.wanted[live]
                queue.at = live
                with self._not_for_this_one(live):
                    if not live.frozen and live.used_at <= idle.since and not live.busy:
                        young = await self._young(live)
                        if idle.found(time.monotonic(), young):
                            await self._freeze(live, idle)
                queue.at = None

    @contextlib.contextmanager
    def _not_for_this_one(self, live: LiveSandbox) -> Iterator[None]:
        """What goes wrong with one keeps no other awake."""
        try:
            yield
        except DesktopSandboxError as error:
            log.debug("%s is not looked into: %s", live.machine.id, error.message)
        except Exception:
            log.exception("%s x freezing", live.machine.id)

    def _is_as_made(self, live: LiveSandbox) -> bool:
        """Whether nobody asked anything of it since it was restored from its template, nor it of anybody.

        Then nobody started anything there. Its browser may look up names by itself.
        """
        return live.from_template and live.untouched and not self.networks.connected(live.machine.id)

    async def _freeze(self, live: LiveSandbox, idle: Idleness) -> None:
        if live.used_at <= idle.since and live.machine.id not in self._watched and await live.freeze(idle.since):
            log.debug("%s = frozen", live.machine.id)

    async def _consider(self, live: LiveSandbox, quiet: WeakKeyDictionary[LiveSandbox, Idleness]) -> Idleness | None:
        """Its idleness, if it was quiet for long enough to be looked into."""
        if not live.machine.process.alive():
            return None
        traffic = self.networks.traffic(live.machine.id)
        moved, live.traffic = traffic != live.traffic, traffic
        if live.frozen:
            quiet.pop(live, None)  # what it did before says nothing of what it does when it goes on
            if moved and live.held_at is None and not live.asked_still:  # something came for it, and waits
                await live.guest(by_itself=True)
            return None
        freeze_after_s = await self._freeze_after_s(live)
        if freeze_after_s <= 0:
            return None
        now = time.monotonic()
        idle = quiet.setdefault(live, Idleness(freeze_after_s, now))
        if live.busy or moved or live.machine.id in self._watched:
            idle.disturbed(now)
        elif live.used_at > idle.since:
            idle.disturbed(live.used_at)
        idle.sample(now, process_cpu_seconds(live.machine.process.pid))
        return idle if idle.wants_look(now) else None

    async def _young(self, live: LiveSandbox) -> dict[int, Program]:
        """What was started in the guest since its template was made, seen closely."""
        printed = await ask_in(live, LOOK)
        programs = parse_programs(printed)
        if not programs.uptime_s or len(printed) >= MAX_LOOK_BYTES:
            return {0: UNSEEN}  # nothing is known of a guest that did not say it all
        young = programs.young(await self._template_uptime_s(live, programs))
        if not young:
            return {}
        if len(young) > MAX_YOUNG:
            return seen(young, {})
        return seen(young, parse_closer(await ask_in(live, closer(young))))

    async def _template_uptime_s(self, live: LiveSandbox, programs: Programs) -> float:
        """How long the template's machine had been up when it was saved: what is older was part of the template.

        Templates that do not say so are learned from their own children; until then 0, so that all counts as young.
        """
        if booted_fit(live.machine.directory) is not None:
            return 0.0  # nothing in it runs since its template was made
        known = self._template_uptimes.get(live.origin)
        if known is None:
            template = await asyncio.to_thread(self._template_below, live)
            known = template.manifest.uptime_s
            if known is None and live.from_template and live.runs_since is not None:
                known = programs.uptime_s - (time.monotonic() - live.runs_since - live.stood_still_s)
            if known is not None:
                self._template_uptimes[live.origin] = known
        return known or 0.0


async def ask_in(live: LiveSandbox, command: Sequence[str]) -> str:
    """What a command of root's prints in the guest. ChannelError, DeadlineError and others without an answer."""
    channel = (await live.guest(by_itself=True)).channel
    text = bytearray()
    params = {"command": list(command), "user": "root"}
    async with channel.stream("command.run", params, timeout_s=_LOOK_S) as stream:
        async for _, data in stream:
            text += data[: MAX_LOOK_BYTES - len(text)]
        await stream.result()
    return text.decode(errors="replace")
