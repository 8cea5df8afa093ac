"""A machine and the connection to its agent: asks, keeps silent for a checkpoint, stands still in memory and wakes.

Every question passes through `guest`, which wakes a frozen machine first; so nothing is ever said to one that stands
still. Decides nothing: when to freeze is `freezing`'s matter, life and death the node's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from desktop_sandbox.errors import CapacityError, ChannelError, ConflictError, DesktopSandboxError
from desktop_sandbox.microvm.channel import AgentChannel
from desktop_sandbox.microvm.guest import Guest, Identity
from desktop_sandbox.microvm.machine import Machine
from desktop_sandbox.microvm.standing import Beginners, Standing

log = logging.getLogger("desktop_sandbox.node")

T = TypeVar("T")
CONNECT_S = 15.0
_QUIESCE_S = 3.0
_ACTS_MS = 1000
"""Among many children that wake at once a first action takes longer than alone."""
NOTHING = "nothing"


def has_left(name: str) -> ConflictError:
    """What to say where the machine went before anything of what was asked was done."""
    text = f"{name} was paused, replaced or ended meanwhile"
    return ConflictError(text, hint="look at it, then try again", done=NOTHING)


class Attachment:
    """A machine and its agent."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.standing = Standing(machine.process.identity)
        """Who waits for it, beyond those who ask its agent."""
        self.beginners: Beginners | None = None
        """Passed to be told who it is: few do that at once."""
        self.heard: Callable[[dict[str, Any]], None] | None = None
        """Gets what its agent tells by itself; the guest's words, to be taken as such."""
        self.uid: int | None = None
        self.origin = ""
        """Folder of the template whose RAM it maps."""
        self.wakes_as: Identity | None = None
        """Who it is told to be before anything else is asked of it: it was restored without that so far, or a server
        before this one may have ended before it said so, or while the user's programs stood still for a checkpoint."""
        self.saving = asyncio.Lock()
        self.from_template = False
        """Whether it began from its template, rather than from a snapshot."""
        self.untouched = False
        """Whether nobody asked anything of its agent since it was restored."""
        self.stays = False
        """Whether it could not be resumed if it were put away: it was started under another QEMU or version."""
        self.freeze_after_s: float | None = None
        """After so long without use it may stand still; 0: never; None: nobody looked it up yet."""
        self.frozen = False
        """Whether its vCPUs stand still in memory because nobody needs them."""
        self.held_at: float | None = None
        """Since when they do only because memory was short, though its programs may work (monotonic)."""
        self.rested = False
        """Whether it ever stood still because nobody needed it."""
        self.used_at = time.monotonic()
        self.runs_since: float | None = None
        """When its vCPUs began to run (monotonic), if this server saw it; without `stood_still_s` it ran since."""
        self.stood_still_s = 0.0
        self.traffic = 0
        """How much had passed over its network when somebody looked last."""
        self.seen_from_outside = False
        """Whether a program on this host reads its screen by itself: nobody knows when."""
        self.leaving = False
        """Whether its machine is saved and ended, or replaced, right now: what is asked meanwhile waits for that."""
        self.disk_full = False
        """Whether QEMU holds it because the host's disk is full (see `full_disk`)."""
        self._looking = False
        self.asked_still = False
        """Whether it stands still because somebody asked for that: only a call wakes it."""
        self._braked = False
        self._stopped_at = 0.0
        self._clock_late = False
        self._channel: AgentChannel | None = None
        self._connecting = asyncio.Lock()
        self._ended = False
        self._acting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.machine.id}{' frozen' if self.frozen else ''}>"

    async def guest(self, deadline_s: float = CONNECT_S, *, by_itself: bool = False, acts: bool = False) -> Guest:
        """The agent, connected; a broken connection is made again, a frozen machine wakes.

        `by_itself`: nobody asked for this; it does not count as use. `acts`: an action follows at once, for which no
        program is needed.

        Raises ChannelError or DeadlineError, ConflictError where the machine was ended meanwhile.
        """
        if by_itself:
            return await self._guest(deadline_s)
        self.used_at = time.monotonic()
        self.untouched = False
        with self.standing.awaited():
            return await self._guest(deadline_s, acts=acts)

    async def _guest(self, deadline_s: float, *, acts: bool = False) -> Guest:
        if not self._ended:
            self.release_brake()  # before who looks at it meanwhile waits for an answer
        async with self._connecting, self._turn():
            # its successor's machine listens at the same paths
            self._check_not_ended()
            self.check_writes()
            self.release_brake()
            if self.frozen:
                await self._wake()
            if self._channel is None or self._channel.closed:
                if self._channel is not None:
                    await self._channel.aclose()
                self._channel = await AgentChannel.connect(
                    *self.machine.port_paths(),
                    timeout_s=deadline_s,
                    on_event=self._tells,
                    on_awaited=self._is_awaited,
                )
                if self._ended:
                    await self._channel.aclose()
                    self._check_not_ended()
            guest = Guest(self._channel)
            if self.wakes_as is not None:
                within = _ACTS_MS if acts else None
                await guest.set_identity(self.wakes_as, thaw=True, thaw_within_ms=within)
                self.wakes_as, self._clock_late = None, False
            elif self._clock_late:
                self._clock_late = False
                guest.set_clock_first()
            return guest

    def _turn(self) -> contextlib.AbstractAsyncContextManager[None]:
        if self.wakes_as is None or self.beginners is None:
            return contextlib.nullcontext()
        return self.beginners.turn()

    def _tells(self, event: dict[str, Any]) -> None:
        if self.heard is not None:
            self.heard(event)

    def _is_awaited(self, awaited: bool) -> None:
        self.standing.begin() if awaited else self.standing.end()

    def _check_stays(self) -> None:
        if self.leaving:
            raise has_left(self.machine.id)
        self._check_not_ended()

    def _check_not_ended(self) -> None:
        if self._ended:
            raise has_left(self.machine.id)

    def check_writes(self) -> None:
        """Raise CapacityError where it stands still because the disk of its host is full."""
        if self.disk_full:
            raise CapacityError(
                f"{self.machine.id} stands still: its host's disk is full, and it has something to write",
                hint="free some disk; it goes on by itself a few seconds later",
                short="disk",
            )

    async def look_at_disk(self, has_room: Callable[[], bool]) -> None:
        """Set `disk_full` to whether QEMU holds it because its disk cannot be written; with room it goes on."""
        if self._braked:
            return  # its QEMU would not answer
        async with self._connecting:  # while it is saved its vCPUs must stand still, whatever QEMU says of its state
            if self._braked or self._ended or self.saving.locked():
                return
            self._looking = True
            try:
                held = await self.machine.status() == "io-error"
                if held and has_room():
                    await self.machine.resume()
                    self._goes()
                    self._clock_late = True
                    held = False
            finally:
                self._looking = False
            self.disk_full = held

    async def ask(self, question: Callable[[Guest], Awaitable[T]], *, acts: bool = False) -> T:
        """Ask the agent; once more if the connection broke on the way. For questions that may be asked twice."""
        try:
            return await question(await self.guest(acts=acts))
        except ChannelError:
            try:
                return await question(await self.guest())
            except ConflictError as error:
                error.evidence.pop("done", None)  # who knows
                raise

    # --- standing still

    @property
    def busy(self) -> bool:
        """Whether somebody asks something of it right now, or it is being saved."""
        asked = self._channel is not None and self._channel.busy
        connecting = self._connecting.locked() and not self._looking
        return asked or connecting or self._acting.locked() or self.saving.locked()

    def brake(self) -> None:
        """Stop its whole process this instant; the next call, or `freeze`, ends that."""
        self._braked = True
        self.machine.process.stop()

    def release_brake(self) -> None:
        """Let its process go on, should the brake be on."""
        if self._braked:
            self._braked = False
            self.machine.process.go_on()

    def _stand_aside(self, beginners: Beginners) -> None:
        needed = self._is_asked() or self._connecting.locked() or self.standing.watched or self.seen_from_outside
        if not (self._ended or needed):
            self.brake()
            beginners.stand_aside(self.release_brake)

    async def freeze(self, since: float, *, hold: bool = False) -> bool:
        """Stop the vCPUs in memory, unless it is watched or was used after `since` (monotonic).

        Returns whether they stand still. `hold`: only because memory is short. MachineError if that fails; they then go
        on.
        """
        if not self._ended:
            self.release_brake()
        async with self._connecting:
            self.release_brake()
            at_work = self._acting.locked() or self.saving.locked() or self._is_asked()
            if self._ended or self.frozen or self.disk_full or at_work:
                return self.frozen
            if self.used_at > since or self.standing.watched:
                return False
            try:
                with self.standing.awaited():  # among many that are nice it would take seconds
                    await self.machine.stop()
            except BaseException:
                # QEMU may do it yet, though nobody waits for it any more
                self._stands(hold=hold)
                with contextlib.suppress(DesktopSandboxError):
                    await asyncio.shield(self._wake())
                raise
            self._stands(hold=hold)
            if (
                self._is_asked() or self.standing.watched
            ):  # by somebody who had the agent in hand already, or came just now
                await self._wake()
            self.rested = self.rested or (self.frozen and not hold)
            return self.frozen

    def _stands(self, *, hold: bool = False) -> None:
        self.frozen, self._stopped_at = True, time.monotonic()
        self.held_at = self._stopped_at if hold else None

    @property
    def has_just_begun(self) -> bool:
        """Whether it may be in the midst of what all programs do when they wake after a restore: it never came to rest.

        Its age says nothing of that: among many it hardly gets to it.
        """
        return not self.rested

    @property
    def stands_still(self) -> bool:
        """Whether its vCPUs do, or the user's programs in it until it is told who it is."""
        return self.frozen or self.wakes_as is not None

    async def thaw(self) -> None:
        """Wake it, with the right time. Nothing where it is awake and knows who it is."""
        if self.stands_still:
            await self.guest()

    async def sleep(self, wakes_as: Identity) -> None:
        """Stand still from the beginning, without an identity yet: the first call gives it that, and wakes it."""
        self.wakes_as = wakes_as
        async with self._connecting:
            await self.machine.stop()
            self._stands()

    def _is_asked(self) -> bool:
        return self._channel is not None and self._channel.busy

    async def _wake(self) -> None:
        await self.machine.resume()
        self._goes()

    def _goes(self) -> None:
        if self.frozen:
            self.stood_still_s += time.monotonic() - self._stopped_at
            self._clock_late = True
        self.frozen, self.held_at, self.asked_still = False, None, False

    # --- checkpoint

    @contextlib.asynccontextmanager
    async def quiet(self, *, for_good: bool = False) -> AsyncIterator[bool]:
        """No batch runs, the disk is written out and the user's programs stand still inside the block.

        False where the guest was not ready for that in time. Everything goes on at the end; with `for_good` only where
        the block fails.
        """
        with self.standing.awaited():
            async with self._still(for_good=for_good) as quiesced:
                yield quiesced

    @contextlib.asynccontextmanager
    async def _still(self, *, for_good: bool) -> AsyncIterator[bool]:
        async with self._acting:
            self.leaving = self.leaving or for_good
            try:
                quiesced = await self._quiesce()
                async with self._silence():
                    yield quiesced
            except BaseException:
                self.leaving = self.leaving and not for_good
                await asyncio.shield(self.go_on())
                raise
            if not for_good:
                await asyncio.shield(self.go_on())

    async def go_on(self) -> None:
        """Let the vCPUs and the user's programs run, should they stand still."""
        with contextlib.suppress(DesktopSandboxError):
            await self.machine.resume()
            self._goes()
        self._clock_late = True  # it stood still with the vCPUs
        with contextlib.suppress(DesktopSandboxError):
            await self.ask(lambda guest: guest.thaw())

    @contextlib.asynccontextmanager
    async def _silence(self) -> AsyncIterator[None]:
        """Nothing is said to the guest inside the block."""
        async with self._connecting:
            if self._channel is None or self._channel.closed:
                yield
            else:
                async with self._channel.silence():
                    yield

    async def _quiesce(self) -> bool:
        with contextlib.suppress(DesktopSandboxError, TimeoutError):
            async with asyncio.timeout(_QUIESCE_S + 1):
                return await (await self.guest()).quiesce(freeze=True, deadline_ms=int(_QUIESCE_S * 1000))
        return False

    # --- end

    async def detach(self) -> None:
        """Let go; the machine runs on."""
        self.release_brake()
        await self._release()
        await self.machine.detach()

    async def kill(self) -> None:
        """End the machine and verify it."""
        self.standing.begin()  # to end takes processor time, too
        await self._release()
        await self.machine.kill()

    async def _release(self) -> None:
        self._ended = True
        self.standing.close()
        if self._channel is not None:
            await self._channel.aclose()
            self._channel = None

    async def describe(self) -> dict[str, Any]:
        """What the agent says of its machine, or why it says nothing. A frozen one is left alone."""
        if self.frozen:
            return {"frozen": True}
        try:
            async with asyncio.timeout(3):
                return await (await self.guest(2)).info(2)
        except (DesktopSandboxError, TimeoutError) as error:
            return {"error": str(error) or "no answer within 3 s"}
