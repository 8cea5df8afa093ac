"""Steps as calls of Gemini's functions, of either generation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actions.dialects.fields import Specs
from actions.dialects.gemini import (
    BACK,
    CLICKS_BY_NAME,
    CURRENT,
    DELETE,
    ENTER,
    FORWARD,
    FROM_TO,
    HOME_PAGE,
    LEGACY,
    PAGE_DOWN,
    PAGE_UP,
    SEARCH_PAGE,
    SELECT_ALL,
    TO,
    Generation,
)
from actions.dialects.keys import joined, spelled
from actions.dialects.pixels import PX_PER_STEP, steps_of
from actions.dialects.say import cannot, only, place_of, turns
from actions.dialects.steps import Launch, Open, Step
from actions.dialects.view import View
from actions.model import Click, Drag, Key, KeyDown, KeyUp, MouseDown, MouseUp, Move, Screenshot, Scroll, Type, Wait

Call = tuple[str, dict[str, Any]]


def write(generation: Generation, steps: Sequence[Step], view: View) -> list[Call]:
    """The same as function calls, (name, args); ActionValueError for what the generation has no words for."""
    calls: list[Call] = []
    rest = list(steps)
    while rest:
        count, call = (_typed if generation == "current" else _typed_at)(rest, view)
        if call is not None:
            calls.append(call)
            del rest[:count]
            continue
        step = rest.pop(0)
        name, args = _write_current(step, view) if generation == "current" else _write_legacy(step, view)
        calls.append((name, args))
    return calls


def _typed(steps: list[Step], view: View) -> tuple[int, Call | None]:
    if not isinstance(steps[0], Type):
        return 0, None
    only(steps[0], "gemini", delay_ms=0)
    entered = steps[1:2] == [ENTER]
    return 1 + entered, ("type", {"text": steps[0].text, "press_enter": entered})


def _typed_at(steps: list[Step], view: View) -> tuple[int, Call | None]:
    """A click, perhaps ctrl+a and Delete, then text, perhaps Return: the only way legacy models have to type."""
    cleared = steps[1:3] == [SELECT_ALL, DELETE]
    text = steps[3 if cleared else 1 :][:1]
    if not (isinstance(steps[0], Click) and text and isinstance(text[0], Type)):
        return 0, None
    only(text[0], "gemini", delay_ms=0)
    count = 4 if cleared else 2
    entered = steps[count : count + 1] == [ENTER]
    args = {"text": text[0].text, "press_enter": entered, "clear_before_typing": cleared}
    return count + entered, ("type_text_at", {**_write_legacy(steps[0], view)[1], **args})


def _write_both(step: Step, view: View, names: Sequence[str], specs: Specs) -> Call:
    match step:
        case Open():
            return "navigate", {"url": step.target}
        case Drag():
            only(step, "gemini", button="left", duration_ms=None, modifiers=())
            if len(step.path) == 2:
                values = [number for point in step.path for number in view.to_picture(*point)]
                return "drag_and_drop", dict(zip(names, values, strict=True))
    raise cannot("gemini", step, f"its functions are {', '.join(specs)}")


def _write_current(step: Step, view: View) -> Call:
    if step in (BACK, FORWARD):
        return ("go_back" if step == BACK else "go_forward"), {}
    match step:
        case Click():
            only(step, "gemini", modifiers=())
            place_of(step, "gemini")
            name = next((n for n, click in CLICKS_BY_NAME.items() if click == (step.button, step.count)), None)
            if name is not None:
                return name, _xy(step, view)
        case MouseDown(button="left", x=int()):
            return "mouse_down", _xy(step, view)
        case MouseUp(button="left", x=int()):
            return "mouse_up", _xy(step, view)
        case Move():
            return "move", _xy(step, view)
        case Wait():
            whole, rest = divmod(step.duration_ms, 1000)
            return "wait", {"seconds": step.duration_ms / 1000 if rest else whole}
        case Key(repeat=1):
            return (
                ("press_key", {"key": joined(step.keys)})
                if len(step.keys) == 1
                else ("hotkey", {"keys": spelled(step.keys)})
            )
        case KeyDown(exact=None) | KeyUp():
            return ("key_down" if isinstance(step, KeyDown) else "key_up"), {"key": step.key}
        case Scroll():
            return "scroll", _scroll(step, view, "magnitude_in_pixels", lambda pixels, direction: pixels)
        case Launch():
            return "open_app", {"app_name": step.app}
        case Screenshot(region=None):
            return "take_screenshot", {}
    return _write_both(step, view, FROM_TO, CURRENT)


def _write_legacy(step: Step, view: View) -> Call:
    known: list[tuple[Step, str, dict[str, Any]]] = [
        (BACK, "go_back", {}),
        (FORWARD, "go_forward", {}),
        (PAGE_DOWN, "scroll_document", {"direction": "down"}),
        (PAGE_UP, "scroll_document", {"direction": "up"}),
        (Wait(5000), "wait_5_seconds", {}),
        (Open(SEARCH_PAGE), "search", {}),
        (Open(HOME_PAGE), "open_web_browser", {}),
    ]
    for meant, name, args in known:
        if step == meant:
            return name, args
    match step:
        case Click(button="left", count=1):
            only(step, "gemini", modifiers=())
            place_of(step, "gemini")
            return "click_at", _xy(step, view)
        case Move():
            return "hover_at", _xy(step, view)
        case Key(repeat=1):
            return "key_combination", {"keys": joined(step.keys)}
        case Scroll(x=None, dy=0) if abs(step.dx) == steps_of(view.screen[0] // 2):
            only(step, "gemini", modifiers=())
            return "scroll_document", {"direction": turns(step)[0][0]}
        case Scroll():
            return "scroll_at", _scroll(step, view, "magnitude", lambda pixels, way: _to_grid(pixels, way, view))
    return _write_both(step, view, TO, LEGACY)


def _scroll(step: Scroll, view: View, name: str, size: Any) -> dict[str, Any]:
    only(step, "gemini", modifiers=())
    place_of(step, "gemini")
    turned = turns(step)
    if len(turned) != 1:
        raise cannot("gemini", step, "it scrolls in one direction at a time")
    direction, steps = turned[0]
    magnitude = size(steps * PX_PER_STEP, direction)
    if magnitude is None:
        raise cannot("gemini", step, "it scrolls by less than the size of the screen")
    return {**_xy(step, view), "direction": direction, name: magnitude}


def _to_grid(pixels: int, direction: str, view: View) -> int | None:
    magnitude = -(-pixels * 1000 // view.screen[direction in ("up", "down")])
    return magnitude if magnitude <= 999 else None


def _xy(step: Any, view: View) -> dict[str, int]:
    return dict(zip("xy", view.to_picture(step.x, step.y), strict=True))
