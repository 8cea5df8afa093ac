"""OpenAI's computer use: actions of `computer_use_preview` (one a call) and of the GA `computer` tool (a list). Pure.

Follows the SDK's types (`openai.types.responses.computer_action`). Scrolls are in pixels, of which a step of the wheel
is 120 here; less than a step is one step, so that no scroll is nothing. `wait` has no duration: two seconds, as in the
reference implementation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actions.dialects.fields import Fields, Specs, mapping, place, spec_of
from actions.dialects.keys import MOST_MODIFIERS, combination, spelled
from actions.dialects.pixels import PX_PER_STEP, steps_of
from actions.dialects.say import cannot, only, place_of
from actions.dialects.steps import Step
from actions.dialects.view import View
from actions.model import Button, Click, Drag, Key, KeyDown, KeyUp, Move, Screenshot, Scroll, Type, Wait

NAME = "openai"
WAIT_MS = 2000
ACTIONS: Specs = {
    "click": ("button", "x", "y", "keys?"),
    "double_click": ("x", "y", "keys?"),
    "drag": ("path", "keys?"),
    "keypress": ("keys",),
    "move": ("x", "y", "keys?"),
    "screenshot": (),
    "scroll": ("x", "y", "scroll_x", "scroll_y", "keys?"),
    "type": ("text",),
    "wait": (),
}
_BUTTONS: Mapping[str, Button] = {
    "left": "left",
    "right": "right",
    "wheel": "middle",
    "back": "back",
    "forward": "forward",
}
_NAMES = {ours: theirs for theirs, ours in _BUTTONS.items()}


def read(given: object, view: View) -> tuple[Step, ...]:
    """The steps of one action, an object with "type". Raises ActionValueError."""
    data = dict(mapping(given, "action"))
    name = data.pop("type", None)
    fields = Fields(str(name), data, spec_of(name, ACTIONS))
    match name:
        case "click":
            button = _BUTTONS[fields.choice("button", [*_BUTTONS])]
            return (Click(*fields.place(view), button, modifiers=_held(fields)),)
        case "double_click":
            return (Click(*fields.place(view), count=2, modifiers=_held(fields)),)
        case "drag":
            path = fields.items("path", 2, 1000)
            places = [_point(point, view, f"path[{number}]") for number, point in enumerate(path)]
            return (Drag(tuple(places), modifiers=_held(fields)),)
        case "keypress":
            return (Key(combination(fields.items("keys", 1, 16), "keys")),)
        case "move":
            held = _held(fields)
            move = Move(*fields.place(view))
            return (*(KeyDown(key) for key in held), move, *(KeyUp(key) for key in reversed(held)))
        case "scroll":
            dx, dy = (steps_of(fields.whole(name, -100_000, 100_000)) for name in ("scroll_x", "scroll_y"))
            return (Scroll(*fields.place(view), dx, dy, _held(fields)),)
        case "type":
            return (Type(fields.typed("text")),)
        case "wait":
            return (Wait(WAIT_MS),)
        case _:
            return (Screenshot(),)


def write(steps: Sequence[Step], view: View) -> list[dict[str, Any]]:
    """The same as actions of OpenAI's; ActionValueError for what they have no words for."""
    calls = []
    rest = list(steps)
    while rest:
        held, move = _moved(rest)
        if held:
            calls.append({"type": "move", **_xy(move, view), "keys": held})
            del rest[: 2 * len(held) + 1]
        else:
            calls.append(_write(rest.pop(0), view))
    return calls


def _write(step: Step, view: View) -> dict[str, Any]:
    match step:
        case Click(count=1):
            place_of(step, NAME)
            return {"type": "click", "button": _NAMES[step.button], **_xy(step, view), **_keys(step.modifiers)}
        case Click(count=2, button="left"):
            place_of(step, NAME)
            return {"type": "double_click", **_xy(step, view), **_keys(step.modifiers)}
        case Drag():
            only(step, NAME, button="left", duration_ms=None)
            path = [dict(zip("xy", view.to_picture(*point), strict=True)) for point in step.path]
            return {"type": "drag", "path": path, **_keys(step.modifiers)}
        case Key():
            only(step, NAME, repeat=1)
            return {"type": "keypress", "keys": spelled(step.keys)}
        case Move():
            return {"type": "move", **_xy(step, view)}
        case Scroll():
            place_of(step, NAME)
            turned = {"scroll_x": step.dx * PX_PER_STEP, "scroll_y": step.dy * PX_PER_STEP}
            return {"type": "scroll", **_xy(step, view), **turned, **_keys(step.modifiers)}
        case Type():
            only(step, NAME, delay_ms=0)
            return {"type": "type", "text": step.text}
        case Wait():
            only(step, NAME, duration_ms=WAIT_MS)
            return {"type": "wait"}
        case Screenshot(region=None):
            return {"type": "screenshot"}
        case _:
            raise cannot(NAME, step, f"its actions are {', '.join(ACTIONS)}")


def _held(fields: Fields) -> tuple[str, ...]:
    names = fields.items("keys", 0, MOST_MODIFIERS)
    return combination(names, "keys", most=MOST_MODIFIERS) if names else ()


def _point(point: object, view: View, field: str) -> tuple[int, int]:
    fields = Fields(field, mapping(point, field), ("x", "y"))
    del fields
    data = mapping(point, field)
    return place([data["x"], data["y"]], view, field)


def _moved(steps: list[Step]) -> tuple[list[str], Move | None]:
    """Keys pressed, a move, the same keys let go: one move with keys held."""
    keys = []
    for step in steps:
        if not isinstance(step, KeyDown):
            break
        keys.append(step.key)
    after = steps[len(keys) : 2 * len(keys) + 1]
    ups = [step.key for step in after[1:] if isinstance(step, KeyUp)]
    if keys and after and isinstance(after[0], Move) and ups == keys[::-1]:
        return keys, after[0]
    return [], None


def _xy(step: Any, view: View) -> dict[str, int]:
    return dict(zip("xy", view.to_picture(step.x, step.y), strict=True))


def _keys(modifiers: Sequence[str]) -> dict[str, list[str]]:
    return {"keys": spelled(modifiers)} if modifiers else {}
