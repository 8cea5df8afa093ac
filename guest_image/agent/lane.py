"""The express lane: the input port and X in one thread, for actions that are over in a moment.

A click that comes over the control port passes the event loop, a task and two threads; here it is read, done and
answered where it arrives. Whatever takes longer comes over the control port as a job and runs in this same thread,
since there is one X connection. Where X hangs, the thread is left behind like any XWorker's, and the next one takes
the port.

A person's input is what comes here without a batch id. What it left down is let go of when another host comes: the one
that had the person is gone, or this machine is a copy. What an agent's batch holds stays down.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.journal import log
from guest_image.agent.port import Port
from guest_image.agent.protocol import Frame, Kind, ProtocolError, encode_json, load_object
from guest_image.agent.reactor import Reactor
from guest_image.agent.remembered import Batch, is_undone
from guest_image.agent.xworker import Turn, XWorker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from guest_image.agent.server import Agent
    from guest_image.agent.xworker import _Job

_PRIORITY = 20
_WATCH_S = 1.0
_QUIET_S = 5.0
_NOBODY = 0
"""Instead of the number of a request, where nobody waits for the answer."""


class Lane(XWorker):
    """An XWorker that also serves the input port, from `open` on."""

    def __init__(self, agent: Agent, connect: Callable[[], Any]) -> None:
        super().__init__("actions", connect)
        self._agent = agent
        self._reactor = Reactor()
        self._port: Port | None = None
        self._running: tuple[int, Batch] | None = None
        self._held: dict[tuple[str, str], dict[str, Any]] = {}
        self._last = 0.0
        self._watching = False
        self._closing = False
        self._mine = threading.local()
        self._loop: asyncio.AbstractEventLoop

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start serving; `loop` is the agent's."""
        self._loop = loop
        self._start()

    def _put(self, work: Callable[[Any], Any]) -> _Job:
        job = super()._put(work)
        self._ring()
        return job

    def tidy(self, work: Callable[[Any], None]) -> None:
        """As XWorker's."""
        super().tidy(work)
        self._ring()

    def replace(self) -> None:
        """As XWorker's; the new thread is there at once, for the port."""
        super().replace()
        if self._turn is None:
            self._start()

    def close(self) -> None:
        """As XWorker's; the port is closed, too."""
        self._closing = True
        super().close()
        self._ring()

    def let_go(self) -> None:
        """Release what a person holds down (from the agent's loop)."""
        held, self._held = self._held, {}
        if held:
            self.tidy(lambda _: self._release(list(held.values())))

    def _ring(self) -> None:
        self._reactor.call_soon_threadsafe(lambda: None)

    def _start(self) -> None:
        if self._turn is None and self._port is not None:
            self._reactor = Reactor()
        super()._start()

    # in the thread

    def _work(self, turn: Turn) -> None:
        if self._agent.config.realtime:
            _go_first()
        reactor = self._mine.reactor = self._reactor
        self._mine.turn = turn
        if self._port is None:
            self._port = Port("input", self._agent.config, self._received, reactor)
        else:
            self._port.move(reactor)
        super()._work(turn)
        if self._closing and self._reactor is reactor:
            self._port.close()
        reactor.close()

    def _take(self, turn: Turn) -> _Job | None:
        while turn is self._turn:
            try:
                return self._jobs.get_nowait()
            except queue.Empty:
                self._mine.reactor.run_once()
        return None

    def _received(self, port: Port, frame: Frame) -> None:
        turn = self._mine.turn
        if turn is not self._turn:
            return  # this thread was left behind, and the port is another's
        try:
            if frame.kind is Kind.HELLO:
                port.welcome(frame)
            elif frame.kind is Kind.REQUEST:
                answer = self._answer(frame)
                if turn is self._turn:
                    port.send(answer, port.epoch)
                    self._agent.cgroups.first_action_done_from(self._loop)
        except Exception as error:
            log(f"x {port.name}: {frame.kind.name} {frame.request}: {type(error).__name__}: {error}")

    def _answer(self, frame: Frame) -> bytes:
        try:
            return encode_json(Kind.REPLY, frame.request, self._run(frame))
        except OpError as error:
            return encode_json(Kind.ERROR, frame.request, error.to_wire())
        except ProtocolError as error:
            return encode_json(Kind.ERROR, frame.request, OpError("invalid", str(error)).to_wire())

    def _run(self, frame: Frame) -> dict[str, Any]:
        asked = load_object(frame.payload)
        params = asked.get("params")
        if asked.get("op") != "actions.run" or not isinstance(params, dict):
            raise OpError("unknown-op", "the input port takes actions.run", hint="ask on the control port")
        batch_id, actions = params.get("batch_id"), params.get("actions")
        if not isinstance(batch_id, str | None) or not isinstance(actions, list):
            raise OpError("invalid", "actions.run has batch_id (string or null) and actions (list)")
        known = self._agent.batches.get(batch_id) if batch_id is not None else None
        if known is not None:
            if known.outcome is None:
                raise OpError("busy", "this batch is being done", hint="ask on the control port, which waits for it")
            return known.outcome
        batch = Batch()
        if batch_id is not None:
            self._agent.batches.add(batch_id, batch)
        outcome = self._do(frame.request, batch, actions)
        if batch.outcome is None:  # else it was given up
            batch.outcome = outcome
        if batch_id is None:
            self._note_held(actions, len(outcome["results"]))
        elif is_undone(outcome):
            self._agent.batches.forget(batch_id)
        return outcome

    def _note_held(self, actions: list[Any], done: int) -> None:
        """Keep in mind what a person's input left down, and how it is let go of."""
        for action in actions[: done + 1]:  # the one that failed may be done by half
            match action:
                case {"type": "key_down", "key": str(key)}:
                    self._held["key", key] = {"type": "key_up", "key": key}
                case {"type": "key_up", "key": str(key)}:
                    self._held.pop(("key", key), None)
                case {"type": "mouse_down", "button": str(button)}:
                    self._held["button", button] = {"type": "mouse_up", "button": button}
                case {"type": "mouse_up", "button": str(button)}:
                    self._held.pop(("button", button), None)

    def _release(self, held: list[dict[str, Any]]) -> None:
        turn = self._mine.turn
        for release in held:
            if turn is self._turn:
                self._do(_NOBODY, Batch(), [release])

    def _do(self, request: int, batch: Batch, actions: list[Any]) -> dict[str, Any]:
        from guest_image.agent.x.batch import run_batch

        turn: Turn = self._mine.turn
        batch.progress({})
        self._last = time.monotonic()
        self._running = (request, batch)
        self._watch_over()
        try:
            return turn.do(
                self._connect, lambda performer: run_batch(performer, actions, batch.cancelled.is_set, batch.progress)
            )
        finally:
            if turn is self._turn:
                self._running = None

    # X hangs

    def _watch_over(self) -> None:
        """Have the agent's loop look after this thread while it is busy now and then."""
        if not self._watching:
            self._watching = True
            self._loop.call_soon_threadsafe(self._loop.call_later, _WATCH_S, self._look)

    def _look(self) -> None:
        """In the agent's loop: give up what has said nothing for too long."""
        now, running = time.monotonic(), self._running
        if running is not None and now - (running[1].progressed_at or now) > self._agent.config.x_timeout_s:
            self._give_up(*running)
        if running is None and now - self._last > _QUIET_S:
            self._watching = False
            if self._running is not None:  # it began just now, and believed to be watched
                self._watch_over()
        else:
            self._loop.call_later(min(_WATCH_S, self._agent.config.x_timeout_s), self._look)

    def _give_up(self, request: int, batch: Batch) -> None:
        error = batch.give_up(self._agent.config.x_timeout_s)
        failed = {
            "index": batch.index,
            "code": "deadline",
            "message": error.message,
            "hint": error.hint,
            "partial": None,
        }
        batch.outcome = {"results": [{}] * batch.index, "failed": failed}
        self._running = None
        self.replace()
        port = self._port
        if port is not None and request != _NOBODY:
            answer = encode_json(Kind.ERROR, request, error.to_wire())
            self._reactor.call_soon_threadsafe(port.send, answer, port.epoch)


def _go_first() -> None:
    """Run before all programs of the user, on the X server's processor: nothing has to be woken on another one."""
    with suppress(OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
