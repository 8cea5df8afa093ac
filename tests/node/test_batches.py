"""Which actions are done without waiting for what a program makes of them."""

from __future__ import annotations

import pytest

from actions.model import Action, Click, Key, Move, Type
from desktop_sandbox.node.batches import is_one_touch


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
