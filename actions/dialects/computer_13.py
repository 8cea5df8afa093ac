"""OSWorld's action space "computer_13": typed actions after pyautogui, with WAIT, FAIL and DONE. Pure.

Both forms are read, {"action_type": "CLICK", "parameters": {...}} and the flat one; the three words also come bare.
SCROLL is in steps of the wheel, positive up and to the right, as pyautogui has it. DRAG_TO goes from where the pointer
is. WAIT takes two seconds, the pause of its environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actions.dialects.fields import Fields, Specs, mapping, spec_of
from actions.dialects.keys import combination, one, spelled
from actions.dialects.say import cannot, only
from actions.dialects.steps import DragTo, Step, Stop
from actions.dialects.view import View
from actions.model import Button, Click, Key, KeyDown, KeyUp, MouseDown, MouseUp, Move, Scroll, Type, Wait

NAME = "computer_13"
WAIT_MS = 2000
BUTTONS: tuple[Button, ...] = ("left", "right", "middle")
ACTIONS: Specs = {
    "MOVE_TO": ("x", "y"),
    "CLICK": ("button?", "x?", "y?", "num_clicks?"),
    "MOUSE_DOWN": ("button?",),
    "MOUSE_UP": ("button?",),
    "RIGHT_CLICK": ("x?", "y?"),
    "DOUBLE_CLICK": ("x?", "y?"),
    "DRAG_TO": ("x", "y"),
    "SCROLL": ("dx", "dy"),
    "TYPING": ("text",),
    "PRESS": ("key",),
    "KEY_DOWN": ("key",),
    "KEY_UP": ("key",),
    "HOTKEY": ("keys",),
    "WAIT": (),
    "FAIL": (),
    "DONE": (),
}


def read(given: object, view: View) -> tuple[Step, ...]:
    """The steps of one action. Raises ActionValueError."""
    data: Mapping[str, object] = {"action_type": given} if isinstance(given, str) else mapping(given, "action")
    name = data.get("action_type")
    spec = spec_of(name, ACTIONS, "action_type")
    flat = {key: value for key, value in data.items() if key not in ("action_type", "parameters")}
    fields = Fields(str(name), {**flat, **mapping(data.get("parameters") or {}, "parameters")}, spec)
    x, y = _at(fields, view)
    match name:
        case "MOVE_TO":
            return (Move(*fields.place(view)),)
        case "CLICK":
            return (Click(x, y, _button(fields), fields.whole("num_clicks", 1, 3, 1)),)
        case "RIGHT_CLICK":
            return (Click(x, y, "right"),)
        case "DOUBLE_CLICK":
            return (Click(x, y, "left", 2),)
        case "MOUSE_DOWN":
            return (MouseDown(_button(fields)),)
        case "MOUSE_UP":
            return (MouseUp(_button(fields)),)
        case "DRAG_TO":
            return (DragTo(*fields.place(view)),)
        case "SCROLL":
            return (Scroll(dx=fields.whole("dx", -1000, 1000), dy=-fields.whole("dy", -1000, 1000)),)
        case "TYPING":
            return (Type(fields.typed("text")),)
        case "PRESS":
            return (Key((_key(fields),)),)
        case "KEY_DOWN":
            return (KeyDown(_key(fields)),)
        case "KEY_UP":
            return (KeyUp(_key(fields)),)
        case "HOTKEY":
            return (Key(combination(fields.items("keys", 1, 16), "keys")),)
        case "WAIT":
            return (Wait(WAIT_MS),)
        case _:
            return (Stop("done" if name == "DONE" else "failed"),)


def write(steps: Sequence[Step], view: View) -> list[dict[str, Any]]:
    """The same as actions of OSWorld's; ActionValueError for what they have no words for."""
    return [call for step in steps for call in _write(step, view)]


def _write(step: Step, view: View) -> list[dict[str, Any]]:
    match step:
        case Move():
            return [_call("MOVE_TO", **_xy(step, view))]
        case Click():
            only(step, NAME, modifiers=())
            if step.button in BUTTONS:
                return [_call("CLICK", button=step.button, **_xy(step, view), num_clicks=step.count)]
        case MouseDown() | MouseUp() if step.button in BUTTONS:
            moved = [] if step.x is None else [_call("MOVE_TO", **_xy(step, view))]
            return [*moved, _call("MOUSE_DOWN" if isinstance(step, MouseDown) else "MOUSE_UP", button=step.button)]
        case DragTo():
            only(step, NAME, button="left", duration_ms=None)
            return [_call("DRAG_TO", **_xy(step, view))]
        case Scroll():
            only(step, NAME, modifiers=())
            moved = [] if step.x is None else [_call("MOVE_TO", **_xy(step, view))]
            return [*moved, _call("SCROLL", dx=step.dx, dy=-step.dy)]
        case Type():
            only(step, NAME, delay_ms=0)
            return [_call("TYPING", text=step.text)]
        case Key():
            keys = spelled(step.keys)
            return [_call("PRESS", key=keys[0]) if len(keys) == 1 else _call("HOTKEY", keys=keys)] * step.repeat
        case KeyDown(exact=None):
            return [_call("KEY_DOWN", key=step.key)]
        case KeyUp():
            return [_call("KEY_UP", key=step.key)]
        case Wait(duration_ms=duration) if duration == WAIT_MS:
            return [_call("WAIT")]
        case Stop(outcome="done", text=""):
            return [_call("DONE")]
        case Stop(outcome="failed", text=""):
            return [_call("FAIL")]
    raise cannot(NAME, step, f"its actions are {', '.join(ACTIONS)}")


def _at(fields: Fields, view: View) -> tuple[int, int] | tuple[None, None]:
    return fields.place(view) if "x" in fields or "y" in fields else (None, None)


def _button(fields: Fields) -> Button:
    return fields.choice("button", BUTTONS, "left")


def _key(fields: Fields) -> str:
    return one(fields.text("key"), "key")


def _xy(step: Any, view: View) -> dict[str, int]:
    return {} if step.x is None else dict(zip("xy", view.to_picture(step.x, step.y), strict=True))


def _call(name: str, **parameters: Any) -> dict[str, Any]:
    return {"action_type": name, "parameters": parameters}
