"""From viewers' events to actions: order, shortening, bounds, the wheel, and names of keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.keysym_table import KEYSYMS
from actions.keysyms import keysym_character, resolve_key
from actions.model import KeyDown, KeyUp, MouseDown, MouseUp, Move, Scroll, Type, from_wire, to_wire
from actions.validate import parse_actions
from desktop_sandbox.node.batches import is_quick
from desktop_sandbox.stream.input_queue import BATCH, MAX_HELD, MAX_QUEUED, InputQueue
from desktop_sandbox.stream.keys import _USED_UP, key_name
from streamer.input_state import InputState


def queue(*events: dict[str, Any]) -> InputQueue:
    found = InputQueue()
    for event in events:
        found.add(event)
    return found


def drain(found: InputQueue) -> list[Any]:
    actions: list[Any] = []
    while batch := found.take():
        actions += batch
    return actions


def pointer(x: int, y: int) -> dict[str, Any]:
    return {"t": "pointer", "x": x, "y": y}


def button(down: bool, x: int = 0, y: int = 0, name: str = "left") -> dict[str, Any]:
    return {"t": "button", "button": name, "down": down, "x": x, "y": y}


def key(down: bool, keysym: int, code: str = "KeyA") -> dict[str, Any]:
    return {"t": "key", "down": down, "code": code, "keysym": keysym}


def wheel(dx: int, dy: int) -> dict[str, Any]:
    return {"t": "wheel", "dx": dx, "dy": dy, "x": 5, "y": 6}


def test_moves_that_wait_become_the_newest_but_never_pass_a_button() -> None:
    found = queue(pointer(1, 1), pointer(2, 2), button(True, 2, 2), pointer(3, 3), pointer(0, 0), button(False))
    assert drain(found) == [Move(2, 2), MouseDown("left", 2, 2), Move(0, 0), MouseUp("left", 0, 0)]


def test_places_that_no_screen_has_are_moved_to_those_that_one_may_have() -> None:
    assert drain(queue(pointer(99999, 799))) == [Move(32767, 799)]
    assert drain(queue(pointer(-3, 0))) == [Move(0, 0)]


def test_a_key_is_let_go_by_the_name_it_was_pressed_by() -> None:
    found = queue(key(True, 0x41), key(False, 0x61))
    assert drain(found) == [KeyDown("U+0041", exact=True), KeyUp("U+0041")]
    assert drain(queue(key(True, 0xFF51, "ArrowLeft"), key(True, 0xFF51, "ArrowLeft"))) == [KeyDown("Left")]
    assert drain(queue(key(False, 0x61))) == []


def test_two_keys_of_one_meaning_are_let_go_with_the_last() -> None:
    found = queue(key(True, 0xFF0D, "Enter"), key(True, 0xFF0D, "NumpadEnter"), key(False, 0xFF0D, "Enter"))
    assert drain(found) == [KeyDown("Return"), KeyDown("Return")]
    found.add(key(False, 0xFF0D, "NumpadEnter"))
    assert drain(found) == [KeyUp("Return")]


def test_a_release_lets_go_of_everything() -> None:
    found = queue(key(True, 0xFFE1, "ShiftLeft"), button(True), button(True, name="right"), {"t": "release"})
    assert drain(found)[3:] == [KeyUp("Shift_L"), MouseUp("left"), MouseUp("right")]
    assert not found.holds
    found.add({"t": "release"})
    assert drain(found) == []


def test_what_another_one_left_waiting_is_forgotten_but_for_releases() -> None:
    found = queue(key(True, 0x61), pointer(4, 4), {"t": "text", "text": "secret"})
    found.release()
    found.forget()
    assert drain(found) == [KeyUp("U+0061")]


def test_the_wheel_is_summed_to_whole_notches_and_keeps_the_rest() -> None:
    found = queue(*[wheel(0, 50)] * 5)
    assert drain(found) == [Scroll(5, 6, 0, 2)]
    found.add(wheel(0, 110))
    assert drain(found) == [Scroll(5, 6, 0, 1)]
    found = queue(wheel(-7, -1), wheel(-240, 119))
    assert drain(found) == [Scroll(5, 6, -2, 0)]
    found = queue(wheel(0, 100), wheel(0, -100), wheel(0, -20))
    assert drain(found) == [Scroll(5, 6, 0, -1)], "what is left of the other direction does not count"


@given(st.lists(st.integers(-300, 300), max_size=30))
def test_no_part_of_a_turn_in_one_direction_is_lost(turns: list[int]) -> None:
    turns = [abs(turn) for turn in turns]
    notches = 0
    found = InputQueue()
    for turn in turns:
        found.add(wheel(0, turn))
        notches += sum(action.dy for action in drain(found))
    assert notches == sum(turns) // 120


def test_text_waits_for_what_was_before_it_and_is_a_batch_of_its_own() -> None:
    found = queue(pointer(1, 1), {"t": "text", "text": "hé\x07"}, {"t": "text", "text": "llo"}, pointer(2, 2))
    assert found.take() == [Move(1, 1)]
    assert found.take() == [Type("héllo")]
    assert found.take() == [Move(2, 2)]


def test_a_full_queue_loses_moves_then_presses_and_never_a_release() -> None:
    found = queue(key(True, 0x61, "KeyA"), button(True))
    drain(found)
    for place in range(MAX_QUEUED):
        found.add(pointer(place, 0))
        found.add(button(True, name=("right", "middle")[place % 2]))
    found.add(wheel(0, 120))
    assert found.dropped
    found.add(key(False, 0x61, "KeyA"))
    found.add(button(False, 9, 9))
    assert len(found) <= MAX_QUEUED + 2
    left = drain(found)
    assert left[-2:] == [KeyUp("U+0061"), MouseUp("left", 9, 9)]
    assert not any(isinstance(action, Move) for action in left)


def test_held_keys_are_bounded() -> None:
    found = queue(*(key(True, 0x61, f"Key{number}") for number in range(1000)))
    assert len(drain(found)) == MAX_HELD


@given(
    st.lists(
        st.one_of(
            st.builds(pointer, st.integers(-9, 99999), st.integers(-9, 99999)),
            st.builds(button, st.booleans(), st.integers(0, 9999), st.integers(0, 9999), st.sampled_from("abc")),
            st.builds(button, st.booleans(), st.integers(), st.integers(), st.sampled_from(["left", "back"])),
            st.builds(key, st.booleans(), st.integers(0, 0x1FFFFFFF), st.text(max_size=3)),
            st.builds(wheel, st.integers(-12000, 12000), st.integers(-12000, 12000)),
            st.fixed_dictionaries({"t": st.sampled_from(["text", "release", "x"]), "text": st.text(max_size=9)}),
            st.dictionaries(st.sampled_from(["t", "x", "down"]), st.one_of(st.none(), st.text(max_size=2))),
        ),
        max_size=60,
    )
)
def test_whatever_comes_the_guest_gets_what_it_understands(events: list[dict[str, Any]]) -> None:
    found = queue(*events)
    while batch := found.take():
        assert len(batch) <= BATCH
        assert is_quick(batch) or len(batch) == 1
        wire = [to_wire(action) for action in batch]
        assert [from_wire(each) for each in json.loads(json.dumps(wire))] == list(batch)
        parse_actions(wire)
    found.release()
    drain(found)
    assert not found.holds


def test_every_key_that_has_a_name_is_found_by_it() -> None:
    for name, keysym in KEYSYMS.items():
        found = key_name(keysym)
        if found is None:
            continue
        meant = resolve_key(found)
        assert meant == keysym or keysym_character(meant) == keysym_character(keysym), name


@pytest.mark.parametrize(
    ("keysym", "name"),
    [
        (0x61, "U+0061"),
        (0x20AC, "U+20AC"),
        (0x1000000 + 0x1F642, "U+1F642"),
        (0x6C1, "U+0430"),
        (0xFF0D, "Return"),
        (0xFFE1, "Shift_L"),
        (0xFFBE, "F1"),
        (0xFE03, None),
        (0xFFE5, None),
        (0x12345678, None),
        (0, None),
    ],
)
def test_keys_are_named(keysym: int, name: str | None) -> None:
    assert key_name(keysym) == name


def test_the_golden_messages_of_pages_are_understood() -> None:
    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "stream.json").read_text())
    found = InputQueue()
    for vector in vectors["messages"]:
        if vector["direction"] == "page":
            found.add(vector["json"])
    kinds = {type(action).__name__ for action in drain(found)}
    assert {"KeyDown", "KeyUp", "MouseDown", "Type", "Scroll"} <= kinds


KEYSYMS_OF_PAGES = json.loads((Path(__file__).parents[1] / "vectors" / "keysyms.json").read_text())


@pytest.mark.parametrize("sequence", KEYSYMS_OF_PAGES["sequences"], ids=lambda sequence: sequence["name"])
def test_what_pages_send_of_keys_leaves_nothing_down(sequence: dict[str, Any]) -> None:
    state, found = InputState(), InputQueue()
    still: dict[str, str | None] = {}
    for down, code, keysym in sequence["sent"]:
        for event in state.message({"t": "key", "down": down, "code": code, "keysym": keysym}, 0.0):
            found.add(event)
        if down:
            still[code] = key_name(keysym)
        else:
            still.pop(code, None)
    actions = drain(found)
    assert held_after(actions) == set(still.values()) - {None}
    pressed = {key_name(keysym) for down, _, keysym in sequence["sent"] if down} - {None}
    assert {action.key for action in actions} == pressed
    for event in state.release():  # where the sequence ends before the keys are up
        found.add(event)
    assert not state.holds
    assert not found.holds
    assert held_after(actions + drain(found)) == set()


def held_after(actions: list[Any]) -> set[str]:
    held: set[str] = set()
    for action in actions:
        assert isinstance(action, KeyDown | KeyUp)
        (held.add if isinstance(action, KeyDown) else held.discard)(action.key)
    return held


def test_the_keys_of_pages_have_names() -> None:
    known = [found["keysym"] for found in KEYSYMS_OF_PAGES["keys"] if found["keysym"] is not None]
    nameless = {hex(keysym) for keysym in known if key_name(keysym) is None}
    assert nameless <= {hex(keysym) for keysym in _USED_UP}, "all but those that the page's keysyms have applied"
