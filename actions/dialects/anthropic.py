"""Anthropic's computer use: the single tool in three versions, and the toolset of 2026. Pure.

Follows the SDK's types (`anthropic.types.beta.beta_computer_*_input`) and, for the older tools, which take one object
with an "action", the reference implementation. Coordinates are pixels of the picture that the model was sent.
`left_click_drag` without a start drags from where the pointer is; `key` takes several combinations with spaces between,
as xdotool does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from actions.dialects.fields import Fields, Specs, mapping, spec_of, whole
from actions.dialects.keys import MOST_MODIFIERS, chord, chords, joined
from actions.dialects.say import CLICKS, DIRECTIONS, cannot, only, turns, wheel
from actions.dialects.steps import DragTo, Step
from actions.dialects.view import View
from actions.errors import ActionValueError
from actions.model import (
    MAX_DURATION_MS,
    Click,
    CursorPosition,
    Drag,
    Hold,
    Key,
    MouseDown,
    MouseUp,
    Move,
    Screenshot,
    Scroll,
    Type,
    Wait,
)

Version = Literal["computer_20241022", "computer_20250124", "computer_20251124", "computer_toolset_20260801"]
TOOLSET: Version = "computer_toolset_20260801"
SKIPPED = "Not executed: an earlier computer action in this turn failed."

_FIRST: Specs = {
    "key": ("text",),
    "type": ("text",),
    "mouse_move": ("coordinate",),
    "left_click": (),
    "left_click_drag": ("coordinate",),
    "right_click": (),
    "middle_click": (),
    "double_click": (),
    "screenshot": (),
    "cursor_position": (),
}
_CLICK = ("coordinate?", "text?")
_SECOND: Specs = {
    **_FIRST,
    **dict.fromkeys(("left_click", "right_click", "middle_click", "double_click", "triple_click"), _CLICK),
    "left_click_drag": ("coordinate", "start_coordinate?"),
    "left_mouse_down": (),
    "left_mouse_up": (),
    "scroll": ("scroll_direction", "scroll_amount", "coordinate?", "text?"),
    "hold_key": ("text", "duration"),
    "wait": ("duration",),
}
_THIRD: Specs = {
    **_SECOND,
    "key": ("text", "repeat?"),
    "left_click_drag": ("coordinate", "start_coordinate?", "text?"),
    "zoom": ("region",),
}
ACTIONS: Mapping[Version, Specs] = {
    "computer_20241022": _FIRST,
    "computer_20250124": _SECOND,
    "computer_20251124": _THIRD,
    TOOLSET: {**_THIRD, "left_click_drag": ("start_coordinate", "coordinate", "text?")},
}
_CLICKS: Mapping[str, tuple[Any, int]] = {name: clicks for clicks, name in CLICKS.items()}


def read(version: Version, given: object, view: View, *, zoom: bool = True) -> tuple[Step, ...]:
    """The steps of a call of the single tool: an object with "action". `zoom`: whether the tool was offered with it."""
    data = dict(mapping(given, "input"))
    return read_member(version, data.pop("action", None), data, view, zoom=zoom)


def read_member(version: Version, name: object, given: object, view: View, *, zoom: bool = True) -> tuple[Step, ...]:
    """The steps of a call of one member of the toolset. Raises ActionValueError in the model's own words."""
    specs = ACTIONS[version] if zoom else {n: spec for n, spec in ACTIONS[version].items() if n != "zoom"}
    spec = spec_of(name, specs)
    fields = Fields(str(name), mapping(given, "input"), spec)
    if name in _CLICKS:
        x, y = fields.pair_or_none("coordinate", view)
        button, count = _CLICKS[str(name)]
        return (Click(x, y, button, count, _held(fields)),)
    match name:
        case "key":
            repeat = fields.whole("repeat", 1, 1000, 1)
            keys = [Key(combination, repeat) for combination in chords(fields.text("text"), "text")]
            return tuple(keys) if len(keys) == 1 else tuple(Key(key.keys) for key in keys) * repeat
        case "hold_key":
            return (Hold(chord(fields.text("text"), "text"), fields.seconds_ms("duration")),)
        case "type":
            return (Type(fields.typed("text")),)
        case "wait":
            return (Wait(fields.seconds_ms("duration")),)
        case "mouse_move":
            return (Move(*fields.pair("coordinate", view)),)
        case "left_mouse_down":
            return (MouseDown(),)
        case "left_mouse_up":
            return (MouseUp(),)
        case "left_click_drag":
            return (_drag(fields, view),)
        case "scroll":
            x, y = fields.pair_or_none("coordinate", view)
            direction = fields.choice("scroll_direction", DIRECTIONS)
            amount = fields.whole("scroll_amount", 0, 1000)
            return (Scroll(x, y, *wheel(direction, amount), _held(fields)),)
        case "cursor_position":
            return (CursorPosition(),)
        case "zoom":
            return (Screenshot(region=_region(fields.items("region", 4, 4), view)),)
        case _:
            return (Screenshot(),)


def acknowledged(name: str, given: object) -> str:
    """What a model is told of an action that was done, in the words of the vendor's SDK."""
    data = given if isinstance(given, Mapping) else {}
    return {
        "left_click": "Clicked.",
        "right_click": "Right-clicked.",
        "middle_click": "Middle-clicked.",
        "double_click": "Double-clicked.",
        "triple_click": "Triple-clicked.",
        "key": f"Pressed {data.get('text')}.",
        "hold_key": f"Held {data.get('text')} for {data.get('duration')}s.",
        "type": "Typed.",
        "mouse_move": "Moved the mouse.",
        "left_click_drag": "Dragged.",
        "left_mouse_down": "Left mouse button pressed.",
        "left_mouse_up": "Left mouse button released.",
        "scroll": f"Scrolled {data.get('scroll_direction')}.",
        "wait": f"Waited {data.get('duration')}s.",
    }.get(name, "Done.")


