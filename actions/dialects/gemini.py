"""Gemini's computer use: the functions of gemini-3.5-flash and later, and those of the models before. Pure.

Follows Google's documentation and reference agent. Places are thousandths of the screen, 0 to 999 (a View with a
picture of 1000×1000). Every call may carry `intent` and `safety_decision`; who runs calls asks about the latter. Back,
forward, search and navigate are what a browser in the foreground does with them. Text is not submitted unless
`press_enter` says so.
"""

from __future__ import annotations

from typing import Literal

from actions.dialects.fields import Fields, Specs, mapping, spec_of
from actions.dialects.keys import chord, combination, one
from actions.dialects.pixels import steps_of
from actions.dialects.say import CLICKS, DIRECTIONS, wheel
from actions.dialects.steps import Launch, Open, Step
from actions.dialects.view import Size, View
from actions.errors import ActionValueError
from actions.model import (
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

Generation = Literal["current", "legacy"]
GRID: Size = (1000, 1000)
HOME_PAGE, SEARCH_PAGE = "about:blank", "https://www.google.com"
BACK, FORWARD = Key(("alt", "Left")), Key(("alt", "Right"))
SELECT_ALL, DELETE, ENTER = Key(("ctrl", "a")), Key(("Delete",)), Key(("Return",))
PAGE_DOWN, PAGE_UP = Key(("Page_Down",)), Key(("Page_Up",))

_XY = ("x", "y")
TO = ("x", "y", "destination_x", "destination_y")
FROM_TO = ("start_x", "start_y", "end_x", "end_y")
_BROWSER: Specs = {"go_back": (), "go_forward": (), "navigate": ("url",)}
CURRENT: Specs = {
    **dict.fromkeys(("click", "double_click", "triple_click", "middle_click", "right_click"), _XY),
    **dict.fromkeys(("mouse_down", "mouse_up", "move"), _XY),
    "type": ("text", "press_enter?"),
    "drag_and_drop": FROM_TO,
    "wait": ("seconds?",),
    "press_key": ("key",),
    "key_down": ("key",),
    "key_up": ("key",),
    "hotkey": ("keys",),
    "take_screenshot": (),
    "scroll": ("x", "y", "direction", "magnitude_in_pixels?", "magnitude?"),
    **_BROWSER,
    "open_app": ("app_name",),
    "long_press": ("x", "y", "seconds?"),
}
LEGACY: Specs = {
    "open_web_browser": (),
    "click_at": _XY,
    "hover_at": _XY,
    "type_text_at": ("x", "y", "text", "press_enter?", "clear_before_typing?"),
    "scroll_document": ("direction",),
    "scroll_at": ("x", "y", "direction", "magnitude?"),
    "wait_5_seconds": (),
    **_BROWSER,
    "search": (),
    "key_combination": ("keys",),
    "drag_and_drop": TO,
}
ACTIONS: dict[Generation, Specs] = {"current": CURRENT, "legacy": LEGACY}
CLICKS_BY_NAME: dict[str, tuple[Button, int]] = {
    name: next(key for key, ours in CLICKS.items() if ours == ("left_click" if name == "click" else name))
    for name in ("click", "double_click", "triple_click", "middle_click", "right_click")
}
_SAID = ("intent?", "safety_decision?")


def read(generation: Generation, name: object, args: object, view: View) -> tuple[Step, ...]:
    """The steps of one function call. `view.picture` is GRID. Raises ActionValueError."""
    if name == "list_apps":
        hint = "this is a Linux desktop; open_app starts one by its name"
        raise ActionValueError("list_apps is for phones", hint=hint, field="function")
    spec = spec_of(name, ACTIONS[generation], "function")
    given = mapping({} if args is None else args, "args")
    if name == "drag_and_drop":
        spec = TO if "destination_x" in given else FROM_TO if "start_x" in given else spec
    fields = Fields(str(name), given, [*spec, *_SAID])
    return _common(name, fields, view) or (_current if generation == "current" else _legacy)(name, fields, view)


def _common(name: object, fields: Fields, view: View) -> tuple[Step, ...]:
    match name:
        case "go_back":
            return (BACK,)
        case "go_forward":
            return (FORWARD,)
        case "navigate":
            return (Open(fields.text("url", longest=8192)),)
        case "drag_and_drop":
            names = TO if "destination_x" in fields else FROM_TO
            return (Drag((fields.place(view, *names[:2]), fields.place(view, *names[2:]))),)
        case _:
            return ()


def _current(name: object, fields: Fields, view: View) -> tuple[Step, ...]:
    if name in CLICKS_BY_NAME:
        return (Click(*fields.place(view), *CLICKS_BY_NAME[str(name)]),)
    match name:
        case "mouse_down":
            return (MouseDown("left", *fields.place(view)),)
        case "mouse_up":
            return (MouseUp("left", *fields.place(view)),)
        case "move":
            return (Move(*fields.place(view)),)
        case "type":
            return (Type(fields.typed("text")), *([ENTER] if fields.flag("press_enter", default=False) else []))
        case "wait":
            return (Wait(fields.seconds_ms("seconds", 1)),)
        case "long_press":
            x, y = fields.place(view)
            return (MouseDown("left", x, y), Wait(fields.seconds_ms("seconds", 2, most_s=30)), MouseUp("left", x, y))
        case "press_key":
            return (Key(chord(fields.text("key"), "key")),)
        case "key_down":
            return (KeyDown(one(fields.text("key"), "key")),)
        case "key_up":
            return (KeyUp(one(fields.text("key"), "key")),)
        case "hotkey":
            return (Key(combination(fields.items("keys", 1, 16), "keys")),)
        case "scroll":
            direction = fields.choice("direction", DIRECTIONS)
            if "magnitude" in fields:
                pixels = _of_grid(fields, view, direction)
            else:
                pixels = fields.whole("magnitude_in_pixels", 0, 100_000, 300)
            return (Scroll(*fields.place(view), *wheel(direction, steps_of(pixels))),)
        case "open_app":
            return (Launch(fields.text("app_name", longest=256)),)
        case _:
            return (Screenshot(),)


def _legacy(name: object, fields: Fields, view: View) -> tuple[Step, ...]:
    match name:
        case "click_at":
            return (Click(*fields.place(view)),)
        case "hover_at":
            return (Move(*fields.place(view)),)
        case "type_text_at":
            clear = [SELECT_ALL, DELETE] if fields.flag("clear_before_typing", default=True) else []
            enter = [ENTER] if fields.flag("press_enter", default=False) else []
            return (Click(*fields.place(view)), *clear, Type(fields.typed("text")), *enter)
        case "scroll_document":
            direction = fields.choice("direction", DIRECTIONS)
            if direction in ("up", "down"):
                return (PAGE_DOWN if direction == "down" else PAGE_UP,)
            return (Scroll(None, None, *wheel(direction, steps_of(view.screen[0] // 2))),)
        case "scroll_at":
            direction = fields.choice("direction", DIRECTIONS)
            return (Scroll(*fields.place(view), *wheel(direction, steps_of(_of_grid(fields, view, direction)))),)
        case "wait_5_seconds":
            return (Wait(5000),)
        case "search":
            return (Open(SEARCH_PAGE),)
        case "key_combination":
            return (Key(chord(fields.text("keys"), "keys")),)
        case _:
            return (Open(HOME_PAGE),)


def _of_grid(fields: Fields, view: View, direction: str) -> int:
    """Pixels of a scroll that is given in thousandths of the screen."""
    return fields.whole("magnitude", 0, 999, 800) * view.screen[direction in ("up", "down")] // 1000
