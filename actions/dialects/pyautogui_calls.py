"""The functions of pyautogui, each as steps: their parameters in their order, and what they come to. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from actions.dialects.fields import Fields, Specs, spec_of, whole
from actions.dialects.keys import MOST_MODIFIERS, combination, one
from actions.dialects.steps import DragBy, DragTo, MoveBy, Step
from actions.dialects.view import View
from actions.errors import ActionValueError
from actions.model import (
    Action,
    Button,
    Click,
    Drag,
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

BUTTONS: tuple[Button, ...] = ("left", "right", "middle")
_NAMES = ("primary", "secondary")
_AT = ("x?", "y?")
_REST = ("logScreenshot?", "_pause?")
_CLICK = (*_AT, "interval?", "button?", "duration?", "tween?", *_REST)
_BY = ("xOffset?", "yOffset?", "duration?", "tween?", *_REST)
_PRESS = (*_AT, "button?", "duration?", "tween?", *_REST)
FUNCTIONS: Specs = {
    "click": (*_AT, "clicks?", "interval?", "button?", "duration?", "tween?", *_REST),
    "leftClick": _CLICK,
    "rightClick": _CLICK,
    "middleClick": _CLICK,
    "doubleClick": _CLICK,
    "tripleClick": _CLICK,
    "moveTo": (*_AT, "duration?", "tween?", *_REST),
    "moveRel": _BY,
    "move": _BY,
    "dragTo": ("x", "y", "duration?", "tween?", "button?", *_REST, "mouseDownUp?"),
    "dragRel": ("xOffset?", "yOffset?", "duration?", "tween?", "button?", *_REST, "mouseDownUp?"),
    "drag": ("xOffset?", "yOffset?", "duration?", "tween?", "button?", *_REST, "mouseDownUp?"),
    "mouseDown": _PRESS,
    "mouseUp": _PRESS,
    "scroll": ("clicks", *_AT, *_REST),
    "vscroll": ("clicks", *_AT, *_REST),
    "hscroll": ("clicks", *_AT, *_REST),
    "write": ("message", "interval?", *_REST),
    "typewrite": ("message", "interval?", *_REST),
    "press": ("keys", "presses?", "interval?", *_REST),
    "hotkey": (),
    "keyDown": ("key", *_REST),
    "keyUp": ("key", *_REST),
    "screenshot": (),
    "sleep": ("seconds",),
}
_CLICKS: Mapping[str, tuple[Button, int]] = {
    "leftClick": ("left", 1),
    "rightClick": ("right", 1),
    "middleClick": ("middle", 1),
    "doubleClick": ("left", 2),
    "tripleClick": ("left", 3),
}


def steps_of(name: str, values: Sequence[object], named: Mapping[str, object], view: View) -> tuple[Step, ...]:
    """The steps of one call; ActionValueError for an unknown function or a wrong parameter."""
    spec = spec_of(name, FUNCTIONS, "function")
    if name == "hotkey":
        keys = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
        extra = {key: value for key, value in named.items() if key not in ("interval", "logScreenshot", "_pause")}
        Fields(name, extra, ())
        return (Key(combination(keys, "keys")),)
    if len(values) > len(spec):
        raise ActionValueError(f"{name} takes at most {len(spec)} parameters", hint=", ".join(spec))
    given = dict(zip((part.rstrip("?") for part in spec), values, strict=False))
    if twice := given.keys() & named.keys():
        raise ActionValueError(f"{name} has {', '.join(sorted(twice))} twice")
    given |= named
    if isinstance(given.get("x"), list) and "y" not in given:  # a place as one value
        pair = given["x"]
        assert isinstance(pair, list)
        given |= dict(zip("xy", pair, strict=True)) if len(pair) == 2 else {}
    return _steps(name, Fields(name, given, spec), given, view)


def _steps(name: str, fields: Fields, given: Mapping[str, object], view: View) -> tuple[Step, ...]:
    x, y = _at(fields, view)
    match name:
        case "click":
            return (Click(x, y, _button(fields), fields.whole("clicks", 1, 3, 1)),)
        case "leftClick" | "rightClick" | "middleClick" | "doubleClick" | "tripleClick":
            button, count = _CLICKS[name]
            chosen = _button(fields) if count > 1 else button
            return (Click(x, y, chosen, count),)
        case "moveTo":
            return (Move(*fields.place(view)),)
        case "move" | "moveRel":
            return (MoveBy(*_by(fields)),)
        case "dragTo":
            return (DragTo(*fields.place(view), _button(fields), _duration(fields)),)
        case "drag" | "dragRel":
            return (DragBy(*_by(fields), _button(fields), _duration(fields)),)
        case "mouseDown":
            return (MouseDown(_button(fields), x, y),)
        case "mouseUp":
            return (MouseUp(_button(fields), x, y),)
        case "scroll" | "vscroll":
            return (Scroll(x, y, 0, -fields.whole("clicks", -1000, 1000)),)
        case "hscroll":
            return (Scroll(x, y, fields.whole("clicks", -1000, 1000)),)
        case "write" | "typewrite":
            return _typing(fields, given)
        case "press":
            return _presses(fields, given)
        case "keyDown":
            return (KeyDown(one(fields.text("key"), "key")),)
        case "keyUp":
            return (KeyUp(one(fields.text("key"), "key")),)
        case "sleep":
            return (Wait(fields.seconds_ms("seconds")),)
        case _:
            return (Screenshot(),)


def held_keys(values: Sequence[object], named: Mapping[str, object]) -> tuple[str, ...]:
    """The keys of `pyautogui.hold(...)`."""
    keys = list(values) + [value for name, value in named.items() if name == "keys"]
    Fields("hold", {name: value for name, value in named.items() if name != "keys"}, _REST)
    flat = [key for part in keys for key in (part if isinstance(part, list) else [part])]
    return tuple(key for name in flat for key in combination([name], "keys", most=MOST_MODIFIERS))


def with_modifiers(step: Step, keys: tuple[str, ...]) -> Action | None:
    """The step with keys held, where it can be one action; else None."""
    if isinstance(step, Click | Drag | Scroll) and len(keys) <= MOST_MODIFIERS:
        return dataclasses.replace(step, modifiers=keys)
    return None


def _typing(fields: Fields, given: Mapping[str, object]) -> tuple[Step, ...]:
    delay = fields.seconds_ms("interval", most_s=10)
    message = given["message"]
    if not isinstance(message, list):
        return (Type(fields.typed("message"), delay),)
    return tuple(Key(combination([key], "message")) for key in message)


def _presses(fields: Fields, given: Mapping[str, object]) -> tuple[Step, ...]:
    presses = fields.whole("presses", 0, 1000, 1)
    pause = fields.seconds_ms("interval", most_s=10)
    wanted = given["keys"]
    keys = [combination([key], "keys") for key in (wanted if isinstance(wanted, list) else [wanted])]
    if len(keys) == 1 and presses and not pause:
        return (Key(keys[0], presses),)
    steps: list[Step] = []
    for key in keys * whole(presses, 0, max(1, 1000 // max(1, len(keys))), "presses"):
        steps += [Wait(pause)] if steps and pause else []
        steps.append(Key(key))
    return tuple(steps)


def _at(fields: Fields, view: View) -> tuple[int, int] | tuple[None, None]:
    return fields.place(view) if "x" in fields or "y" in fields else (None, None)


def _by(fields: Fields) -> tuple[int, int]:
    return fields.whole("xOffset", -32767, 32767), fields.whole("yOffset", -32767, 32767)


def _button(fields: Fields) -> Button:
    name = fields.choice("button", [*BUTTONS, *_NAMES], "left")
    for button, other in zip(BUTTONS, _NAMES, strict=False):
        if name in (button, other):
            return button
    return "middle"


def _duration(fields: Fields) -> int | None:
    return fields.seconds_ms("duration") if "duration" in fields else None
