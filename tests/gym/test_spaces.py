"""What a sampled action means, and what an observation may hold. No machine."""

from __future__ import annotations

import numpy as np
import pytest

from actions.validate import check_on_screen, parse_actions
from desktop_sandbox import InvalidActionError, InvalidRequestError
from desktop_sandbox.gym import KEYS, KINDS, DesktopEnv, DesktopVectorEnv, Task
from desktop_sandbox.gym.spaces import (
    MAX_TREE,
    action_space,
    batch_of,
    observation_space,
    picture,
    plain_text,
    plain_tree,
)

HERE = {"point": [0, 799], "to": [1279, 0], "wheel": [-2, 3], "key": KEYS.index("ctrl+a"), "text": "a b"}


def kind(name: str) -> dict[str, object]:
    return {**HERE, "kind": KINDS.index(name)}


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("wait", {"type": "wait", "duration_ms": 100}),
        ("move", {"type": "move", "x": 0, "y": 799}),
        ("click", {"type": "click", "x": 0, "y": 799}),
        ("double_click", {"type": "click", "x": 0, "y": 799, "count": 2}),
        ("right_click", {"type": "click", "x": 0, "y": 799, "button": "right"}),
        ("drag", {"type": "drag", "path": [[0, 799], [1279, 0]]}),
        ("scroll", {"type": "scroll", "x": 0, "y": 799, "dx": -2, "dy": 3}),
        ("type", {"type": "type", "text": "a b"}),
        ("key", {"type": "key", "keys": "ctrl+a"}),
    ],
)
def test_each_kind_is_an_action(name: str, wire: dict[str, object]) -> None:
    assert batch_of([kind(name)]) == [wire]


def test_the_table_above_has_all_kinds() -> None:
    marks = test_each_kind_is_an_action.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(KINDS)


def test_every_key_is_one_that_the_server_knows() -> None:
    parse_actions([{"type": "key", "keys": key} for key in KEYS])


def test_whatever_is_sampled_is_a_batch_that_the_server_takes() -> None:
    space = action_space(1280, 800)
    space.seed(5)
    seen = set()
    for _ in range(300):
        action = space.sample()
        batch = batch_of(action)
        assert len(batch) == len(action)
        if batch:
            check_on_screen(parse_actions(batch), 1280, 800)
        seen |= {item["type"] for item in batch}
    assert seen == {"wait", "move", "click", "drag", "scroll", "type", "key"}


def test_actions_of_the_api_are_taken_as_they_are() -> None:
    own = {"type": "hold", "keys": "a", "duration_ms": 5}
    assert batch_of([own, kind("move")]) == [own, {"type": "move", "x": 0, "y": 799}]


@pytest.mark.parametrize("wrong", [{"type": "move"}, "click", 5, [{"kind": len(KINDS)}], [{"kind": -1}], ["a"], [{}]])
def test_what_is_no_batch_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidActionError):
        batch_of(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "plain\n", "héllo 世界 🙂\x00\t", "x" * 9000])
def test_any_text_fits_the_space(text: str) -> None:
    assert plain_text(text) in observation_space(64, 48, 1.0)["text"]


def test_plain_text_stays_and_other_is_still_told_apart() -> None:
    assert plain_text("typed 3\n") == "typed 3\n"
    assert plain_text("é") != plain_text("è")


def test_an_outline_fits_the_space_and_one_that_is_cut_says_so() -> None:
    space = observation_space(64, 48, 1.0, tree=True)["tree"]
    line = '    [1.31/120] button "Überweisen 世界" @253,220 86x22'
    for outline in ("", line, "\n".join([line] * 3), "x" * MAX_TREE):
        assert plain_tree(outline) in space
        assert len(plain_tree(outline).splitlines()) == len(outline.splitlines())
    cut = plain_tree("\n".join([line] * 5000))
    assert cut in space
    *whole, last = cut.splitlines()
    assert set(whole) == {plain_tree(line)}
    assert "cut at 32768" in last
    assert "tree" not in observation_space(64, 48, 1.0)


def test_a_picture_is_rows_of_rgb() -> None:
    image = picture(bytes(range(2 * 3 * 3)), 3, 2)
    assert image[1, 2].tolist() == [15, 16, 17]
    image[0, 0] = 9  # its owner may write


def test_observations_at_a_scale() -> None:
    space = observation_space(1280, 800, 0.25)
    seen = {"image": np.zeros((200, 320, 3), np.uint8), "cursor": np.array([1279, 799], np.int32), "text": ""}
    assert seen in space
    assert {**seen, "cursor": np.array([1280, 0], np.int32)} not in space


def test_prompts_are_filled_in() -> None:
    assert Task("a", prompt="type {word}").words({"word": "x"}) == "type x"
    assert Task("a", prompt="as {it} is").words({}) == "as {it} is"
    with pytest.raises(InvalidRequestError, match="'a'"):
        Task("a", prompt="type {word}").words({"other": 1})


def test_what_cannot_be_is_refused_before_any_desktop_is_made() -> None:
    for wrong in (
        lambda: DesktopEnv([Task("a"), Task("a")]),
        lambda: DesktopEnv(scale=0),
        lambda: DesktopEnv(render_mode="human"),
        lambda: DesktopVectorEnv(0),
    ):
        with pytest.raises(InvalidRequestError):
            wrong()
    env = DesktopEnv(url="http://127.0.0.1:1")
    with pytest.raises(InvalidRequestError, match="no episode"):
        env.step([])
    with pytest.raises(InvalidRequestError, match="unknown options: taks"):
        env.reset(options={"taks": "a"})
    with pytest.raises(InvalidRequestError, match="no task 'b'"):
        env.reset(options={"task": "b"})
    vector = DesktopVectorEnv(2, url="http://127.0.0.1:1")
    with pytest.raises(InvalidRequestError, match="3 seeds"):
        vector.reset(seed=[1, 2, 3])
    with pytest.raises(InvalidRequestError, match="first reset"):
        vector.reset(options={"reset_mask": np.array([True, False])})
