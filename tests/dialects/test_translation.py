"""Every dialect against its golden vectors, there and back, and with steps that Hypothesis makes up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.dialects.steps import Step
from actions.dialects.view import View
from actions.errors import ActionValueError
from actions.keysyms import resolve_key
from actions.model import Click, Drag, Hold, Key, MouseDown, MouseUp, Move, Screenshot, Scroll, Type, Wait
from actions.validate import parse_action
from tests.dialects.golden import SCREEN, TONGUES, WHOLE, Tongue

VECTORS = [(tongue, call, steps) for tongue in TONGUES for call, steps in tongue.golden]
NAMES = [f"{tongue.name}: {json.dumps(call)}" for tongue, call, _ in VECTORS]
each_tongue = pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.name)
each_vector = pytest.mark.parametrize(("tongue", "call", "steps"), VECTORS, ids=NAMES)


@each_vector
def test_a_call_is_read_as_its_steps(tongue: Tongue, call: Any, steps: list[Step]) -> None:
    assert list(tongue.read(call, tongue.view)) == steps


@each_vector
def test_what_was_read_is_written_as_the_same(tongue: Tongue, call: Any, steps: list[Step]) -> None:
    again = [step for written in tongue.write(steps, tongue.view) for step in tongue.read(written, tongue.view)]
    assert again == steps


@each_vector
def test_the_actions_that_come_out_are_good_ones(tongue: Tongue, call: Any, steps: list[Step]) -> None:
    for step in steps:
        if hasattr(step, "type"):
            assert parse_action(step) == step


@each_tongue
def test_there_is_a_vector_for_each_action(tongue: Tongue) -> None:
    assert {tongue.action(call) for call, _ in tongue.golden} >= tongue.actions


x_and_y = (st.integers(0, SCREEN[0] - 1), st.integers(0, SCREEN[1] - 1))
places = st.tuples(*x_and_y)
keys = st.lists(
    st.sampled_from(["ctrl", "shift", "alt", "a", "Z", "+", " ", "é", "世", "Return", "F5", "Page_Up", "kp_add"]),
    min_size=1,
    max_size=4,
    unique=True,
).map(tuple)
modifiers = st.sampled_from([(), ("ctrl",), ("ctrl", "shift"), ("alt",)])
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
some_steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Move, *x_and_y),
    st.builds(
        lambda at, button, count, held: Click(*at, button, count, held),
        st.one_of(places, st.just((None, None))),
        st.sampled_from(["left", "right", "middle", "back"]),
        st.integers(1, 3),
        modifiers,
    ),
    st.builds(Drag, st.lists(places, min_size=2, max_size=4).map(tuple), modifiers=modifiers),
    st.builds(
        lambda at, dx, dy, held: Scroll(*at, dx, dy, held), places, st.integers(-9, 9), st.integers(-9, 9), modifiers
    ),
    st.builds(Key, keys, st.integers(1, 3)),
    st.builds(Type, texts),
    st.builds(Wait, st.sampled_from([0, 1000, 1500, 2000, 5000])),
    st.builds(Hold, keys, st.sampled_from([1000, 2500])),
    st.sampled_from([MouseDown(), MouseUp(), Screenshot(), MouseDown("right")]),
)


def effect(steps: list[Step]) -> list[object]:
    """What steps do, however they are cut: a click at a place is a move and a click, keys are known by their keysym."""
    found: list[object] = []
    for step in steps:
        if isinstance(step, Click | MouseDown | MouseUp) and step.x is not None:
            found.append(("move", step.x, step.y))
            found.append((step.type, step.button, getattr(step, "count", 0), getattr(step, "modifiers", ())))
        elif isinstance(step, Click | MouseDown | MouseUp):
            found.append((step.type, step.button, getattr(step, "count", 0), getattr(step, "modifiers", ())))
        elif isinstance(step, Move):
            found.append(("move", step.x, step.y))
        elif isinstance(step, Scroll):
            found += [] if step.x is None else [("move", step.x, step.y)]
            found += [("wheel", 0, step.dy, step.modifiers)] if step.dy else []
            found += [("wheel", step.dx, 0, step.modifiers)] if step.dx else []
        elif isinstance(step, Key):
            found += [("key", strokes(step.keys))] * step.repeat
        elif isinstance(step, Hold):
            found.append(("hold", strokes(step.keys), step.duration_ms))
        else:
            found.append(step)
    return [entry for number, entry in enumerate(found) if not _moved_again(entry, found[:number])]


def strokes(names: tuple[str, ...]) -> tuple[int, ...]:
    """Keysyms in order, a capital in a combination as shift and its letter."""
    shifted = any(resolve_key(name) == resolve_key("shift") for name in names)
    found: list[int] = []
    for name in names:
        if len(names) > 1 and len(name) == 1 and name.isascii() and name.isupper():
            found += ([] if shifted else [resolve_key("shift")]) + [resolve_key(name.lower())]
        else:
            found.append(resolve_key(name))
    return tuple(found)


def _moved_again(entry: object, before: list[object]) -> bool:
    moves = [found for found in before if isinstance(found, tuple) and found[0] == "move"]
    return isinstance(entry, tuple) and entry[0] == "move" and moves[-1:] == [entry]


@each_tongue
@settings(deadline=None)
@given(steps=st.lists(some_steps, min_size=1, max_size=4))
def test_what_a_dialect_says_it_means(tongue: Tongue, steps: list[Step]) -> None:
    """Written and read again, steps have the same effect, in a picture of the screen's own size; or are refused."""
    said = []
    for step in steps:  # a dialect without words for a step says so; the others go on
        try:
            tongue.write([step], WHOLE)
            said.append(step)
        except ActionValueError:
            continue
    try:
        written = tongue.write(said, WHOLE)
    except ActionValueError:
        assert tongue.name.startswith("gemini"), "only there do steps make a call together"
        return
    again = [step for call in written for step in tongue.read(call, WHOLE)]
    assert effect(again) == effect(said)


sizes = st.integers(1, 4000)


@settings(deadline=None)
@given(width=sizes, height=sizes, across=sizes, down=sizes, data=st.data())
def test_places_go_there_and_back(width: int, height: int, across: int, down: int, data: st.DataObject) -> None:
    """From the smaller of picture and screen to the larger and back, nothing changes; and nothing leaves the edges."""
    picture, screen = (width, height), (across, down)
    view = View(screen, picture)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    there = view.to_screen(x, y)
    assert 0 <= there[0] < across
    assert 0 <= there[1] < down
    back = view.to_picture(*there)
    assert back[0] == x or width > across
    assert back[1] == y or height > down
    for value, size in zip(view.to_picture(across - 1, down - 1), picture, strict=True):
        assert 0 <= value < size
    if width <= across:
        assert view.to_picture(across - 1, 0)[0] == width - 1


@settings(deadline=None)
@given(data=st.data(), zoomed=st.integers(1, 4))
def test_a_zoomed_region_goes_there_and_back(data: st.DataObject, zoomed: int) -> None:
    view = View((1920, 1200), (1920 * 2 // (zoomed + 2), 1200 * 2 // (zoomed + 2)))
    x0, x1 = sorted(data.draw(st.lists(st.integers(0, view.picture[0]), min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(data.draw(st.lists(st.integers(0, view.picture[1]), min_size=2, max_size=2, unique=True)))
    region = view.region_to_screen(x0, y0, x1, y1)
    assert region[0] + region[2] <= 1920
    assert region[1] + region[3] <= 1200
    assert view.region_to_picture(*region) == (x0, y0, x1, y1)
