"""OSWorld's action space "pyautogui": lines of Python, parsed and never run. Pure.

What is read: calls of pyautogui's functions and of `time.sleep` with plain values, `with pyautogui.hold(...)` around
them, imports of the two, comments, a code fence around it all, and the words WAIT, FAIL and DONE. Everything else
(names, loops, other modules) is refused with its line. Movement's `duration` is taken for drags, `interval` for typing;
`tween`, `logScreenshot` and `_pause` change nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from actions.dialects import pyautogui_calls as calls
from actions.dialects.fields import shown
from actions.dialects.pyautogui_write import write
from actions.dialects.steps import Step, Stop
from actions.dialects.view import View
from actions.errors import ActionValueError
from actions.model import KeyDown, KeyUp, Wait

__all__ = ["read", "write"]

MAX_CODE = 100_000
WAIT_MS = 2000
_WORDS: Mapping[str, Step] = {"WAIT": Wait(WAIT_MS), "FAIL": Stop("failed"), "DONE": Stop("done")}
_ALLOWED = "write calls such as pyautogui.click(100, 200) with plain numbers and texts, and time.sleep(1)"


def read(code: object, view: View) -> tuple[Step, ...]:
    """The steps of a program. Raises ActionValueError that names the line."""
    if not isinstance(code, str):
        raise ActionValueError(f"the code cannot be {shown(code)}", hint="it is a text")
    if len(code) > MAX_CODE:
        raise ActionValueError(f"the code has {len(code)} characters", hint=f"at most {MAX_CODE}")
    text = _unfenced(code)
    if text in _WORDS:
        return (_WORDS[text],)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        at = f" in line {line}" if line else ""
        raise ActionValueError(f"this is not Python{at}: {getattr(error, 'msg', error)}", hint=_ALLOWED) from None
    steps = tuple(step for line in tree.body for step in _statement(line, view))
    if not steps:
        raise ActionValueError("the code does nothing", hint=_ALLOWED)
    return steps


def _unfenced(code: str) -> str:
    text = code.strip()
    if text.startswith("```") and text.endswith("```"):
        first, _, rest = text[3:-3].partition("\n")
        text = (rest if first.strip() in ("python", "py", "") else f"{first}\n{rest}").strip()
    return text


def _statement(line: ast.stmt, view: View) -> tuple[Step, ...]:
    match line:
        case ast.Import(names=names) if all(a.name in ("pyautogui", "time") and a.asname is None for a in names):
            return ()
        case ast.Expr(value=ast.Name(id=word)) if word in _WORDS:
            return (_WORDS[word],)
        case ast.Expr(value=ast.Call() as call):
            return _call(call, view)
        case ast.With(items=[ast.withitem(context_expr=ast.Call() as call, optional_vars=None)], body=body):
            return _held(call, body, view)
    raise _refused(line, "only calls can be carried out")


def _call(call: ast.Call, view: View) -> tuple[Step, ...]:
    try:
        return calls.steps_of(_named(call), _values(call), _named_values(call), view)
    except ActionValueError as error:
        raise error.at(None, f"line {call.lineno}") if error.field is None else _placed(error, call) from None


def _placed(error: ActionValueError, call: ast.Call) -> ActionValueError:
    return ActionValueError(error.message, hint=error.hint, field=f"line {call.lineno}, {error.field}")


def _held(call: ast.Call, body: list[ast.stmt], view: View) -> tuple[Step, ...]:
    if _named(call) != "hold":
        raise _refused(call, "only pyautogui.hold(...) can stand after with")
    keys = calls.held_keys(_values(call), _named_values(call))
    steps = tuple(step for line in body for step in _statement(line, view))
    held = calls.with_modifiers(steps[0], keys) if len(steps) == 1 else None
    if held is not None:
        return (held,)
    return (*(KeyDown(key) for key in keys), *steps, *(KeyUp(key) for key in reversed(keys)))


def _named(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(value=ast.Name(id="pyautogui"), attr=name):
            return name
        case ast.Attribute(value=ast.Name(id="time"), attr="sleep"):
            return "sleep"
    raise _refused(call, f"{shown(ast.unparse(call.func))} cannot be called")


def _values(call: ast.Call) -> list[object]:
    return [_value(part) for part in call.args]


def _named_values(call: ast.Call) -> dict[str, object]:
    if any(keyword.arg is None for keyword in call.keywords):
        raise _refused(call, "** cannot be read")
    return {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}


def _value(node: ast.expr) -> object:
    match node:
        case ast.Constant(value=value) if isinstance(value, str | int | float | bool) or value is None:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(value, int | float):
            return -value
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part) for part in parts]
        case ast.Attribute(value=ast.Name(id="pyautogui"), attr="LEFT" | "RIGHT" | "MIDDLE" as button):
            return button.lower()
        case ast.Attribute(value=ast.Name(id="pyautogui"), attr=name) if name.startswith("ease") or name == "linear":
            return name
    raise _refused(node, "only plain values can be read")


def _refused(node: ast.stmt | ast.expr, why: str) -> ActionValueError:
    return ActionValueError(f"{why}: {shown(ast.unparse(node))}", hint=_ALLOWED, field=f"line {node.lineno}")
