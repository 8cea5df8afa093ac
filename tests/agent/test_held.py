"""What a person held down over a host that is gone is let go of when the next one comes; an agent's keys stay down."""

from __future__ import annotations

import asyncio
import threading

import pytest

from guest_image.agent.x import batch as x_batch
from tests.agent.conftest import running_guest


class Keyboard:
    """Stands in for X: what is down, and in which order things were let go of."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.ups: list[str] = []
        self.hangs = threading.Event()
        self.hangs.set()

    def run_batch(self, performer, actions, cancelled, progress):
        results = []
        for index, action in enumerate(actions):
            progress({"index": index})
            name = action.get("key") or action.get("button")
            if action["type"].endswith("_down"):
                if name == "refused":
                    return {"results": results, "failed": {"index": index, "code": "x", "message": "", "hint": None}}
                self.down.add(name)
            else:
                self.hangs.wait(20)
                self.down.discard(name)
                self.ups.append(name)
            results.append({})
        return {"results": results, "failed": None}


@pytest.fixture
def keyboard(monkeypatch):
    keyboard = Keyboard()
    monkeypatch.setattr(x_batch, "run_batch", keyboard.run_batch)
    yield keyboard
    keyboard.hangs.set()


def down(*keys: str) -> list[dict]:
    return [{"type": "key_down", "key": key} for key in keys]


async def person(channel, *actions):
    return await channel.request("actions.run", {"batch_id": None, "actions": [*actions]}, port="input")


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_next_host_finds_nothing_of_a_person_down(guest, keyboard):
    first = await guest.hub.channel()
    left = {"type": "mouse_down", "button": "left", "x": 1, "y": 2}
    await person(first, *down("a", "Shift_L"), left)
    await person(first, {"type": "key_up", "key": "Shift_L"})
    await first.request("actions.run", {"batch_id": "agents", "actions": down("Control_L")}, port="input")
    await first.aclose()
    assert keyboard.down == {"a", "left", "Control_L"}
    second = await guest.hub.channel()
    await until(lambda: keyboard.down == {"Control_L"})
    assert keyboard.ups == ["Shift_L", "a", "left"]
    await second.aclose()
    third = await guest.hub.channel()
    await person(third, *down("b"))
    assert keyboard.ups == ["Shift_L", "a", "left"], "let go of once"
    await third.aclose()


async def test_a_press_that_failed_may_be_done_by_half(guest, keyboard):
    first = await guest.hub.channel()
    await person(first, *down("a", "refused", "never"))
    await first.aclose()
    second = await guest.hub.channel()
    await until(lambda: "refused" in keyboard.ups)
    assert keyboard.ups == ["a", "refused"]
    await second.aclose()


async def test_x_that_hangs_while_it_is_let_go_of_is_given_up(tmp_path, keyboard):
    async with running_guest(tmp_path, x_timeout_s=0.3) as guest:
        first = await guest.hub.channel()
        await person(first, *down("a"))
        await first.aclose()
        keyboard.hangs.clear()
        second = await guest.hub.channel()
        answer = await asyncio.wait_for(person(second, *down("b")), 10)
        assert answer["failed"] is None
        assert second.error is None
        keyboard.hangs.set()
        await second.aclose()
