"""Recipes: what is accepted, and what a person is told when it is not."""

from __future__ import annotations

import pytest

from guest_image.recipe import Condition, RecipeError, WarmUp, load_recipe, parse_recipe, recipe_names

GOOD = """\
name = "small"
description = "for tests"
suite = "trixie"
packages = ["xterm"]
window_manager = ["openbox"]
apps = [{ argv = ["xterm"], restart = false }]
ready = [{ window = "XTerm" }]

[[warm_up]]
argv = ["true"]
until = [{ file = "/tmp/warm" }]
timeout_ms = 1000
beside = true
"""


@pytest.mark.parametrize("name", recipe_names())
def test_our_own_recipes_are_right(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.resolution == (1280, 800)
    assert recipe.max_resolution == (1920, 1200)
    assert recipe.ready


def test_there_are_minimal_and_desktop() -> None:
    assert {"desktop", "minimal"} <= set(recipe_names())


def test_parsed() -> None:
    recipe = parse_recipe(GOOD)
    assert recipe.packages == ("xterm",)
    assert not recipe.apps[0].restart
    assert recipe.warm_up == (WarmUp(("true",), (Condition(file="/tmp/warm"),), 1000, beside=True),)
    assert recipe.ready[0].to_wire() == {"window": "XTerm"}
    assert recipe.trees == ("common",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("packages", "pakages"), ["r.toml:4", "'pakages'", "allowed here", "packages"]),
        (("restart = false", "respawn = false"), ["'respawn'", "argv, restart"]),
        (('name = "small"', 'name = "Not so"'), ["r.toml:1", "'Not so'"]),
        (('["xterm"]\nwindow', "7\nwindow"), ["r.toml:4", "packages = 7", "tuple[str, ...]"]),
        (('suite = "trixie"\n', ""), ["suite is missing"]),
        (('{ window = "XTerm" }', '{ window = "XTerm", unit = "x" }'), ["exactly one of"]),
        (('{ window = "XTerm" }', '{ window = "(" }'), ["'('", "regular expression"]),
        (("timeout_ms = 1000", "timeout_ms = 0"), ["timeout_ms = 0"]),
        (("beside = true", 'beside = "yes"'), ["beside = 'yes'", "bool"]),
        (("[[warm_up]]", "memory_mib = 1\n[[warm_up]]"), ["r.toml:9", "memory_mib = 1", "256"]),
        (("[[warm_up]]", "resolution = [3000, 2000]\n[[warm_up]]"), ["[3000, 2000]", "[1920, 1200]"]),
        (("[[warm_up]]", 'trees = ["nowhere"]\n[[warm_up]]'), ["'nowhere'"]),
        (('["xterm"]\nwindow', '["--evil"]\nwindow'), ["'--evil'"]),
        (("name =", "name"), ["r.toml"]),
    ],
)
def test_wrong_ones_are_refused_with_place_and_reason(change: tuple[str, str], says: list[str]) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "r.toml")
    for part in says:
        assert part in str(caught.value)


def test_an_unknown_recipe_names_those_that_exist() -> None:
    with pytest.raises(RecipeError, match="minimal"):
        load_recipe("dekstop")
