"""The worker that carries input to a guest: what lets go of a key or button is done, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from actions.model import Action, KeyDown, KeyUp, MouseDown, MouseUp, Move
from desktop_sandbox.errors import ChannelError, ConflictError, DeadlineError, DesktopSandboxError
from desktop_sandbox.stream.driving import Driver
from tests.stream.test_input_queue import button, key, pointer


class Guest:
    """A node whose guest answers its first batches as told, and then does everything."""

    def __init__(self, *answers: DesktopSandboxError | int) -> None:
        self.answers = list(answers)
        self.batches: list[list[Action]] = []
        self.down: set[Any] = set()

    async def press(self, _sandbox: str, actions: Sequence[Action]) -> dict[str, Any] | None:
        self.batches.append(list(actions))
        answer = self.answers.pop(0) if self.answers else None
        done = len(actions) if answer is None else answer if isinstance(answer, int) else 0
        for action in actions[:done]:
            match action:
                case KeyDown():
                    self.down.add(action.key)
                case KeyUp():
                    self.down.discard(action.key)
                case MouseDown():
                    self.down.add(action.button)
                case MouseUp():
                    self.down.discard(action.button)
        if isinstance(answer, DesktopSandboxError):
            raise answer
        return None if answer is None else {"index": answer, "code": "not_responding", "message": "it hangs"}


async def drive(guest: Guest, *events: dict[str, Any]) -> list[str]:
    """Feed all of it at once, and wait until nothing is left to do; what was told."""
    told: list[str] = []
    driver = Driver(guest, "sb1", lambda message, _hint: told.append(message))  # type: ignore[arg-type]
    driver.feed(events)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(driver.run())
        async with asyncio.timeout(5):
            while guest.answers or not driver.idle or not guest.batches:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        running.cancel()
    return told


AZ = [key(True, 0x61, "KeyA"), key(True, 0x6D6, "Semicolon"), key(False, 0x61, "KeyA"), key(False, 0x6D6, "Semicolon")]


async def test_a_batch_that_fails_in_its_middle_leaves_no_key_down() -> None:
    guest = Guest(1)
    assert await drive(guest, *AZ) == ["it hangs"]
    assert guest.down == set()
    assert guest.batches[1] == [KeyUp("U+0061"), KeyUp("U+0436")]


async def test_what_was_done_before_the_failure_is_not_done_again() -> None:
    guest = Guest(2)
    await drive(
        guest, button(True), button(False), button(True, name="right"), pointer(1, 1), button(False, name="right")
    )
    assert guest.batches[1] == [MouseUp("right")]


@pytest.mark.parametrize("error", [DeadlineError("no answer", hint="x"), ChannelError("broken", hint="x")])
async def test_a_batch_that_got_lost_loses_no_release(error: DesktopSandboxError) -> None:
    guest = Guest(error, error)
    guest.down = {"U+0061", "left"}  # it was done; only the answer got lost
    held = [key(True, 0x61, "KeyA"), button(True)]
    told = await drive(guest, *held, pointer(1, 1), key(False, 0x61, "KeyA"), button(False))
    assert guest.down == set()
    assert guest.batches[1:] == [[KeyUp("U+0061"), MouseUp("left")]] * 2
    assert told == [error.message] * 2


async def test_a_press_is_never_done_twice() -> None:
    guest = Guest(ChannelError("broken", hint="x"))
    await drive(guest, key(True, 0x61), pointer(1, 1))
    assert guest.batches == [[KeyDown("U+0061", exact=True), Move(1, 1)]]


async def test_of_a_desktop_that_is_gone_nothing_is_asked_again() -> None:
    guest = Guest(ConflictError("it is paused", hint="x", state="paused"))
    await drive(guest, *AZ)
    assert len(guest.batches) == 1
