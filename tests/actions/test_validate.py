import contextlib
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.errors import ActionValueError
from actions.model import ACTION_TYPES, Click, Drag, Key, Move, Screenshot, Type, from_wire, to_wire
from actions.validate import action_schema, check_on_screen, parse_action, parse_actions


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "move", "x": 0, "y": 0},
        {"type": "click"},
        {"type": "click", "x": 3, "y": 4, "button": "forward", "count": 3, "modifiers": ["ctrl", "Shift_R"]},
        {"type": "mouse_down"},
        {"type": "mouse_up", "button": "right", "x": 1, "y": 0},
        {"type": "drag", "path": [[0, 0], [5, 5]], "duration_ms": 0},
        {"type": "scroll", "dy": -3},
        {"type": "key", "keys": ["ctrl", "s"], "repeat": 3},
        {"type": "key_down", "key": "alt"},
        {"type": "key_up", "key": "é"},
        {"type": "hold", "keys": ["w"], "duration_ms": 100},
        {"type": "type", "text": "tab\tline\n\U0001f642"},
        {"type": "wait", "duration_ms": 5},
        {"type": "screenshot", "region": [0, 0, 5, 5], "scale": 1, "format": "jpeg"},
        {"type": "cursor_position"},
    ],
)
def test_every_type_survives_the_wire(wire):
    action = parse_action(wire)
    canonical = json.loads(json.dumps(to_wire(action)))
    assert from_wire(canonical) == action == parse_action(canonical) == parse_action(action)
    assert wire.items() <= canonical.items()


def test_whole_floats_are_whole():
    assert parse_action({"type": "move", "x": 3.0, "y": 4}) == Move(3, 4)


@pytest.mark.parametrize("value", [3.5, True, False, "3", None, [3], float("nan"), float("inf"), -1, 10**30, 1e300])
def test_what_is_no_coordinate(value):
    with pytest.raises(ActionValueError) as caught:
        parse_actions([{"type": "cursor_position"}, {"type": "move", "x": value, "y": 1}])
    assert caught.value.index == 1
    assert caught.value.field == "x"
    assert caught.value.message.startswith(f"x cannot be {repr(value)[:2]}")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("wire", "field", "words"),
    [
        ({"type": "clik"}, "type", ["clik", "click"]),
        ({"x": 3}, "type", ["without a type", "click"]),
        ({"type": ["x"]}, "type", ["['x']"]),
        ({"type": "click", "buton": "left"}, "buton", ["buton", "button"]),
        ({"type": "click", "button": "primary"}, "button", ["primary", "left", "forward"]),
        ({"type": "click", "x": 3}, None, ["x and y go together"]),
        ({"type": "click", "count": 4}, "count", ["4", "3"]),
        ({"type": "move", "x": 3}, "y", ["needs y"]),
        ({"type": "key", "keys": []}, "keys", ["keys"]),
        ({"type": "key", "keys": "ctlr+s"}, "keys", ["ctlr", "ctrl"]),
        ({"type": "key", "keys": ["Retrun"]}, "keys", ["Retrun", "Return"]),
        ({"type": "scroll", "modifiers": ["hyperspace"]}, "modifiers", ["hyperspace"]),
        ({"type": "drag", "path": [[0, 0]]}, "path", ["2 items"]),
        ({"type": "drag", "path": [[0, 0], [1, "a"]]}, "path[1][1]", ["'a'"]),
        ({"type": "type", "text": "a\x07"}, "text[1]", ["U+0007"]),
        ({"type": "type", "text": "\ud83d"}, "text", ["half a character"]),
        ({"type": "type", "text": "x" * 65_537}, "text", ["65536"]),
        ({"type": "wait", "duration_ms": 10**9}, "duration_ms", ["300000"]),
        ({"type": "screenshot", "scale": 0}, "scale", ["greater than 0"]),
        ({"type": "screenshot", "cursor": 1}, "cursor", ["bool"]),
    ],
)
def test_errors_name_the_value_and_what_is_allowed(wire, field, words):
    with pytest.raises(ActionValueError) as caught:
        parse_actions([wire])
    assert caught.value.field == field
    assert caught.value.index == 0
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("batch", [[], {}, "x", None, 3, [{"type": "click"}] * 1001, ["click"], [None]])
def test_what_is_no_batch(batch):
    with pytest.raises(ActionValueError):
        parse_actions(batch)


def test_combinations_as_one_string():
    assert parse_action({"type": "key", "keys": "ctrl+shift+t"}) == Key(("ctrl", "shift", "t"))
    assert parse_action({"type": "key", "keys": "ctrl++"}) == Key(("ctrl", "+"))
    assert parse_action({"type": "click", "modifiers": "shift"}) == Click(modifiers=("shift",))


def test_the_edges_of_the_screen():
    inside = [Move(0, 0), Click(1279, 799), Drag(((0, 0), (1279, 799))), Screenshot(region=(0, 0, 1280, 800)), Click()]
    check_on_screen(inside, 1280, 800)
    outside = [Move(1280, 0), Click(0, 800), Drag(((0, 0), (1280, 0))), Screenshot(region=(1, 0, 1280, 800))]
    for action in outside:
        with pytest.raises(ActionValueError) as caught:
            check_on_screen([Click(), action], 1280, 800)
        assert caught.value.index == 1
        assert "1280×800" in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_input_raises_anything_else(value):
    for kind in ACTION_TYPES:
        for name in ("x", "path", "keys", "text", "region", "button", "type", "duration_ms"):
            with contextlib.suppress(ActionValueError):
                parse_action({"type": kind, name: value})


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_all_printable_text_can_be_typed(text):
    action = parse_action({"type": "type", "text": text})
    assert isinstance(action, Type)
    assert from_wire(json.loads(json.dumps(to_wire(action)))) == action


def test_the_schema_knows_every_type():
    text = json.dumps(action_schema())
    for kind, cls in ACTION_TYPES.items():
        assert f'"{kind}"' in text
        assert cls.__name__ in text


def test_bad_wire_in_the_guest_is_named():
    for wire in [{"type": "jump"}, {"type": "move", "x": 1}, {"type": "move", "x": 1, "y": 2, "z": 3}, "x", {}]:
        with pytest.raises(ActionValueError):
            from_wire(wire)


def test_the_guest_needs_no_library():
    code = (
        "import sys, actions.model, actions.keysyms, actions.typing_plan, actions.pointer_path, actions.keymap\n"
        "bad = {'pydantic', 'annotated_types', 'Xlib', 'typing_extensions'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
