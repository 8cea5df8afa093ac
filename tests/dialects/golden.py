"""Golden vectors: for every action of every dialect a call, and the steps it comes to on a screen of 1280×800."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actions.dialects import anthropic, computer_13, gemini, gemini_write, openai, pyautogui, uitars
from actions.dialects.pyautogui_calls import FUNCTIONS
from actions.dialects.steps import DragBy, DragTo, Launch, MoveBy, Open, Step, Stop
from actions.dialects.view import View
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

SCREEN = (1280, 800)
WHOLE = View.whole(SCREEN)
GRID = View(SCREEN, gemini.GRID)


@dataclass(frozen=True)
class Tongue:
    """A dialect as the tests need it: the same two functions for all, its actions' names, and its vectors."""

    name: str
    read: Callable[[Any, View], tuple[Step, ...]]
    write: Callable[[Any, View], list[Any]]
    action: Callable[[Any], str]
    actions: set[str]
    view: View
    golden: list[tuple[Any, list[Step]]]


def _do(action: str, **given: Any) -> dict[str, Any]:
    return {"action": action, **given}


_FIRST: list[tuple[Any, list[Step]]] = [
    (_do("key", text="ctrl+S"), [Key(("ctrl", "s"))]),
    (_do("key", text="Page_Down"), [Key(("Page_Down",))]),
    (_do("key", text="ctrl+a Delete"), [Key(("ctrl", "a")), Key(("Delete",))]),
    (_do("key", text="ctrl++"), [Key(("ctrl", "+"))]),
    (_do("type", text="héllo\n"), [Type("héllo\n")]),
    (_do("mouse_move", coordinate=[0, 799]), [Move(0, 799)]),
    (_do("left_click"), [Click()]),
    (_do("right_click"), [Click(button="right")]),
    (_do("middle_click"), [Click(button="middle")]),
    (_do("double_click"), [Click(count=2)]),
    (_do("left_click_drag", coordinate=[9, 8]), [DragTo(9, 8)]),
    (_do("screenshot"), [Screenshot()]),
    (_do("cursor_position"), [CursorPosition()]),
]
_SECOND: list[tuple[Any, list[Step]]] = [
    *_FIRST,
    (_do("left_click", coordinate=[1279, 0], text="ctrl+shift"), [Click(1279, 0, modifiers=("ctrl", "shift"))]),
    (_do("right_click", coordinate=[1, 2]), [Click(1, 2, "right")]),
    (_do("middle_click", coordinate=[1, 2]), [Click(1, 2, "middle")]),
    (_do("double_click", coordinate=[1, 2]), [Click(1, 2, count=2)]),
    (_do("triple_click", coordinate=[1, 2]), [Click(1, 2, count=3)]),
    (_do("left_click_drag", start_coordinate=[1, 2], coordinate=[3, 4]), [Drag(((1, 2), (3, 4)))]),
    (_do("left_mouse_down"), [MouseDown()]),
    (_do("left_mouse_up"), [MouseUp()]),
    (_do("scroll", coordinate=[5, 6], scroll_direction="down", scroll_amount=3), [Scroll(5, 6, dy=3)]),
    (_do("scroll", scroll_direction="left", scroll_amount=2, text="shift"), [Scroll(dx=-2, modifiers=("shift",))]),
    (_do("hold_key", text="shift+Right", duration=2), [Hold(("shift", "Right"), 2000)]),
    (_do("wait", duration=1), [Wait(1000)]),
]
_THIRD: list[tuple[Any, list[Step]]] = [
    *_SECOND,
    (_do("key", text="Down", repeat=4), [Key(("Down",), 4)]),
    (_do("zoom", region=[100, 50, 500, 300]), [Screenshot(region=(100, 50, 400, 250))]),
    (
        _do("left_click_drag", start_coordinate=[1, 2], coordinate=[3, 4], text="alt"),
        [Drag(((1, 2), (3, 4)), modifiers=("alt",))],
    ),
]
_TOOLSET = [(call, steps) for call, steps in _THIRD if not isinstance(steps[0], DragTo)]

