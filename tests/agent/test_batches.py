"""actions.run: done once, joined, remembered, cancelled, and given up when X hangs. X is a stand-in here."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import pytest_asyncio

from desktop_sandbox.errors import ChannelError, DeadlineError, GuestError, InvalidRequestError
from guest_image.agent.remembered import Batch, Batches
from guest_image.agent.x import batch as x_batch
from tests.agent.conftest import running_guest


class Desk:
    """Stands in for X: counts what is done; "wait" actions take their time; "hang" never comes back."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.threads: set[int] = set()
        self.release = threading.Event()

    def run_batch(self, performer, actions, cancelled, progress):
        results = []
        for index, action in enumerate(actions):
            progress({"index": index})
            self.threads.add(threading.get_ident())
            until = time.monotonic() + action.get("duration_ms", 0) / 1000
            while time.monotonic() < until and not cancelled():
                time.sleep(0.01)
            if action["type"] == "hang":
                self.release.wait(20)
            if cancelled():
                failed = {"index": index, "code": "cancelled", "message": "", "hint": None, "partial": {}}
                return {"results": results, "failed": failed}
            self.done.append(action["type"])
            results.append({})
        return {"results": results, "failed": None}


@pytest_asyncio.fixture
async def desk(monkeypatch):
    desk = Desk()
    monkeypatch.setattr(x_batch, "run_batch", desk.run_batch)
    yield desk
    desk.release.set()


def click(batch_id=None, *more):
    return {"batch_id": batch_id, "actions": [*more, {"type": "click"}]}


WAIT = {"type": "wait", "duration_ms": 300}


async def test_done_once(channel, desk):
    first = await channel.request("actions.run", click("a"))
    assert first == {"results": [{}], "failed": None}
    assert await channel.request("actions.run", click("a")) == first
    await channel.request("actions.run", click("b"))
    await channel.request("actions.run", click(None))
    await channel.request("actions.run", click(None))
    assert len(desk.done) == 4
    assert len(desk.threads) == 1


async def test_running_one_is_joined(channel, desk):
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(channel.request("actions.run", click("a", WAIT))) for _ in range(3)]
    assert desk.done == ["wait", "click"]
    assert runs[0].result() == runs[1].result() == runs[2].result()


async def test_cut_connection_gives_exactly_one_click(guest, desk):
    channel = await guest.hub.channel()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(caught(channel.request("actions.run", click("once", WAIT))))
        await asyncio.sleep(0.1)
        await channel.aclose()
    assert isinstance(asking.result(), ChannelError)
    channel = await guest.hub.channel()
    assert await channel.request("actions.run", click("once", WAIT)) == {"results": [{}, {}], "failed": None}
    assert desk.done == ["wait", "click"]
    await channel.aclose()


async def test_cancel_says_what_was_done(channel, desk):
    long = {"type": "wait", "duration_ms": 10_000}
    async with channel.stream("actions.run", {"actions": [{"type": "click"}, long]}) as exchange:
        await asyncio.sleep(0.1)
        channel.cancel(exchange)
        with pytest.raises(GuestError) as caught:
            await exchange.result()
    assert caught.value.evidence["detail"]["results"] == [{}]
    assert caught.value.evidence["detail"]["failed"]["code"] == "cancelled"


async def test_cancelled_while_waiting_for_its_turn(channel, desk):
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(channel.request("actions.run", click("first", {**WAIT, "duration_ms": 600})))
        await asyncio.sleep(0.05)
        with pytest.raises(DeadlineError) as caught:
            await channel.request("actions.run", click("second"), timeout_s=0.1)
        assert caught.value.evidence["detail"]["results"] == []
    assert first.result()["failed"] is None
    assert (await channel.request("actions.run", click("second")))["failed"]["code"] == "cancelled"
    assert desk.done == ["wait", "click"]


