"""Long texts in pieces, how long an answer is waited for, and a caller who leaves: what runs is stopped."""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import anyio
import pytest

from actions.model import Action, Type
from desktop_sandbox import AsyncSandbox, Sandbox, errors
from desktop_sandbox.api.keys import Once
from desktop_sandbox.node.batches import stopped
from desktop_sandbox.node.facts import BatchResult
from desktop_sandbox.node.halt import Halt
from desktop_sandbox.sdk._async import connection as async_connection
from desktop_sandbox.sdk.requests import TEXT_CHUNK, act_wait_s, text_chunks
from tests.live_server import Live


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * TEXT_CHUNK,
        "x" * (TEXT_CHUNK + 1),
        "x" * (TEXT_CHUNK - 1) + "\r\n",
        "x" * (TEXT_CHUNK - 1) + "\r\ny",
        "x" * (TEXT_CHUNK - 2) + "\r\ny",
        "x" * (TEXT_CHUNK - 1) + "\r\r\n",
        "\r\n" * 3 * TEXT_CHUNK,
        "x" + "\r\n" * 3 * TEXT_CHUNK,
    ],
)
def test_pieces_of_a_text_keep_line_ends_whole(text: str) -> None:
    pieces = text_chunks(text)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= TEXT_CHUNK for piece in pieces)
    for piece, following in itertools.pairwise(pieces):
        assert not (piece.endswith("\r") and following.startswith("\n"))
        assert len(piece) >= TEXT_CHUNK - 1


def test_a_long_text_is_typed_as_it_is_written(live: Live) -> None:
    with Sandbox.create() as desktop:
        desktop.write("x" * (TEXT_CHUNK - 1) + "\r\ny")
        acted = live.node.sandboxes[desktop.sandbox_id].acted
        assert acted == [Type("x" * (TEXT_CHUNK - 1)), Type("\r\ny")]


def test_a_failure_counts_from_the_beginning_of_the_text(live: Live) -> None:
    with Sandbox.create() as desktop:
        with pytest.raises(errors.ActionFailedError, match="4098 of the text's 4106 characters") as caught:
            desktop.write("x" * TEXT_CHUNK + "unmappable")
        assert caught.value.evidence["partial"] == {"typed": TEXT_CHUNK + 2}
        with pytest.raises(errors.ActionFailedError) as caught:
            desktop.write("unmappable")
        assert caught.value.evidence["partial"] == {"typed": 2}
        assert "of the text's" not in caught.value.message

        async def person_comes() -> None:
            if live.node.calls.count("act") > 4:
                raise errors.ControlHeldError("Ada drives")

        live.node.before["act"] = person_comes
        with pytest.raises(errors.ControlHeldError, match="at least 4096 of the text's 5000") as held:
            desktop.write("y" * 5000)
        assert held.value.evidence["partial"] == {"typed": TEXT_CHUNK}


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        ({"actions": [{"type": "click"}]}, 600, 700),
        ({"actions": [{"type": "type", "text": "x" * 4096, "delay_ms": 200}]}, 4096 * 0.45 + 45, 2000),
        ({"actions": [{"type": "wait", "duration_ms": 300_000}] * 3}, 945, 1000),
        ({"actions": [], "timeout": 2}, 2, 40),
        ({"actions": [], "timeout": 2, "screenshot": {"deadline": 60_000}}, 62, 100),
        ({"actions": [], "timeout": 2, "screenshot": True, "changes": {"timeout": 500}}, 507, 540),
        ({"actions": [], "timeout": 2, "changes": True, "wait_for_control": 3600}, 3607, 3640),
        ({"actions": [], "screenshot": {"deadline": "x"}}, 600, 700),
    ],
)
def test_an_answer_is_waited_for_as_long_as_it_may_take(body: dict[str, Any], least: float, most: float) -> None:
    assert least < act_wait_s(body) < most


