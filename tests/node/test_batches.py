"""Which actions are done without waiting for what a program makes of them, and how pictures and failures are told."""

from __future__ import annotations

import pytest

from actions.model import Action, Click, Key, Move, Screenshot, Type
from desktop_sandbox.errors import GuestError
from desktop_sandbox.node.batches import broken_off, is_one_touch, picture_spec
from desktop_sandbox.screen.screenshot import check


@pytest.mark.parametrize(
    ("actions", "one"),
    [
        ([Click(1, 1)], True),
        ([Move(0, 0)], True),
        ([Key(("ctrl", "s"))], True),
        ([Click(1, 1, count=2)], False),  # the window manager has to let the first one through
        ([Click(1, 1), Click(2, 2)], False),
        ([Type("text")], False),  # waits for who reads it
        ([], False),
    ],
)
def test_one_touch(actions: list[Action], one: bool) -> None:
    assert is_one_touch(actions) is one


@pytest.mark.parametrize("stable_ms", [0, 1, 5000, 5001, 60_000])
def test_a_picture_has_time_to_come_to_rest(stable_ms: int) -> None:
    spec = picture_spec(Screenshot(stable_ms=stable_ms))
    check(spec)
    assert spec.deadline_ms == stable_ms + 5000


def test_what_a_guest_tells_of_a_batch_that_was_broken_off_is_not_believed_blindly() -> None:
    for detail in (None, 5, {}, {"index": -1}, {"index": 2}, {"index": True}, {"index": "1"}):
        answer = broken_off(GuestError("why", detail=detail), "cancelled", 2)
        assert (answer["results"], answer["failed"]["index"]) == ([], 0)
    assert broken_off(GuestError("why", detail={"index": 1}), "deadline", 2)["failed"]["code"] == "deadline"
    done = {"results": [{}, {}], "failed": None}
    assert broken_off(GuestError("why", detail=done), "cancelled", 2) == done
    with pytest.raises(GuestError, match="no sense"):
        broken_off(GuestError("why", detail={"results": [{}] * 3}), "cancelled", 2)
