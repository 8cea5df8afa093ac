"""What a call of a model comes to: our actions, and the few things beside them that vendors ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from actions.model import Action, Button, Drag, Move


@dataclass(frozen=True, slots=True)
class DragTo:
    """Drag from where the pointer is to (x, y)."""

    x: int
    y: int
    button: Button = "left"
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class MoveBy:
    """Move the pointer `dx` pixels to the right and `dy` down."""

    dx: int
    dy: int


@dataclass(frozen=True, slots=True)
class DragBy:
    """Drag from where the pointer is, `dx` pixels to the right and `dy` down."""

    dx: int
    dy: int
    button: Button = "left"
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Open a file or an address with the desktop's default app."""

    target: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Start an app by name."""

    app: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The model ends its work, or hands it to a person; nothing is done to the desktop."""

    outcome: Literal["done", "failed", "ask"]
    text: str = ""


FromPointer: TypeAlias = DragTo | MoveBy | DragBy
Step: TypeAlias = Action | FromPointer | Open | Launch | Stop


def from_pointer(step: FromPointer, pointer: tuple[int, int], screen: tuple[int, int]) -> Action:
    """The action that a step comes to with the pointer at `pointer`; a move past the edge ends at the edge.

    `screen` is (width, height) in pixels.
    """
    if isinstance(step, DragTo):
        return Drag(path=(pointer, (step.x, step.y)), button=step.button, duration_ms=step.duration_ms)
    x = min(max(pointer[0] + step.dx, 0), screen[0] - 1)
    y = min(max(pointer[1] + step.dy, 0), screen[1] - 1)
    if isinstance(step, MoveBy):
        return Move(x, y)
    return Drag(path=(pointer, (x, y)), button=step.button, duration_ms=step.duration_ms)