def test_a_slow_text_is_waited_for(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox.create() as desktop:
        waits: list[float] = []
        request = desktop._connection.request

        def noted(*args: Any, **more: Any) -> Any:
            waits.append(more.get("timeout", 0))
            return request(*args, **more)

        monkeypatch.setattr(desktop._connection, "request", noted)
        desktop.write("x" * TEXT_CHUNK, delay_ms=200)
        assert waits[0] > TEXT_CHUNK * 0.2 + 600


class Typing:
    """A node's `act` that types a character each 10 ms until it is halted."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.typed = 0

    async def act(self, sandbox_id: str, actions: Sequence[Action], *, halt: Halt, **more: Any) -> BatchResult:
        self.begun.set()
        try:
            async with halt.block():
                while self.typed < 1500:
                    await asyncio.sleep(0.01)
                    self.typed += 1
        except TimeoutError:
            return BatchResult([], stopped(0, "cancelled", "typing was cancelled", None), {})
        finally:
            self.ended.set()
        return BatchResult([{"typed": self.typed}], None, {})

    def was_stopped(self) -> bool:
        return self.ended.wait(5) and 0 < self.typed < 1500


@pytest.fixture
def typing(live: Live, monkeypatch: pytest.MonkeyPatch) -> Typing:
    typing = Typing()
    monkeypatch.setattr(live.node, "act", typing.act)
    return typing


async def begun(typing: Typing) -> None:
    assert await asyncio.to_thread(typing.begun.wait, 10)
    await asyncio.sleep(0.1)


async def test_a_task_that_is_cancelled_stops_its_batch(typing: Typing) -> None:
    async with await AsyncSandbox.create() as desktop:
        task = asyncio.create_task(desktop.write("x" * 1500))
        await begun(typing)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert typing.ended.is_set()
        assert typing.was_stopped()


async def test_a_time_limit_of_the_caller_stops_the_batch(typing: Typing) -> None:
    async with await AsyncSandbox.create() as desktop:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await desktop.act([{"type": "type", "text": "x"}])
        assert typing.was_stopped()


async def test_a_scope_of_anyio_that_is_left_stops_the_batch(typing: Typing) -> None:
    async with await AsyncSandbox.create() as desktop:
        with anyio.move_on_after(1.5) as scope:
            await desktop.press("a", repeat=1000)
        assert scope.cancelled_caught
        assert await asyncio.to_thread(typing.was_stopped)


def interrupt_when(ready: Callable[[], Any]) -> threading.Thread:
    """Ctrl-C for the main thread, once something is so."""

    def run() -> None:
        ready()
        time.sleep(0.1)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.fixture
def control_c() -> Iterator[None]:
    """Ctrl-C as in a terminal: a process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_control_c_stops_the_batch(typing: Typing, control_c: None) -> None:
    with Sandbox.create() as desktop:
        thread = interrupt_when(lambda: typing.begun.wait(10))
        with pytest.raises(KeyboardInterrupt):
            desktop.write("x" * 1500)
        thread.join()
        assert typing.ended.is_set()
        assert typing.was_stopped()


def test_a_client_that_gives_up_stops_the_batch(typing: Typing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_sandbox.sdk._sync.desktop.act_wait_s", lambda body: 1.5)
    with Sandbox.create() as desktop:
        with pytest.raises(errors.DeadlineError, match="no answer"):
            desktop.write("x" * 1500)
        assert typing.was_stopped()


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not answer cancels, and they are not waited for long."""

    async def cancel(self: Once, path: str, key: str) -> None:
        await asyncio.sleep(3)

    monkeypatch.setattr(Once, "cancel", cancel)
    monkeypatch.setattr(async_connection, "CANCEL_S", 0.3)


async def test_a_cancel_that_is_not_heard_holds_nobody_up(typing: Typing, deaf: None) -> None:
    async with await AsyncSandbox.create() as desktop:
        task = asyncio.create_task(desktop.write("x" * 1500))
        await begun(typing)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 2


async def test_a_cancel_while_the_client_gives_up_is_not_hidden(
    typing: Typing, deaf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop_sandbox.sdk._async.desktop.act_wait_s", lambda body: 0.2)
    monkeypatch.setattr(async_connection, "CANCEL_S", 2)
    async with await AsyncSandbox.create() as desktop:
        task = asyncio.create_task(desktop.write("x" * 1500))
        await asyncio.sleep(0.7)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
