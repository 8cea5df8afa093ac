"""A batch on its way: checked first, one deadline for all of it, and what was done is told however it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from actions.model import Action, Click, CursorPosition, Screenshot, Type, Wait
from desktop_sandbox.errors import (
    ConflictError,
    DeadlineError,
    GuestError,
    InvalidActionError,
    InvalidRequestError,
    MachineError,
)
from desktop_sandbox.node.acting import carry_out
from desktop_sandbox.node.facts import BatchResult, ScreenshotSpec
from desktop_sandbox.node.facts import Screenshot as Picture
from desktop_sandbox.node.halt import Halt
from desktop_sandbox.node.live import LiveSandbox

PICTURE = Picture(b"p", "image/png", 1, 1, None)
Answer = Callable[["Exchange"], Any]


class Exchange:
    """One batch in the guest: types a character each 10 ms until it is cancelled."""

    def __init__(self, actions: list[dict[str, Any]]) -> None:
        self.actions = actions
        self.cancelled = asyncio.Event()
        self.results: list[dict[str, Any]] = []
        self.typed = 0

    async def result(self) -> dict[str, Any]:
        for index, action in enumerate(self.actions[len(self.results) :], len(self.results)):
            length = len(action.get("text", ""))
            while self.typed < length:
                if self.cancelled.is_set():
                    failed = {
                        "index": index,
                        "code": "cancelled",
                        "message": f"typing was cancelled after {self.typed} characters",
                        "hint": None,
                        "partial": {"typed": self.typed},
                    }
                    told = {"results": self.results, "failed": failed}
                    raise GuestError("the batch was cancelled", code="cancelled", detail=told)
                await asyncio.sleep(0.01)
                self.typed += 1
            self.results.append({"typed": length} if length else {})
        return {"results": self.results, "failed": None}


class Desk:
    """A desktop and the channel to its agent. `says` answers instead of the agent, once."""

    def __init__(self, *, picture_s: float = 0.0, says: Answer | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.timeouts: list[float] = []
        self.picture_s = picture_s
        self.fails: Exception | None = None
        self.says = says

    async def size(self) -> tuple[int, int]:
        return 1280, 800

    async def ask(self, question: Callable[[Any], Any], *, acts: bool = False) -> Any:
        return await question(SimpleNamespace(channel=self))

    async def screenshot(self, spec: ScreenshotSpec) -> Picture:
        await asyncio.sleep(self.picture_s)
        if self.fails is not None:
            raise self.fails
        return PICTURE

    @asynccontextmanager
    async def stream(self, op: str, params: dict[str, Any], *, timeout_s: float, port: str) -> AsyncIterator[Any]:
        self.asked.append(params)
        self.timeouts.append(timeout_s)
        exchange = Exchange(params["actions"])
        if self.says is not None and len(self.asked) > 1:
            says = self.says

            async def result() -> Any:
                return await says(exchange)

            exchange.result = result  # type: ignore[method-assign]
        yield exchange

    def cancel(self, exchange: Exchange) -> None:
        exchange.cancelled.set()


async def done(
    desk: Desk,
    *actions: Action,
    final: ScreenshotSpec | None = None,
    timeout_s: float | None = None,
    halt: Halt | None = None,
) -> BatchResult:
    return await carry_out(desk, actions, "b", final, timeout_s, halt or Halt())  # type: ignore[arg-type]


CLICK = Click(1, 1)
LONG = Type("x" * 1000)


@pytest.mark.parametrize(
    "final",
    [ScreenshotSpec(region=(0, 0, 5000, 5000)), ScreenshotSpec(region=(1279, 0, 2, 1)), ScreenshotSpec(stable_ms=6000)],
)
async def test_a_picture_that_cannot_be_is_refused_before_anything_is_done(final: ScreenshotSpec) -> None:
    desk = Desk()
    with pytest.raises(InvalidRequestError):
        await done(desk, CLICK, final=final)
    with pytest.raises(InvalidActionError):
        await done(desk, CLICK, Click(1280, 0))
    assert desk.asked == []


@pytest.mark.parametrize(
    "error", [InvalidRequestError("outside"), MachineError("gone"), ConflictError("x", done="nothing")]
)
async def test_a_picture_at_the_end_that_fails_hides_nothing(error: Exception) -> None:
    desk = Desk()
    desk.fails = error
    result = await done(desk, CLICK, CursorPosition(), final=ScreenshotSpec())
    assert (result.results, result.final) == ([{}, {}], None)
    assert result.failed is not None
    assert (result.failed["index"], result.failed["code"]) == (None, error.slug)  # type: ignore[attr-defined]


async def test_all_parts_share_one_deadline() -> None:
    desk = Desk(picture_s=0.2)
    result = await done(desk, CLICK, Screenshot(), CLICK, Screenshot(), CLICK, timeout_s=5)
    assert result.failed is None
    assert desk.timeouts[0] - desk.timeouts[1] >= 0.2
    assert desk.timeouts[1] - desk.timeouts[2] >= 0.2
    began = time.monotonic()
    with pytest.raises(DeadlineError) as caught:
        await done(desk, CLICK, Screenshot(), CLICK, Screenshot(), CLICK, timeout_s=0.3)
    assert time.monotonic() - began < 2
    evidence = caught.value.evidence
    assert (evidence["index"], evidence["results"], evidence["screenshots"]) == (3, [{}, {}, {}], {1: PICTURE})


async def test_a_deadline_in_a_later_part_says_what_was_done_of_the_whole_batch() -> None:
    desk = Desk()
    with pytest.raises(DeadlineError, match=r"after \d+ characters: the batch took longer than 0.3 s") as caught:
        await done(desk, CLICK, Screenshot(), CLICK, LONG, CLICK, timeout_s=0.3, final=ScreenshotSpec())
    evidence: dict[str, Any] = caught.value.evidence
    assert (evidence["index"], evidence["code"]) == (3, "deadline")
    assert evidence["results"] == [{}, {}, {}]
    assert evidence["screenshots"] == {1: PICTURE}
    assert evidence["screenshot"] is PICTURE
    assert 0 < evidence["partial"]["typed"] < 1000


async def test_a_guest_whose_x_server_hangs_is_told_with_the_whole_batchs_index() -> None:
    async def hangs(exchange: Exchange) -> Any:
        raise DeadlineError("the X server has not answered for 15 s", code="deadline", detail={"index": 1})

    with pytest.raises(DeadlineError) as caught:
        await done(Desk(says=hangs), CLICK, Screenshot(), CLICK, CLICK, CLICK)
    evidence = caught.value.evidence
    assert (evidence["index"], evidence["results"]) == (3, [{}, {}, {}])


async def test_a_guest_that_says_nothing_at_the_deadline_costs_nothing_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def silent(exchange: Exchange) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr("desktop_sandbox.node.acting._STOPS_S", {"control": -0.9, "input": -0.9})
    with pytest.raises(DeadlineError, match="not known") as caught:
        await done(Desk(says=silent), CLICK, Screenshot(), LONG, timeout_s=0.2)
    assert (caught.value.evidence["index"], caught.value.evidence["results"]) == (2, [{}, {}])


@pytest.mark.parametrize("error", [InvalidRequestError("too much at once"), GuestError("nonsense")])
async def test_what_cannot_be_asked_later_on_hides_nothing(error: Exception) -> None:
    async def refused(exchange: Exchange) -> Any:
        raise error

    result = await done(Desk(says=refused), CLICK, Screenshot(), LONG)
    assert result.failed is not None
    assert (result.failed["index"], result.results, result.screenshots) == (2, [{}, {}], {1: PICTURE})


async def halted(halt: Halt, desk: Desk, *actions: Action, after: int = 1, **more: Any) -> BatchResult:
    async with asyncio.TaskGroup() as tasks:
        acting = tasks.create_task(done(desk, *actions, halt=halt, **more))
        while len(desk.asked) < after:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        halt.ask()
    return acting.result()


async def test_what_is_halted_says_how_far_it_came() -> None:
    desk = Desk()
    result = await halted(Halt(), desk, CLICK, Screenshot(), LONG, CLICK, after=2, final=ScreenshotSpec())
    assert result.failed is not None
    assert (result.failed["index"], result.failed["code"]) == (2, "cancelled")
    assert 0 < result.failed["partial"]["typed"] < 1000
    assert (result.results, result.screenshots, result.final) == ([{}, {}], {1: PICTURE}, None)
    assert len(desk.asked) == 2


async def test_a_halt_ends_pictures_and_what_has_not_begun() -> None:
    result = await halted(Halt(), Desk(picture_s=60), CLICK, Screenshot(), CLICK)
    assert result.failed is not None
    assert (result.failed["index"], result.failed["code"], result.results) == (1, "cancelled", [{}])
    result = await halted(Halt(), Desk(picture_s=60), CLICK, final=ScreenshotSpec())
    assert result.failed is not None
    assert (result.failed["index"], result.failed["code"], result.results) == (None, "cancelled", [{}])
    early, desk = Halt(), Desk()
    early.ask()
    result = await done(desk, CLICK, halt=early, final=ScreenshotSpec())
    assert result.failed is not None
    assert (result.failed["index"], result.results, desk.asked) == (0, [], [])


async def test_a_halt_that_comes_too_late_changes_nothing() -> None:
    halt = Halt()
    result = await done(Desk(), CLICK, halt=halt)
    halt.ask()
    assert result == BatchResult([{}], None, {})


async def test_a_batch_that_waits_for_its_turn_can_be_halted() -> None:
    live, halt = object.__new__(LiveSandbox), Halt()
    live._acting = asyncio.Lock()
    async with live._acting, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(live._act([Wait(1)], "b", None, None, halt))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        halt.ask()
        result = await waiting
    assert result.failed is not None
    assert (result.failed["code"], result.results) == ("cancelled", [])
    assert not live._acting.locked()
