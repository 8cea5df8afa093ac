"""Steps as lines of pyautogui. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actions.dialects.keys import spelled
from actions.dialects.say import cannot, only
from actions.dialects.steps import DragBy, DragTo, MoveBy, Step, Stop
from actions.dialects.view import View
from actions.model import Click, Drag, Key, KeyDown, KeyUp, MouseDown, MouseUp, Move, Screenshot, Scroll, Type, Wait

NAME = "pyautogui"


def write(steps: Sequence[Step], view: View) -> list[str]:
    """The same as code, one text a step; ActionValueError for what pyautogui has no words for."""
    return [_write(step, view) for step in steps]


def _write(step: Step, view: View) -> str:
    match step:
        case Move():
            return _call("moveTo", **_xy(step, view))
        case MoveBy():
            return _call("move", xOffset=step.dx, yOffset=step.dy)
        case Click(button="left" | "right" | "middle"):
            return _holding(step.modifiers, [_call("click", **_xy(step, view), clicks=step.count, button=step.button)])
        case MouseDown(button="left" | "right" | "middle"):
            return _call("mouseDown", **_xy(step, view), button=step.button)
        case MouseUp(button="left" | "right" | "middle"):
            return _call("mouseUp", **_xy(step, view), button=step.button)
        case DragTo(button="left" | "right" | "middle"):
            return _call("dragTo", **_xy(step, view), **_duration(step), button=step.button)
        case DragBy(button="left" | "right" | "middle"):
            return _call("drag", xOffset=step.dx, yOffset=step.dy, **_duration(step), button=step.button)
        case Scroll():
            lines = [_call("scroll", clicks=-step.dy, **_xy(step, view))] if step.dy or not step.dx else []
            lines += [_call("hscroll", clicks=step.dx, **_xy(step, view))] if step.dx else []
            if len(lines) == 1:
                return _holding(step.modifiers, lines)
            only(step, NAME, modifiers=())
            return "\n".join(lines)
        case Key():
            keys = spelled(step.keys)
            if len(keys) == 1:
                return _call("press", keys=keys[0], **({"presses": step.repeat} if step.repeat > 1 else {}))
            return "\n".join([f"pyautogui.hotkey({', '.join(map(repr, keys))})"] * step.repeat)
        case KeyDown(exact=None):
            return _call("keyDown", key=step.key)
        case KeyUp():
            return _call("keyUp", key=step.key)
        case Type():
            return _call("write", message=step.text, **({"interval": step.delay_ms / 1000} if step.delay_ms else {}))
        case Wait():
            return f"time.sleep({step.duration_ms / 1000:g})"
        case Screenshot(region=None):
            return "pyautogui.screenshot()"
        case Stop(outcome="done", text=""):
            return "DONE"
        case Stop(outcome="failed", text=""):
            return "FAIL"
        case Drag():
            raise cannot(NAME, step, "it drags from where the pointer is: move there, then DragTo")
    raise cannot(NAME, step, "it has no such function")


def _call(name: str, **values: Any) -> str:
    return f"pyautogui.{name}({', '.join(f'{key}={value!r}' for key, value in values.items())})"


def _holding(keys: Sequence[str], lines: list[str]) -> str:
    if not keys:
        return "\n".join(lines)
    return "\n".join([f"with pyautogui.hold({spelled(keys)!r}):", *(f"    {line}" for line in lines)])


def _xy(step: Any, view: View) -> dict[str, int]:
    return {} if step.x is None else dict(zip("xy", view.to_picture(step.x, step.y), strict=True))


def _duration(step: DragTo | DragBy) -> dict[str, float]:
    return {} if step.duration_ms is None else {"duration": step.duration_ms / 1000}
