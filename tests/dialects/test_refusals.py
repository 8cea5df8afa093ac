"""What is wrong with a call is said in the model's own words: which parameter, which value, and what there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.dialects import anthropic, gemini
from actions.dialects.view import View
from actions.errors import ActionValueError
from tests.dialects.golden import TONGUES, WHOLE, Tongue

BY_NAME = {tongue.name: tongue for tongue in TONGUES}
CODE = "import os\nos.system('rm -rf /')"

# dialect, call, and what the error must hold
REFUSED: list[tuple[str, Any, list[str]]] = [
    ("computer_20241022", {"action": "triple_click"}, ["triple_click", "double_click"]),
    ("computer_20241022", {"action": "left_click", "coordinate": [1, 2]}, ["coordinate", "left_click takes: nothing"]),
    ("computer_20250124", {"action": "zoom", "region": [0, 0, 1, 1]}, ["zoom"]),
    ("computer_20251124", {"action": "left_clik"}, ["left_clik", "did you mean left_click"]),
    ("computer_20251124", {}, ["unknown action None"]),
    ("computer_20251124", [], ["input", "object"]),
    ("computer_20251124", {"action": "left_click", "coordinate": [1280, 0]}, ["1280", "x is 0 to 1279"]),
    ("computer_20251124", {"action": "left_click", "coordinate": [-1, 0]}, ["-1", "x is 0 to 1279"]),
    ("computer_20251124", {"action": "left_click", "coordinate": [1.5, 0]}, ["coordinate", "1.5", "whole"]),
    ("computer_20251124", {"action": "left_click", "coordinate": "1,2"}, ["'1,2'", "[x, y]"]),
    ("computer_20251124", {"action": "left_click", "coordinate": [True, 0]}, ["True"]),
    ("computer_20251124", {"action": "left_click", "button": "left"}, ["button", "coordinate, text"]),
    ("computer_20251124", {"action": "key"}, ["key needs text"]),
    ("computer_20251124", {"action": "key", "text": "contrl+s"}, ["text", "contrl", "ctrl"]),
    ("computer_20251124", {"action": "key", "text": "a", "repeat": 0}, ["repeat", "1 to 1000"]),
    ("computer_20251124", {"action": "scroll", "scroll_direction": "dwn", "scroll_amount": 1}, ["did you mean down"]),
    ("computer_20251124", {"action": "wait", "duration": 301}, ["duration", "0 to 300"]),
    ("computer_20251124", {"action": "wait", "duration": float("nan")}, ["duration", "nan"]),
    ("computer_20251124", {"action": "type", "text": "a\x00"}, ["text[1]", "U+0000"]),
    ("computer_20251124", {"action": "type", "text": "a" * 65_537}, ["65537", "in parts"]),
    ("computer_20251124", {"action": "zoom", "region": [5, 5, 5, 9]}, ["region", "x0 < x1"]),
    ("computer_20251124", {"action": "zoom", "region": [0, 0, 1281, 9]}, ["region", "1280"]),
    ("computer_20251124", {"action": "left_click_drag", "coordinate": [1, 1], "text": "alt"}, ["start_coordinate"]),
    ("computer_toolset_20260801", {"action": "left_click_drag", "coordinate": [1, 1]}, ["needs start_coordinate"]),
    ("openai", {"type": "click", "button": "middle", "x": 1, "y": 2}, ["middle", "wheel"]),
    ("openai", {"type": "drag", "path": [{"x": 1, "y": 2}]}, ["path", "2 to 1000"]),
    ("openai", {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 1, "z": 2}]}, ["path[1]", "'z'"]),
    ("openai", {"type": "keypress", "keys": "CTRL"}, ["keys", "list"]),
    ("openai", {"type": "wait", "ms": 5}, ["wait takes: nothing"]),
    ("gemini current", ("click_at", {"x": 1, "y": 2}), ["click_at", "click"]),
    ("gemini current", ("click", {"x": 1000, "y": 2}), ["1000", "x is 0 to 999"]),
    ("gemini current", ("list_apps", {}), ["phones", "open_app"]),
    ("gemini legacy", ("click", {"x": 1, "y": 2}), ["click_at"]),
    ("gemini legacy", ("scroll_at", {"x": 1, "y": 2, "direction": "down", "magnitude": 1000}), ["0 to 999"]),
    ("computer_13", {"action_type": "CLCK"}, ["CLCK", "CLICK"]),
    ("computer_13", {"action_type": "CLICK", "parameters": {"x": 3}}, ["x, y"]),
    ("computer_13", "wait", ["wait", "WAIT"]),
    ("pyautogui", CODE, ["line 1", "import os"]),
    ("pyautogui", "pyautogui.click(open('/etc/passwd'))", ["line 1", "plain values"]),
    ("pyautogui", "pyautogui.clik(1, 2)", ["line 1", "did you mean click"]),
    ("pyautogui", "x = 5\npyautogui.click(x, 2)", ["line 1", "x = 5"]),
    ("pyautogui", "for i in range(3):\n    pyautogui.click()", ["line 1"]),
    ("pyautogui", "pyautogui.click(1, 2", ["not Python in line 1"]),
    ("pyautogui", "pyautogui.click(1, 2, x=3)", ["x twice"]),
    ("pyautogui", "pyautogui.press('entr')", ["line 1, keys", "entr", "enter"]),
    ("pyautogui", "pyautogui.locateOnScreen('a.png')", ["locateOnScreen"]),
    ("pyautogui", "__import__('os').system('id')", ["line 1"]),
    ("pyautogui", "pyautogui.click.__globals__['os']", ["line 1"]),
    ("pyautogui", "# nothing", ["does nothing"]),
    ("pyautogui", "(" * 5000, ["not Python"]),
    ("pyautogui", "-" * 90_000 + "1", ["not Python"]),
    ("ui-tars", "click(start_box='there')", ["start_box", "(x,y)"]),
    ("ui-tars", "click(100, 200)", ["texts by name"]),
    ("ui-tars", "Action: press(key='a')", ["press", "hotkey"]),
    ("ui-tars", "I cannot do that.", ["Action"]),
]


@pytest.mark.parametrize(("name", "call", "said"), REFUSED, ids=lambda value: str(value)[:60])
def test_it_is_refused_with_what_to_mend(name: str, call: Any, said: list[str]) -> None:
    with pytest.raises(ActionValueError) as caught:
        BY_NAME[name].read(call, WHOLE if "gemini" not in name else View((1280, 800), gemini.GRID))
    for part in said:
        assert part in str(caught.value), str(caught.value)
    assert len(str(caught.value)) < 800


def test_zoom_is_not_there_where_it_was_not_offered() -> None:
    with pytest.raises(ActionValueError, match="unknown action 'zoom'"):
        anthropic.read("computer_20251124", {"action": "zoom", "region": [0, 0, 5, 5]}, WHOLE, zoom=False)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.name)
@settings(deadline=None)
@given(data=st.data())
def test_whatever_comes_is_read_or_refused(tongue: Tongue, data: st.DataObject) -> None:
    """Good calls with one value swapped for anything at all: steps, or an ActionValueError, and nothing else."""
    call, _ = data.draw(st.sampled_from(tongue.golden))
    if isinstance(call, tuple):
        bad: Any = (call[0], _swapped(call[1], data))
    elif isinstance(call, dict):
        bad = _swapped(call, data)
    else:
        cut = data.draw(st.integers(0, len(call)))
        bad = call[:cut] + data.draw(st.text(max_size=5)) + call[cut:]
    try:
        assert isinstance(tongue.read(bad, tongue.view), tuple)
    except ActionValueError as error:
        assert str(error)  # noqa: PT017


def _swapped(given: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    name = data.draw(st.sampled_from([*given, "text", "coordinate", "x"]))
    value = given.get(name)
    if isinstance(value, dict) and value:
        return {**given, name: _swapped(value, data)}
    return {**given, name: data.draw(anything)}
