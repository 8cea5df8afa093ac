"""Carries out one batch of actions: the guest's parts and the host's pictures in order, by one deadline.

Stops at the first failure, at the deadline, and when it is halted; what was done by then is always told. Whose turn it
is, is not its matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from actions.model import Action, to_wire
from actions.validate import ActionValueError, check_on_screen
from desktop_sandbox.errors import (
    CapacityError,
    ConflictError,
    DeadlineError,
    DesktopSandboxError,
    GuestError,
    InvalidActionError,
    InvalidRequestError,
)
from desktop_sandbox.node.batches import (
    CANCELLED,
    DEADLINE,
    GuestPart,
    PicturePart,
    believable,
    broken_off,
    cut,
    failure,
    is_one_touch,
    is_quick,
    patience_s,
    stopped,
)
from desktop_sandbox.node.facts import BatchResult, Screenshot, ScreenshotSpec
from desktop_sandbox.screen.regions import check_inside
from desktop_sandbox.screen.screenshot import check

if TYPE_CHECKING:
    from desktop_sandbox.microvm.channel import AgentChannel
    from desktop_sandbox.microvm.channel_exchange import Exchange
    from desktop_sandbox.microvm.guest import Guest
    from desktop_sandbox.node.halt import Halt

T = TypeVar("T")
# so long a guest may take to say what it did of a batch that it was made to stop; on the input port it cannot stop
_STOPS_S = {"control": 3.0, "input": 0.5}
# an agent that gets a CANCEL together with its request finds no batch to stop yet
_BEGINS_S = 0.1
_LOOK = "look at the screen before you go on"


class Desk(Protocol):
    """What a batch needs of its desktop."""

    async def size(self) -> tuple[int, int]:
        """Width and height of the screen, in pixels."""
        ...

    async def ask(self, question: Callable[[Guest], Awaitable[T]], *, acts: bool = False) -> T:
        """Ask the agent; once more if the connection broke on the way."""
        ...

    async def screenshot(self, spec: ScreenshotSpec) -> Screenshot:
        """The screen as `spec` wants it."""
        ...


async def carry_out(
    desk: Desk,
    actions: Sequence[Action],
    batch_id: str,
    final: ScreenshotSpec | None,
    timeout_s: float | None,
    halt: Halt,
) -> BatchResult:
    """Do it all, `timeout_s` seconds at most (None: as long as such a batch may take), then take the final picture.

    Raises InvalidActionError and InvalidRequestError before anything is done, for what does not fit the screen, and
    DeadlineError, whose evidence has `index`, `code`, `partial`, `results`, `screenshots` and `screenshot`.
    """
    await _check(desk, actions, final)
    batch = _Batch(desk, batch_id, patience_s(actions) if timeout_s is None else timeout_s, halt)
    for part in cut(actions):
        await batch.do(part)
        if batch.failed is not None:
            break
    picture = None if final is None else await batch.last_picture(final)
    failed = batch.failed
    if failed is not None and failed["code"] == DEADLINE:
        raise DeadlineError(
            failed["message"],
            hint=failed["hint"],
            index=failed["index"],
            code=DEADLINE,
            partial=failed["partial"],
            results=batch.results,
            screenshots=batch.pictures,
            screenshot=picture,
        )
    return BatchResult(batch.results, failed, batch.pictures, picture)


async def _check(desk: Desk, actions: Sequence[Action], final: ScreenshotSpec | None) -> None:
    if final is not None:
        check(final)
    size = await desk.size()
    try:
        check_on_screen(actions, *size)
    except ActionValueError as error:
        raise InvalidActionError(error.message, hint=error.hint, index=error.index, field=error.field) from error
    if final is not None and final.region is not None:
        check_inside(final.region, *size)


class _Batch:
    """How far it has come. Its time begins when the desktop is there to do the first part."""

    def __init__(self, desk: Desk, batch_id: str, limit_s: float, halt: Halt) -> None:
        self._desk = desk
        self._id = batch_id
        self._limit_s = limit_s
        self._halt = halt
        self._clock = asyncio.get_running_loop().time
        self._until: float | None = None
        self._asked = ""
        self.results: list[Mapping[str, Any]] = []
        self.pictures: dict[int, Screenshot] = {}
        self.failed: dict[str, Any] | None = None

    async def do(self, part: GuestPart | PicturePart) -> None:
        """Do one part, unless it is too late for it."""
        if self._halt.asked or (self._until is not None and self._clock() >= self._until):
            self.failed = self._late(part.first)
        elif isinstance(part, PicturePart):
            await self._look(part)
        else:
            await self._act(part)

    async def last_picture(self, spec: ScreenshotSpec) -> Screenshot | None:
        """The picture at the end; None where it is not to be had, or nobody waits for it any more."""
        if self.failed is not None and self._halt.asked:
            return None
        try:
            async with self._halt.block():
                return await self._desk.screenshot(spec)
        except TimeoutError:
            self.failed = self.failed or stopped(None, CANCELLED, "the batch was cancelled after its last action", None)
        except DesktopSandboxError as error:
            told = f"all of it was done, but the screenshot at the end was not: {error.message}"
            self.failed = self.failed or stopped(None, error.slug, told, error.hint)
        return None

    # --- parts

    async def _look(self, part: PicturePart) -> None:
        try:
            async with self._halt.block(self._deadline()):
                self.pictures[part.first] = await self._desk.screenshot(part.spec)
        except TimeoutError:
            self.failed = self._late(part.first)
        except DesktopSandboxError as error:
            self.failed = stopped(part.first, error.slug, error.message, error.hint)
        else:
            self.results.append({})

    async def _act(self, part: GuestPart) -> None:
        # the agent remembers batches: asked again after a broken connection, it does nothing twice
        params = {"batch_id": f"{self._id}/{part.first}", "actions": [to_wire(action) for action in part.actions]}
        port, count = "input" if is_quick(part.actions) else "control", len(part.actions)
        try:
            answer = await self._desk.ask(
                lambda guest: self._in_guest(guest.channel, params, port, count), acts=is_one_touch(part.actions)
            )
        except ConflictError as error:
            if part.first:
                error.evidence.pop("done", None)
            raise
        except (CapacityError, DeadlineError, GuestError, InvalidRequestError) as error:
            if not part.first:  # nothing was done; what else goes wrong is mended by asking for the batch once more
                raise
            answer = broken_off(error, error.slug, count)
        self.results += answer["results"]
        if answer["failed"] is not None:
            self.failed = failure(part.first, answer["failed"])

    async def _in_guest(self, channel: AgentChannel, params: dict[str, Any], port: str, count: int) -> dict[str, Any]:
        """The guest's answer, at the deadline or a halt as far as it came."""
        until, stops_s = self._deadline(), _STOPS_S[port]
        again, self._asked = self._asked == params["batch_id"], params["batch_id"]
        timeout_s = max(0.0, until - self._clock()) + stops_s
        async with channel.stream("actions.run", params, timeout_s=timeout_s, port=port) as exchange:
            try:
                async with self._halt.block(until):
                    return believable(await exchange.result(), count)
            except TimeoutError:
                if again:
                    await asyncio.sleep(_BEGINS_S)
                channel.cancel(exchange)
                return await self._what_was_done(exchange, stops_s, count)
            except DeadlineError as error:  # X hangs, says the agent
                return broken_off(error, DEADLINE, count)

    async def _what_was_done(self, exchange: Exchange, stops_s: float, count: int) -> dict[str, Any]:
        late = self._late(0)
        try:
            async with asyncio.timeout(stops_s + 1):
                return believable(await exchange.result(), count)
        except (TimeoutError, DeadlineError):
            late["message"] += "; how much of it was done is not known"
            return {"results": [], "failed": late}
        except GuestError as error:
            if error.evidence.get("code") != CANCELLED:
                raise
            answer = broken_off(error, late["code"], count)
        if answer["failed"] is not None and late["code"] == DEADLINE:
            answer["failed"] |= {"message": f"{answer['failed']['message']}: {late['message']}", "hint": late["hint"]}
        return answer

    # --- time

    def _deadline(self) -> float:
        if self._until is None:
            self._until = self._clock() + self._limit_s
        return self._until

    def _late(self, index: int) -> dict[str, Any]:
        if self._halt.asked:
            return stopped(index, CANCELLED, "the batch was cancelled", _LOOK)
        told = f"the batch took longer than {self._limit_s:g} s"
        return stopped(index, DEADLINE, told, "give it a longer timeout, or fewer actions")