_OPENAI: list[tuple[Any, list[Step]]] = [
    ({"type": "click", "button": "left", "x": 0, "y": 0}, [Click(0, 0)]),
    ({"type": "click", "button": "wheel", "x": 7, "y": 8, "keys": ["CTRL"]}, [Click(7, 8, "middle", 1, ("CTRL",))]),
    ({"type": "click", "button": "right", "x": 7, "y": 8, "keys": None}, [Click(7, 8, "right")]),
    ({"type": "click", "button": "back", "x": 7, "y": 8}, [Click(7, 8, "back")]),
    ({"type": "click", "button": "forward", "x": 7, "y": 8}, [Click(7, 8, "forward")]),
    ({"type": "double_click", "x": 7, "y": 8}, [Click(7, 8, count=2)]),
    (
        {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}]},
        [Drag(((1, 2), (3, 4), (5, 6)))],
    ),
    ({"type": "keypress", "keys": ["CTRL", "A"]}, [Key(("CTRL", "a"))]),
    ({"type": "keypress", "keys": ["ENTER"]}, [Key(("ENTER",))]),
    ({"type": "move", "x": 1, "y": 2}, [Move(1, 2)]),
    ({"type": "move", "x": 1, "y": 2, "keys": ["SHIFT"]}, [KeyDown("SHIFT"), Move(1, 2), KeyUp("SHIFT")]),
    ({"type": "screenshot"}, [Screenshot()]),
    ({"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": -500}, [Scroll(1, 2, dy=-4)]),
    ({"type": "scroll", "x": 1, "y": 2, "scroll_x": 30, "scroll_y": 0}, [Scroll(1, 2, dx=1)]),
    ({"type": "type", "text": "x"}, [Type("x")]),
    ({"type": "wait"}, [Wait(2000)]),
]