async def test_deadline_says_what_was_done(channel, desk):
    long = {"type": "wait", "duration_ms": 10_000}
    with pytest.raises(DeadlineError) as caught:
        await channel.request("actions.run", {"actions": [{"type": "click"}, long]}, timeout_s=0.3)
    assert caught.value.evidence["detail"]["results"] == [{}]


async def test_hanging_x_is_given_up_and_the_rest_goes_on(tmp_path, desk):
    async with running_guest(tmp_path, x_timeout_s=0.3) as guest:
        channel = await guest.hub.channel()
        async with asyncio.TaskGroup() as tasks:
            hung = tasks.create_task(caught(channel.request("actions.run", click("h", {"type": "hang"}))))
            await asyncio.sleep(0.1)
            begin = time.monotonic()
            await channel.request("guest.info")
            assert time.monotonic() - begin < 0.1
            following = tasks.create_task(channel.request("actions.run", click("next")))
        assert isinstance(hung.result(), DeadlineError)
        assert hung.result().evidence["detail"] == {"index": 0}
        assert following.result()["failed"] is None
        desk.release.set()
        await channel.aclose()


async def caught(work):
    try:
        return await work
    except Exception as error:
        return error


async def test_no_x_is_a_clear_error_and_not_remembered(channel):
    answer = await channel.request("actions.run", {"batch_id": "x", "actions": [{"type": "cursor_position"}]})
    assert answer["failed"]["code"] == "no_display"
    with pytest.raises(GuestError) as caught_error:
        await channel.request("windows.list")
    assert caught_error.value.evidence["code"] == "unavailable"


async def test_the_oldest_is_forgotten_but_never_a_running_one():
    batches = Batches(limit=3)
    running = Batch(asyncio.get_running_loop().create_future())
    batches.add("running", running)
    for number in range(10):
        done = Batch(asyncio.get_running_loop().create_future())
        done.done.set_result({})
        batches.add(str(number), done)
        batches.get("0")
    assert batches.get("running") is running
    assert batches.get("0") is not None
    assert batches.get("5") is None
    assert len(batches) == 3


async def test_the_lane_does_once_what_comes_over_the_input_port(channel, desk):
    first = await channel.request("actions.run", click("a"), port="input")
    assert first == {"results": [{}], "failed": None}
    assert await channel.request("actions.run", click("a"), port="input") == first
    assert await channel.request("actions.run", click("a")) == first
    await channel.request("actions.run", click("b"))
    assert desk.done == ["click", "click"]
    assert len(desk.threads) == 1


async def test_the_lane_refuses_what_it_does_not_know(channel, desk):
    with pytest.raises(GuestError) as unknown:
        await channel.request("guest.info", {}, port="input")
    assert unknown.value.evidence["code"] == "unknown-op"
    with pytest.raises(InvalidRequestError):
        await channel.request("actions.run", {"actions": 5}, port="input")
    assert (await channel.request("actions.run", click("after"), port="input"))["failed"] is None


async def test_a_new_host_is_answered_on_the_input_port(guest, desk):
    for number in range(3):
        channel = await guest.hub.channel()
        assert (await channel.request("actions.run", click(str(number)), port="input"))["failed"] is None
        await channel.aclose()
    assert len(desk.done) == 3


async def test_hanging_x_is_given_up_in_the_lane_too(tmp_path, desk):
    async with running_guest(tmp_path, x_timeout_s=0.3) as guest:
        channel = await guest.hub.channel()
        await channel.request("actions.run", click("first"), port="input")
        hung = await caught(channel.request("actions.run", click("h", {"type": "hang"}), port="input"))
        assert isinstance(hung, DeadlineError)
        assert hung.evidence["detail"] == {"index": 0}
        for port in ("input", "control"):
            assert (await channel.request("actions.run", click(port), port=port))["failed"] is None
        again = await channel.request("actions.run", click("h", {"type": "hang"}), port="input")
        assert again["failed"]["code"] == "deadline"
        desk.release.set()
        await channel.aclose()
