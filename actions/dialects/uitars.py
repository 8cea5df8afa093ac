"""UI-TARS: a thought, then actions as calls with texts, such as click(start_box='(100,200)'). Parsed, never run. Pure.

Places are pixels of the picture the model saw (version 1.5), or thousandths (version 1.0: a View with a picture of
1000×1000), written '(x,y)', '<|box_start|>(x,y)<|box_end|>', '[x0, y0, x1, y1]' (its middle) or '<point>x y</point>'.
A scroll is five steps of the wheel, a wait five seconds; a line end at the end of what is typed submits it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from actions.dialects.fields import Fields, Specs, place, shown, spec_of
from actions.dialects.keys import chord, combination, spelled
from actions.dialects.say import DIRECTIONS, cannot, only, place_of, turns, wheel
from actions.dialects.steps import Step, Stop
from actions.dialects.view import Place, View
from actions.errors import ActionValueError
from actions.model import Button, Click, Drag, Key, Scroll, Type, Wait

NAME = "ui-tars"
SCROLL_STEPS, WAIT_MS = 5, 5000
MAX_TEXT = 100_000
ACTIONS: Specs = {
    "click": ("start_box",),
    "left_double": ("start_box",),
    "right_single": ("start_box",),
    "drag": ("start_box", "end_box"),
    "hotkey": ("key",),
    "type": ("content",),
    "scroll": ("start_box", "direction"),
    "wait": (),
    "finished": ("content?",),
    "call_user": (),
}
_CLICKS: dict[str, tuple[Button, int]] = {
    "click": ("left", 1),
    "left_double": ("left", 2),
    "right_single": ("right", 1),
}
_SAME = {"point": "start_box", "start_point": "start_box", "end_point": "end_box"}
_NUMBER = r"-?\d+(?:\.\d+)?"


def read(answer: object, view: View) -> tuple[Step, ...]:
    """The steps of an answer: what follows "Action:", or all of it. Raises ActionValueError."""
    if not isinstance(answer, str) or len(answer) > MAX_TEXT:
        raise ActionValueError(f"the answer cannot be {shown(answer)}", hint=f"a text of at most {MAX_TEXT} characters")
    text = re.split(r"(?:^|\n)\s*Action:", answer)[-1].strip()
    try:
        tree = ast.parse(re.sub(r"\n\s*\n?\s*(?=\w+\()", "\n", text))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = getattr(error, "msg", error)
        raise ActionValueError(
            f"the action cannot be read: {said}", hint="for example click(start_box='(100,200)')", field="Action"
        ) from None
    steps = [step for line in tree.body for step in _action(line, view)]
    if not steps:
        raise ActionValueError("the answer has no action", hint=f"actions: {', '.join(ACTIONS)}", field="Action")
    return tuple(steps)


def write(steps: Sequence[Step], view: View) -> list[str]:
    """The same as calls of UI-TARS; ActionValueError for what it has no words for."""
    return [_write(step, view) for step in steps]


def _action(line: ast.stmt, view: View) -> tuple[Step, ...]:
    if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Call) and isinstance(line.value.func, ast.Name)):
        raise ActionValueError(
            f"{shown(ast.unparse(line))} is no action", hint=f"actions: {', '.join(ACTIONS)}", field="Action"
        )
    call, name = line.value, line.value.func.id
    spec = spec_of(name, ACTIONS)
    given: dict[str, object] = {}
    for number, value in enumerate([*call.args, *(keyword.value for keyword in call.keywords)]):
        key = None if number < len(call.args) else call.keywords[number - len(call.args)].arg
        if key is None or not isinstance(value, ast.Constant) or not isinstance(value.value, str):
            raise ActionValueError(f"{name} takes texts by name", hint=f"{name} takes: {', '.join(spec)}", field=key)
        given[_SAME.get(key, key)] = value.value
    return _steps(name, Fields(name, given, spec), view)


def _steps(name: str, fields: Fields, view: View) -> tuple[Step, ...]:
    if name in _CLICKS:
        return (Click(*_box(fields, "start_box", view), *_CLICKS[name]),)
    match name:
        case "drag":
            return (Drag((_box(fields, "start_box", view), _box(fields, "end_box", view))),)
        case "hotkey":
            keys = fields.text("key").split()
            return (Key(combination(keys, "key") if len(keys) > 1 else chord(fields.text("key").strip(), "key")),)
        case "type":
            return (Type(fields.typed("content")),)
        case "scroll":
            direction = fields.choice("direction", DIRECTIONS)
            return (Scroll(*_box(fields, "start_box", view), *wheel(direction, SCROLL_STEPS)),)
        case "wait":
            return (Wait(WAIT_MS),)
        case "finished":
            return (Stop("done", fields.text("content")),)
        case _:
            return (Stop("ask"),)


def _box(fields: Fields, name: str, view: View) -> Place:
    text = fields.text(name, longest=200)
    numbers = [float(part) for part in re.findall(_NUMBER, text)]
    rest = re.sub(rf"{_NUMBER}|<\|box_(?:start|end)\|>|</?(?:point|bbox)>|[\s,()\[\]]", "", text)
    if rest or len(numbers) not in (2, 4):
        raise ActionValueError(f"{name} cannot be {shown(text)}", hint="it is '(x,y)'", field=name)
    if len(numbers) == 4:
        numbers = [(numbers[0] + numbers[2]) // 2, (numbers[1] + numbers[3]) // 2]
    return place(numbers, view, name)


def _write(step: Step, view: View) -> str:
    match step:
        case Click():
            only(step, NAME, modifiers=())
            at = _said(place_of(step, NAME), view)
            name = next((n for n, click in _CLICKS.items() if click == (step.button, step.count)), None)
            if name is not None:
                return _call(name, start_box=at)
        case Drag():
            only(step, NAME, button="left", modifiers=(), duration_ms=None)
            if len(step.path) == 2:
                start, end = (_said(point, view) for point in step.path)
                return _call("drag", start_box=start, end_box=end)
        case Key(repeat=1):
            return _call("hotkey", key=" ".join(spelled(step.keys)))
        case Type():
            only(step, NAME, delay_ms=0)
            return _call("type", content=step.text)
        case Scroll():
            only(step, NAME, modifiers=())
            at, turned = _said(place_of(step, NAME), view), turns(step)
            if len(turned) == 1 and turned[0][1] == SCROLL_STEPS:
                return _call("scroll", start_box=at, direction=turned[0][0])
        case Wait(duration_ms=duration) if duration == WAIT_MS:
            return "wait()"
        case Stop(outcome="done"):
            return _call("finished", content=step.text)
        case Stop(outcome="ask", text=""):
            return "call_user()"
    raise cannot(NAME, step, f"its actions are {', '.join(ACTIONS)}, as they are")


def _said(place_on_screen: Place, view: View) -> str:
    x, y = view.to_picture(*place_on_screen)
    return f"({x},{y})"


def _call(name: str, **values: Any) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in values.items())})"
