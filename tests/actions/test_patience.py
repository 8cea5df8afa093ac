"""How long a batch may take: the host's arithmetic over actions is the SDK's over what callers write."""

from __future__ import annotations

from typing import Any

import pytest

from actions.model import Click, CursorPosition, Drag, Hold, Key, Screenshot, Scroll, Type, Wait, to_wire
from actions.patience import BASE_S, patience_s
from guest_image.agent.x.typist import STALL_S


@pytest.mark.parametrize(
    ("action", "seconds"),
    [
        (Type("x" * 4096, delay_ms=200), 4096 * 0.45),
        (Type("x" * 100), 25),
        (Wait(300_000), 300),
        (Hold(("a",), 2000), 2),
        (Drag(((0, 0), (5, 5)), duration_ms=1000), 1.2),
        (Drag(((0, 0), (5, 5))), 0.2),
        (Key(("a",), repeat=100), 25),
        (Scroll(dy=-8, dx=4), 3),
        (Screenshot(), 1),
        (Screenshot(stable_ms=60_000), 66),
        (CursorPosition(), 0),
        (Click(1, 1), 1),
    ],
)
def test_what_is_declared_counts(action: Any, seconds: float) -> None:
    assert patience_s([to_wire(action)]) == pytest.approx(BASE_S + seconds)
    assert patience_s([to_wire(action)] * 2) == pytest.approx(BASE_S + 2 * seconds)


def test_an_application_that_hangs_is_named_before_patience_ends() -> None:
    assert patience_s([to_wire(Type("é"))]) > STALL_S + 10


def test_what_a_caller_writes_may_leave_things_out_and_makes_no_error() -> None:
    assert patience_s([{"type": "key", "keys": "a"}]) == BASE_S + 0.25
    nonsense: list[Any] = [
        {"type": "type", "text": 5, "delay_ms": "long"},
        {"type": "wait", "duration_ms": float("nan")},
        {"type": "wait", "duration_ms": 10**400},
        {"type": "wait"},
        {"type": "drag", "path": None},
        "click",
        None,
    ]
    assert patience_s(nonsense) == BASE_S