def write(version: Version, steps: Sequence[Step], view: View) -> list[dict[str, Any]]:
    """The same as calls of the single tool, objects with "action"; ActionValueError for what it has no words for.

    A member of the toolset has the name of the action, and the rest as its input. How a picture is encoded is not said.
    """
    return [call for step in steps for call in _write(version, step, view)]


def _held(fields: Fields) -> tuple[str, ...]:
    return chord(fields.text("text"), "text", most=MOST_MODIFIERS) if "text" in fields else ()


def _drag(fields: Fields, view: View) -> Step:
    end = fields.pair("coordinate", view)
    if "start_coordinate" in fields:
        return Drag((fields.pair("start_coordinate", view), end), modifiers=_held(fields))
    if "text" in fields:
        raise ActionValueError(
            "a drag from where the pointer is holds no keys", hint="give start_coordinate as well", field="text"
        )
    return DragTo(*end)


def _region(parts: list[object], view: View) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (whole(part, 0, 2**31, "region") for part in parts)
    width, height = view.picture
    if not (x0 < x1 <= width and y0 < y1 <= height):
        raise ActionValueError(
            f"[{x0}, {y0}, {x1}, {y1}] is no part of the screenshot",
            hint=f"[x0, y0, x1, y1] with x0 < x1 up to {width} and y0 < y1 up to {height}",
            field="region",
        )
    return view.region_to_screen(x0, y0, x1, y1)


def _write(version: Version, step: Step, view: View) -> list[dict[str, Any]]:
    specs = ACTIONS[version]
    calls: list[dict[str, Any]]
    match step:
        case Move():
            return [{"action": "mouse_move", **_at(step, view)}]
        case Click():
            return _write_click(version, step, view)
        case MouseDown() | MouseUp():
            only(step, version, button="left")
            name = "left_mouse_down" if isinstance(step, MouseDown) else "left_mouse_up"
            calls = (
                [{"action": name}]
                if step.x is None
                else [{"action": "mouse_move", **_at(step, view)}, {"action": name}]
            )
        case Drag():
            only(step, version, button="left", duration_ms=None)
            if len(step.path) != 2:
                raise cannot(version, step, "it drags from one place to another, not along a path")
            start, end = (list(view.to_picture(*place)) for place in step.path)
            calls = [
                {"action": "left_click_drag", "start_coordinate": start, "coordinate": end, **_text(step.modifiers)}
            ]
        case DragTo():
            only(step, version, button="left", duration_ms=None)
            calls = [{"action": "left_click_drag", **_at(step, view)}]
        case Scroll():
            rest = {**_at(step, view), **_text(step.modifiers)}
            turned = turns(step) or [("down", 0)]
            calls = [{"action": "scroll", "scroll_direction": d, "scroll_amount": n, **rest} for d, n in turned]
        case Key():
            if step.repeat > 1 and "repeat?" in specs["key"]:
                calls = [{"action": "key", "text": joined(step.keys), "repeat": step.repeat}]
            else:
                calls = [{"action": "key", "text": joined(step.keys)}] * step.repeat
        case Hold():
            calls = [{"action": "hold_key", "text": joined(step.keys), "duration": _seconds(version, step)}]
        case Type():
            only(step, version, delay_ms=0)
            calls = [{"action": "type", "text": step.text}]
        case Wait():
            calls = [{"action": "wait", "duration": _seconds(version, step)}]
        case CursorPosition():
            calls = [{"action": "cursor_position"}]
        case Screenshot(region=None):
            calls = [{"action": "screenshot"}]
        case Screenshot(region=region) if region is not None:
            calls = [{"action": "zoom", "region": list(view.region_to_picture(*region))}]
        case _:
            raise cannot(version, step, f"its actions are {', '.join(specs)}")
    return [_known(version, step, call) for call in calls]


def _write_click(version: Version, step: Click, view: View) -> list[dict[str, Any]]:
    name = CLICKS.get((step.button, step.count))
    if name is None:
        raise cannot(version, step, f"its clicks are {', '.join(CLICKS.values())}")
    call = {"action": name, **_at(step, view), **_text(step.modifiers)}
    if "coordinate?" in ACTIONS[version].get(name, _CLICK) or step.x is None:
        return [_known(version, step, call)]
    move = {"action": "mouse_move", "coordinate": call.pop("coordinate")}
    return [move, _known(version, step, call)]


def _known(version: Version, step: Step, call: dict[str, Any]) -> dict[str, Any]:
    spec = ACTIONS[version].get(call["action"])
    names = {name.rstrip("?") for name in spec or ()} | {"action"}
    if spec is None or not call.keys() <= names:
        raise cannot(version, step, f"its actions are {', '.join(ACTIONS[version])}")
    return call


def _at(step: Any, view: View) -> dict[str, list[int]]:
    return {} if step.x is None else {"coordinate": list(view.to_picture(step.x, step.y))}


def _text(modifiers: Sequence[str]) -> dict[str, str]:
    return {"text": joined(modifiers)} if modifiers else {}


def _seconds(version: Version, step: Hold | Wait) -> int | float:
    whole_s, rest = divmod(step.duration_ms, 1000)
    if rest and version == TOOLSET:
        raise cannot(version, step, "its durations are whole seconds")
    assert step.duration_ms <= MAX_DURATION_MS
    return step.duration_ms / 1000 if rest else whole_s