_CURRENT: list[tuple[Any, list[Step]]] = [
    (("click", {"x": 500, "y": 500, "intent": "press it"}), [Click(640, 400)]),
    (("click", {"x": 0, "y": 0}), [Click(0, 0)]),
    (("click", {"x": 999, "y": 999}), [Click(1279, 799)]),
    (("double_click", {"x": 500, "y": 500}), [Click(640, 400, count=2)]),
    (("triple_click", {"x": 500, "y": 500}), [Click(640, 400, count=3)]),
    (("middle_click", {"x": 500, "y": 500}), [Click(640, 400, "middle")]),
    (("right_click", {"x": 500, "y": 500}), [Click(640, 400, "right")]),
    (("mouse_down", {"x": 500, "y": 500}), [MouseDown("left", 640, 400)]),
    (("mouse_up", {"x": 500, "y": 500}), [MouseUp("left", 640, 400)]),
    (("move", {"x": 500, "y": 500}), [Move(640, 400)]),
    (("type", {"text": "a", "press_enter": True}), [Type("a"), Key(("Return",))]),
    (("type", {"text": "a"}), [Type("a")]),
    (("drag_and_drop", {"start_x": 0, "start_y": 0, "end_x": 500, "end_y": 500}), [Drag(((0, 0), (640, 400)))]),
    (("drag_and_drop", {"x": 0, "y": 0, "destination_x": 500, "destination_y": 500}), [Drag(((0, 0), (640, 400)))]),
    (("wait", {"seconds": 3}), [Wait(3000)]),
    (("wait", {}), [Wait(1000)]),
    (("press_key", {"key": "enter"}), [Key(("enter",))]),
    (("key_down", {"key": "shift"}), [KeyDown("shift")]),
    (("key_up", {"key": "shift"}), [KeyUp("shift")]),
    (("hotkey", {"keys": ["control", "C"]}), [Key(("control", "c"))]),
    (("take_screenshot", {}), [Screenshot()]),
    (("scroll", {"x": 500, "y": 500, "direction": "down"}), [Scroll(640, 400, dy=3)]),
    (("scroll", {"x": 500, "y": 500, "direction": "left", "magnitude_in_pixels": 200}), [Scroll(640, 400, dx=-2)]),
    (("scroll", {"x": 500, "y": 500, "direction": "up", "magnitude": 500}), [Scroll(640, 400, dy=-3)]),
    (("go_back", {}), [Key(("alt", "Left"))]),
    (("go_forward", {}), [Key(("alt", "Right"))]),
    (("navigate", {"url": "https://example.org"}), [Open("https://example.org")]),
    (("open_app", {"app_name": "xterm"}), [Launch("xterm")]),
    (
        ("long_press", {"x": 500, "y": 500}),
        [MouseDown("left", 640, 400), Wait(2000), MouseUp("left", 640, 400)],
    ),
]
_SELECTED: list[Step] = [Key(("ctrl", "a")), Key(("Delete",))]
_LEGACY: list[tuple[Any, list[Step]]] = [
    (("open_web_browser", {}), [Open("about:blank")]),
    (("click_at", {"x": 500, "y": 500}), [Click(640, 400)]),
    (("hover_at", {"x": 500, "y": 500}), [Move(640, 400)]),
    (("type_text_at", {"x": 500, "y": 500, "text": "a"}), [Click(640, 400), *_SELECTED, Type("a")]),
    (
        ("type_text_at", {"x": 500, "y": 500, "text": "a", "press_enter": True, "clear_before_typing": False}),
        [Click(640, 400), Type("a"), Key(("Return",))],
    ),
    (("scroll_document", {"direction": "down"}), [Key(("Page_Down",))]),
    (("scroll_document", {"direction": "up"}), [Key(("Page_Up",))]),
    (("scroll_document", {"direction": "right"}), [Scroll(dx=5)]),
    (("scroll_at", {"x": 500, "y": 500, "direction": "down"}), [Scroll(640, 400, dy=5)]),
    (("scroll_at", {"x": 500, "y": 500, "direction": "right", "magnitude": 100}), [Scroll(640, 400, dx=1)]),
    (("wait_5_seconds", {}), [Wait(5000)]),
    (("go_back", {}), [Key(("alt", "Left"))]),
    (("go_forward", {}), [Key(("alt", "Right"))]),
    (("search", {}), [Open("https://www.google.com")]),
    (("navigate", {"url": "https://example.org"}), [Open("https://example.org")]),
    (("key_combination", {"keys": "Control+A"}), [Key(("Control", "a"))]),
    (
        ("drag_and_drop", {"x": 0, "y": 0, "destination_x": 999, "destination_y": 999}),
        [Drag(((0, 0), (1279, 799)))],
    ),
]


def _osworld(name: str, **parameters: Any) -> dict[str, Any]:
    return {"action_type": name, "parameters": parameters}


_COMPUTER_13: list[tuple[Any, list[Step]]] = [
    (_osworld("MOVE_TO", x=0, y=799), [Move(0, 799)]),
    ({"action_type": "MOVE_TO", "x": 3, "y": 4}, [Move(3, 4)]),
    (_osworld("CLICK", button="right", x=1, y=2, num_clicks=2), [Click(1, 2, "right", 2)]),
    (_osworld("CLICK"), [Click()]),
    (_osworld("MOUSE_DOWN"), [MouseDown()]),
    (_osworld("MOUSE_UP", button="middle"), [MouseUp("middle")]),
    (_osworld("RIGHT_CLICK", x=1, y=2), [Click(1, 2, "right")]),
    (_osworld("DOUBLE_CLICK", x=1, y=2), [Click(1, 2, count=2)]),
    (_osworld("DRAG_TO", x=1, y=2), [DragTo(1, 2)]),
    (_osworld("SCROLL", dx=2, dy=-5), [Scroll(dx=2, dy=5)]),
    (_osworld("TYPING", text="a\n"), [Type("a\n")]),
    (_osworld("PRESS", key="enter"), [Key(("enter",))]),
    (_osworld("KEY_DOWN", key="ctrlleft"), [KeyDown("Control_L")]),
    (_osworld("KEY_UP", key="ctrlleft"), [KeyUp("Control_L")]),
    (_osworld("HOTKEY", keys=["ctrl", "alt", "t"]), [Key(("ctrl", "alt", "t"))]),
    ("WAIT", [Wait(2000)]),
    ({"action_type": "FAIL"}, [Stop("failed")]),
    ("DONE", [Stop("done")]),
]

