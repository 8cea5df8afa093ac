"""One viewer's input: what passes, what is dropped, and that nothing stays held."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.input_state import MOST_HELD, SILENCE_S, InputState


def key(code: str, down: bool, keysym: int = 97) -> dict:
    return {"t": "key", "down": down, "code": code, "keysym": keysym}


def button(name: str, down: bool, x: int = 5, y: int = 6) -> dict:
    return {"t": "button", "button": name, "down": down, "x": x, "y": y}


def test_keys_pass_once_down_and_once_up():
    state = InputState()
    assert state.message(key("KeyA", True), 0) == [key("KeyA", True)]
    assert state.message(key("KeyA", True), 0) == []  # the browser repeats; the desktop does that by itself
    assert state.holds
    assert state.message(key("KeyA", False), 0) == [key("KeyA", False)]
    assert state.message(key("KeyA", False), 0) == []
    assert not state.holds


def test_a_key_comes_up_with_the_keysym_that_went_down():
    state = InputState()
    state.message(key("KeyA", True, 97), 0)
    assert state.message(key("KeyA", False, 65), 0) == [key("KeyA", False, 97)]


def test_keys_without_a_position_are_known_by_their_keysym():
    state = InputState()
    state.message(key("", True, 97), 0)
    state.message(key("", True, 98), 0)
    assert state.message(key("", False, 97), 0) == [key("", False, 97)]
    assert state.release() == [key("", False, 98)]


def test_release_lets_go_of_everything_at_the_last_place():
    state = InputState()
    state.message(key("ShiftLeft", True, 0xFFE1), 0)
    state.message(key("KeyA", True), 0)
    state.message(button("left", True), 0)
    state.pointer(1, 0, 0, 0)
    assert state.message({"t": "release"}, 0) == [
        button("left", False, 0, 0),
        key("KeyA", False),
        key("ShiftLeft", False, 0xFFE1),
    ]
    assert state.message({"t": "release"}, 0) == []


def test_silence_releases_only_what_is_held_and_only_silence_does():
    state = InputState()
    state.message(key("KeyA", True), 10.0)
    assert state.expire(10.0 + SILENCE_S - 0.01) == []
    state.alive(10.9)
    assert state.expire(10.9 + SILENCE_S - 0.01) == []
    assert state.expire(10.9 + SILENCE_S) == [key("KeyA", False)]
    assert state.expire(99.0) == []


def test_older_pointers_are_dropped_and_zero_is_a_place():
    state = InputState()
    assert state.pointer(7, 0, 0, 0) == [{"t": "pointer", "x": 0, "y": 0}]
    assert state.pointer(7, 1, 1, 0) == []
    assert state.pointer(6, 1, 1, 0) == []
    assert state.pointer(8, 2, 0, 0) == [{"t": "pointer", "x": 2, "y": 0}]


def test_the_first_pointer_may_have_any_number():
    assert InputState().pointer(0xFFFFFFFF, 3, 4, 0) != []


def test_a_page_cannot_hold_more_than_a_keyboard_has():
    state = InputState()
    for number in range(MOST_HELD + 50):
        state.message(key(f"K{number}", True), 0)
    assert len(state.release()) == MOST_HELD


events = st.one_of(
    st.builds(key, st.sampled_from(["KeyA", "KeyB", ""]), st.booleans(), st.sampled_from([97, 98])),
    st.builds(button, st.sampled_from(["left", "right"]), st.booleans()),
    st.just({"t": "release"}),
    st.just({"t": "text", "text": "x"}),
)


@settings(deadline=None)  # a loaded host is no failure
@given(st.lists(events))
def test_whatever_comes_the_desktop_sees_pairs(messages):
    state, held = InputState(), set()
    out = [event for message in messages for event in state.message(message, 0)] + state.release()
    for event in out:
        if event["t"] in ("key", "button"):
            name = event.get("button") or event["code"] or event["keysym"]
            assert event["down"] == (name not in held)
            held ^= {name}
    assert held == set()
