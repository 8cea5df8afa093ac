"""What steps must look like to an application under the pointer: X events, derived from the golden steps alone."""

from __future__ import annotations

from typing import Any

from actions.dialects.steps import DragBy, DragTo, Launch, MoveBy, Open, Step, Stop
from actions.keysyms import character_keysym, keysym_character, resolve_key
from actions.model import (
    Click,
    CursorPosition,
    Drag,
    Hold,
    Key,
    KeyDown,
    KeyUp,
    MouseDown,
    MouseUp,
    Move,
    Screenshot,
    Scroll,
    Type,
    Wait,
)

BUTTONS = {"left": 1, "middle": 2, "right": 3, "back": 8, "forward": 9}
SHIFT, CONTROL, ALT, SUPER = 1, 4, 8, 64
MODIFIERS = {
    resolve_key(name): mask
    for names, mask in (
        (("Shift_L", "Shift_R"), SHIFT),
        (("Control_L", "Control_R"), CONTROL),
        (("Alt_L", "Alt_R"), ALT),
        (("Super_L", "Super_R"), SUPER),
    )
    for name in names
}
Event = tuple[Any, ...]


def expected(steps: list[Step], start: tuple[int, int]) -> tuple[list[Event], tuple[int, int]]:
    """The events of steps with the pointer at `start`, and where the pointer is in the end."""
    events: list[Event] = []
    at = start
    held = 0  # by key_down, so far
    for step in steps:
        found, at = _events(step, at)
        events += [(*event[:2], event[2] | held) if event[0] == "key" else event for event in found]
        if isinstance(step, KeyDown | KeyUp):
            mask = MODIFIERS.get(resolve_key(step.key), 0) & (CONTROL | ALT)
            held = held | mask if isinstance(step, KeyDown) else held & ~mask
    return events, at


def _events(step: Step, at: tuple[int, int]) -> tuple[list[Event], tuple[int, int]]:
    here = at if getattr(step, "x", None) is None else (step.x, step.y)  # type: ignore[union-attr]
    match step:
        case Move():
            return [], here
        case MoveBy():
            return [], (at[0] + step.dx, at[1] + step.dy)
        case Click():
            button, held = BUTTONS[step.button], _mask(step.modifiers)
            return [("down", button, *here, held), ("up", button, *here)] * step.count, here
        case MouseDown():
            return [("down", BUTTONS[step.button], *here, 0)], here
        case MouseUp():
            return [("up", BUTTONS[step.button], *here)], here
        case Drag():
            return _drag(step.path[0], step.path[-1], step.button, _mask(step.modifiers)), step.path[-1]
        case DragTo():
            return _drag(at, here, step.button, 0), here
        case DragBy():
            end = at[0] + step.dx, at[1] + step.dy
            return _drag(at, end, step.button, 0), end
        case Scroll():
            held = _mask(step.modifiers)
            down = [("wheel", 5 if step.dy > 0 else 4, *here, held)] * abs(step.dy)
            return [*down, *[("wheel", 7 if step.dx > 0 else 6, *here, held)] * abs(step.dx)], here
        case Key():
            return _chord(step.keys) * step.repeat, at
        case Hold():
            return _chord(step.keys), at
        case KeyDown():
            return [("hold", resolve_key(step.key))], at
        case KeyUp():
            return [("release", resolve_key(step.key))], at
        case Type():
            return [("key", _folded(character_keysym(char)), 0) for char in step.text], at
        case Wait() | Screenshot() | CursorPosition() | Stop() | Open() | Launch():
            return [], at


def seen(records: list[dict[str, Any]]) -> list[Event]:
    """The events that an application wrote down, as `expected` has them; the modifiers of combinations are in masks."""
    events: list[Event] = []
    for record in records:
        kind = record["kind"]
        if kind == "button":
            name = "wheel" if 4 <= record["button"] <= 7 else "down"
            events.append((name, record["button"], record["x"], record["y"], record["state"] & (CONTROL | ALT | SHIFT)))
        elif kind == "unbutton" and not 4 <= record["button"] <= 7:
            events.append(("up", record["button"], record["x"], record["y"]))
        elif kind == "press" and record["keysym"] not in MODIFIERS:
            events.append(("key", _folded(record["keysym"]), record["state"] & (CONTROL | ALT)))
        elif kind in ("press", "release") and record["keysym"] in MODIFIERS:
            events.append(("hold" if kind == "press" else "release", record["keysym"]))
    return events


def without_modifiers(events: list[Event]) -> list[Event]:
    """Events but for modifiers that go down and up around others: those are in the others' masks."""
    return [event for event in events if event[0] not in ("hold", "release")]


def _drag(start: tuple[int, int], end: tuple[int, int], button: str, held: int) -> list[Event]:
    return [("down", BUTTONS[button], *start, held), ("up", BUTTONS[button], *end)]


def _chord(keys: tuple[str, ...]) -> list[Event]:
    keysyms = [resolve_key(key) for key in keys]
    held = 0
    events: list[Event] = []
    for keysym in keysyms:
        if keysym in MODIFIERS:
            held |= MODIFIERS[keysym]
        else:
            events.append(("key", _folded(keysym), held & (CONTROL | ALT)))
    return events


def _mask(modifiers: tuple[str, ...]) -> int:
    return sum({MODIFIERS[resolve_key(name)] for name in modifiers})


def _folded(keysym: int) -> int:
    """A letter's small form: whether Shift was down is another matter."""
    char = keysym_character(keysym)
    return character_keysym(char.lower()) if char and len(char.lower()) == 1 else keysym