_PYAUTOGUI: list[tuple[Any, list[Step]]] = [
    ("pyautogui.click(100, 200)", [Click(100, 200)]),
    ("import pyautogui; pyautogui.click(x=1, y=2, clicks=2, button='right')", [Click(1, 2, "right", 2)]),
    ("pyautogui.click()", [Click()]),
    ("pyautogui.click((5, 6))", [Click(5, 6)]),
    ("pyautogui.leftClick(1, 2)", [Click(1, 2)]),
    ("pyautogui.rightClick(1, 2)", [Click(1, 2, "right")]),
    ("pyautogui.middleClick(1, 2)", [Click(1, 2, "middle")]),
    ("pyautogui.doubleClick(1, 2)", [Click(1, 2, count=2)]),
    ("pyautogui.tripleClick(1, 2)", [Click(1, 2, count=3)]),
    ("pyautogui.moveTo(1, 2, duration=0.5, tween=pyautogui.easeInQuad)", [Move(1, 2)]),
    ("pyautogui.move(-5, 10)", [MoveBy(-5, 10)]),
    ("pyautogui.moveRel(0, 10)", [MoveBy(0, 10)]),
    ("pyautogui.dragTo(1, 2, duration=1, button='left')", [DragTo(1, 2, "left", 1000)]),
    ("pyautogui.drag(30, 0, 0.5)", [DragBy(30, 0, "left", 500)]),
    ("pyautogui.dragRel(xOffset=30)", [DragBy(30, 0)]),
    ("pyautogui.mouseDown()", [MouseDown()]),
    ("pyautogui.mouseUp(1, 2, button='left')", [MouseUp("left", 1, 2)]),
    ("pyautogui.scroll(-10)", [Scroll(dy=10)]),
    ("pyautogui.vscroll(3, x=1, y=2)", [Scroll(1, 2, dy=-3)]),
    ("pyautogui.hscroll(4)", [Scroll(dx=4)]),
    ("pyautogui.write('a <b>', interval=0.05)", [Type("a <b>", 50)]),
    ("pyautogui.typewrite(['a', 'enter'])", [Key(("a",)), Key(("enter",))]),
    ("pyautogui.press('down', presses=3)", [Key(("down",), 3)]),
    ("pyautogui.press(['left', 'up'])", [Key(("left",)), Key(("up",))]),
    ("pyautogui.press('a', presses=2, interval=0.1)", [Key(("a",)), Wait(100), Key(("a",))]),
    ("pyautogui.hotkey('ctrl', 'c')", [Key(("ctrl", "c"))]),
    ("pyautogui.keyDown('shift')\npyautogui.keyUp('shift')", [KeyDown("shift"), KeyUp("shift")]),
    ("pyautogui.keyUp('shift')", [KeyUp("shift")]),
    ("time.sleep(1.5)", [Wait(1500)]),
    ("pyautogui.sleep(1)", [Wait(1000)]),
    ("pyautogui.screenshot()", [Screenshot()]),
    ("with pyautogui.hold('ctrl'):\n    pyautogui.click(1, 2)", [Click(1, 2, modifiers=("ctrl",))]),
    (
        "with pyautogui.hold(['ctrl', 'shift']):\n    pyautogui.press('a')",
        [KeyDown("ctrl"), KeyDown("shift"), Key(("a",)), KeyUp("shift"), KeyUp("ctrl")],
    ),
    ("```python\nimport time\npyautogui.click(1, 2)  # the button\ntime.sleep(1)\n```", [Click(1, 2), Wait(1000)]),
    ("WAIT", [Wait(2000)]),
    ("```\nDONE\n```", [Stop("done")]),
    ("FAIL", [Stop("failed")]),
]

