"""actions.run: a batch of actions on the desktop, done once however often it is asked for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.registry import items, op, string
from guest_image.agent.remembered import Batch, is_undone

if TYPE_CHECKING:
    from guest_image.agent.call import Call
    from guest_image.agent.server import Agent

_STOP_S = 1.5
_NOTHING: dict[str, Any] = {"results": [], "failed": None}


@op("actions.run", batch_id=string(None), actions=items())
async def actions_run(call: Call, *, batch_id: str | None, actions: list[Any]) -> dict[str, Any]:
    """{"results", "failed"}. A `batch_id` that is known returns (or waits for) what that batch did.

    A cancelled batch stops soon and says in `detail` what it did. A host that vanishes does not stop one that has
    an id: it will ask again.
    """
    agent = call.agent
    batch = agent.batches.get(batch_id) if batch_id is not None else None
    if batch is not None and batch.outcome is not None:
        return batch.outcome
    if batch is None:
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        batch = Batch(future)
        if batch_id is not None:
            agent.batches.add(batch_id, batch)
        _begin(agent, batch_id, batch, future, actions)
    done = batch.done
    if done is None:
        raise OpError("busy", "this batch is being done on the input port", hint="ask again")
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        if call.cause == "superseded" and batch_id is not None:
            raise
        batch.cancelled.set()
        if batch.progressed_at is None:
            raise OpError("cancelled", "the batch was cancelled before it began", detail=_NOTHING) from None
        await asyncio.wait([done], timeout=_STOP_S)
        if not done.done():
            agent.actor.replace()
            at = {"index": batch.index}
            raise OpError("cancelled", "the X server hangs; the batch was given up", detail=at) from None
        raise OpError("cancelled", "the batch was cancelled", detail=_partial(done)) from None


def _partial(done: asyncio.Future[dict[str, Any]]) -> dict[str, Any] | None:
    return None if done.exception() else done.result()


def _begin(
    agent: Agent, batch_id: str | None, batch: Batch, done: asyncio.Future[dict[str, Any]], actions: list[Any]
) -> None:
    """Run the batch in the X thread. No task of its own: one action costs a few milliseconds in all."""

    def work(performer: Any) -> dict[str, Any]:
        from guest_image.agent.x.batch import run_batch

        batch.progress({})
        return run_batch(performer, actions, batch.cancelled.is_set, batch.progress)

    running = agent.actor.start(work)
    watch = _Watch(agent, batch, running)

    def settle(ran: asyncio.Future[dict[str, Any]]) -> None:
        watch.stop()
        agent.cgroups.first_action_done()
        error = ran.exception()
        if error is not None:
            if batch_id is not None and isinstance(error, OpError) and error.code == "unavailable":
                agent.batches.forget(batch_id)
            done.set_exception(error)
            done.exception()
        else:
            result = ran.result()
            if batch_id is not None and is_undone(result):
                agent.batches.forget(batch_id)
            done.set_result(result)
        if any(each.get("type") == "type" for each in actions if isinstance(each, dict)):
            agent.viewer.tidy(_read_events)

    running.add_done_callback(settle)


def _read_events(display: Any) -> None:
    """Typing tells every X client that keys have changed: read it, or the X server has to keep it."""
    while display.pending_events():
        display.next_event()


class _Watch:
    """Gives the batch up when the performer has said nothing for too long: the X server hangs.

    One that waits, for a time or for an application, says again and again that it is there (x/batch.py).
    """

    def __init__(self, agent: Agent, batch: Batch, running: asyncio.Future[dict[str, Any]]) -> None:
        self._agent = agent
        self._batch = batch
        self._running = running
        self._silence_s = agent.config.x_timeout_s
        self._every_s = min(1.0, agent.config.x_timeout_s)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._every_s, self._look)

    def stop(self) -> None:
        """The batch is over."""
        self._timer.cancel()

    def _look(self) -> None:
        batch = self._batch
        if batch.progressed_at is None or time.monotonic() - batch.progressed_at <= self._silence_s:
            self._timer = self._loop.call_later(self._every_s, self._look)
            return
        error = batch.give_up(self._silence_s)
        self._agent.actor.replace()
        if not self._running.done():
            self._running.set_exception(error)
