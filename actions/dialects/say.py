"""What the writers of all dialects share: telling what a dialect has no words for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions.dialects.steps import Step
from actions.errors import ActionValueError
from actions.model import Button, Click, Scroll

DIRECTIONS = ("up", "down", "left", "right")
_AWAY: Mapping[str, tuple[int, int]] = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}


def cannot(dialect: str, step: Step, why: str) -> ActionValueError:
    """The error for a step that a dialect has no words for."""
    return ActionValueError(f"{dialect} cannot say {step!r}", hint=why)


def only(step: Step, dialect: str, **plain: Any) -> None:
    """Refuse a step whose fields are not these: the dialect has no words for them."""
    for name, value in plain.items():
        if getattr(step, name) != value:
            raise cannot(dialect, step, f"it has no {name}")


def wheel(direction: str, steps: int) -> tuple[int, int]:
    """dx and dy of so many steps of the wheel in a direction."""
    across, down = _AWAY[direction]
    return across * steps, down * steps


def turns(step: Scroll) -> list[tuple[str, int]]:
    """A scroll as directions and steps, vertical first."""
    found = [("down" if step.dy > 0 else "up", abs(step.dy))] if step.dy else []
    return found + ([("right" if step.dx > 0 else "left", abs(step.dx))] if step.dx else [])


def place_of(step: Click | Scroll, dialect: str) -> tuple[int, int]:
    """The place of a step, for a dialect whose calls always have one."""
    if step.x is None or step.y is None:
        raise cannot(dialect, step, "its places are always given: say where the pointer is")
    return step.x, step.y


CLICKS: Mapping[tuple[Button, int], str] = {
    ("left", 1): "left_click",
    ("right", 1): "right_click",
    ("middle", 1): "middle_click",
    ("left", 2): "double_click",
    ("left", 3): "triple_click",
}