_UITARS: list[tuple[Any, list[Step]]] = [
    ("Thought: It is there.\nAction: click(start_box='(100,200)')", [Click(100, 200)]),
    ("click(start_box='<|box_start|>(100,200)<|box_end|>')", [Click(100, 200)]),
    ("click(point='<point>100 200</point>')", [Click(100, 200)]),
    ("click(start_box='[10, 20, 30, 40]')", [Click(20, 30)]),
    ("left_double(start_box='(1,2)')", [Click(1, 2, count=2)]),
    ("right_single(start_box='(1,2)')", [Click(1, 2, "right")]),
    ("drag(start_box='(1,2)', end_box='(3,4)')", [Drag(((1, 2), (3, 4)))]),
    ("hotkey(key='ctrl shift T')", [Key(("ctrl", "shift", "t"))]),
    ("hotkey(key='enter')", [Key(("enter",))]),
    ("type(content='it\\'s\\n')", [Type("it's\n")]),
    ("scroll(start_box='(1,2)', direction='down')", [Scroll(1, 2, dy=5)]),
    ("wait()", [Wait(5000)]),
    ("finished(content='42')", [Stop("done", "42")]),
    ("finished()", [Stop("done")]),
    ("call_user()", [Stop("ask")]),
    ("Action: click(start_box='(1,2)')\n\ntype(content='a')", [Click(1, 2), Type("a")]),
]


def _code_action(code: str) -> str:
    """The first function a piece of code calls."""
    calls = [node for node in ast.walk(ast.parse(code.strip("`").removeprefix("python"))) if isinstance(node, ast.Call)]
    names = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]
    return next((name for name in names if name != "hold"), code)


def _uitars_action(answer: str) -> str:
    return answer.rpartition("Action:")[2].strip().partition("(")[0]


def _anthropic(version: anthropic.Version, golden: list[tuple[Any, list[Step]]]) -> Tongue:
    return Tongue(
        version,
        lambda call, view: anthropic.read(version, call, view),
        lambda steps, view: anthropic.write(version, steps, view),
        lambda call: call["action"],
        set(anthropic.ACTIONS[version]),
        WHOLE,
        golden,
    )


def _gemini(generation: gemini.Generation, golden: list[tuple[Any, list[Step]]]) -> Tongue:
    return Tongue(
        f"gemini {generation}",
        lambda call, view: gemini.read(generation, *call, view),
        lambda steps, view: gemini_write.write(generation, steps, view),
        lambda call: call[0],
        set(gemini.ACTIONS[generation]),
        GRID,
        golden,
    )


TONGUES = [
    _anthropic("computer_20241022", _FIRST),
    _anthropic("computer_20250124", _SECOND),
    _anthropic("computer_20251124", _THIRD),
    _anthropic("computer_toolset_20260801", _TOOLSET),
    Tongue("openai", openai.read, openai.write, lambda call: call["type"], set(openai.ACTIONS), WHOLE, _OPENAI),
    _gemini("current", _CURRENT),
    _gemini("legacy", _LEGACY),
    Tongue(
        "computer_13",
        computer_13.read,
        computer_13.write,
        lambda call: call if isinstance(call, str) else call["action_type"],
        set(computer_13.ACTIONS),
        WHOLE,
        _COMPUTER_13,
    ),
    Tongue("pyautogui", pyautogui.read, pyautogui.write, _code_action, set(FUNCTIONS), WHOLE, _PYAUTOGUI),
    Tongue("ui-tars", uitars.read, uitars.write, _uitars_action, set(uitars.ACTIONS), WHOLE, _UITARS),
]
