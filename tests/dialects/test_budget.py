"""Pictures as large as a model takes, and not a pixel more."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.dialects.anthropic import TOOLSET, Version
from actions.dialects.budget import LARGE, SMALL, Budget, budget_for, tokens
from actions.dialects.models import version_for

sides = st.integers(64, 4000)


@pytest.mark.parametrize(
    ("model", "budget"),
    [
        ("claude-3-5-sonnet-20241022", SMALL),
        ("claude-sonnet-4-20250514", SMALL),
        ("claude-opus-4-20250514", SMALL),
        ("claude-opus-4-6", SMALL),
        ("claude-sonnet-4-6", SMALL),
        ("claude-opus-4-7", LARGE),
        ("claude-opus-4-8", LARGE),
        ("claude-opus-5", LARGE),
        ("claude-sonnet-5-20260801", LARGE),
        ("claude-fable-5", LARGE),
        ("claude-5-5", LARGE),
        ("claude-haiku-4-5", SMALL),
        ("another", SMALL),
    ],
)
def test_a_models_budget_by_its_name(model: str, budget: Budget) -> None:
    assert budget_for(model) is budget


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-3-5-sonnet-20241022", "computer_20241022"),
        ("claude-3-7-sonnet-20250219", "computer_20250124"),
        ("claude-sonnet-4-20250514", "computer_20250124"),
        ("claude-opus-4-1-20250805", "computer_20250124"),
        ("claude-haiku-4-5", "computer_20250124"),
        ("claude-opus-4-5", "computer_20251124"),
        ("claude-sonnet-4-5", "computer_20250124"),
        ("claude-sonnet-4-6", "computer_20251124"),
        ("claude-opus-4-7", "computer_20251124"),
        ("claude-opus-4-8", TOOLSET),
        ("claude-sonnet-5", TOOLSET),
        ("claude-mythos-5", TOOLSET),
        ("claude-5-5", TOOLSET),
    ],
)
def test_the_tool_a_model_takes(model: str, version: Version) -> None:
    assert version_for(model) == version


@pytest.mark.parametrize(
    ("budget", "size", "fits"),
    [
        (SMALL, (1280, 800), (1280, 800)),
        (SMALL, (1920, 1080), (1430, 804)),
        (SMALL, (1024, 768), (1024, 768)),
        (LARGE, (1920, 1080), (1920, 1080)),
        (LARGE, (1920, 1200), (1920, 1200)),
    ],
)
def test_usual_screens(budget: Budget, size: tuple[int, int], fits: tuple[int, int]) -> None:
    assert budget.fit(*size) == fits


def test_a_full_screen_costs_what_the_vendor_says() -> None:
    assert tokens(1920, 1080) == 2691


@settings(deadline=None)
@given(budget=st.sampled_from([SMALL, LARGE]), width=sides, height=sides, enlarge=st.booleans())
def test_the_largest_that_fits(budget: Budget, width: int, height: int, enlarge: bool) -> None:
    across, down = budget.fit(width, height, enlarge=enlarge)
    assert budget.holds(across, down)
    assert (across, down) <= (width, height) or enlarge
    if budget.holds(width, height) and not enlarge:
        assert (across, down) == (width, height)
    long = max(width, height)
    assert abs(across * height - down * width) <= long, "the shape is kept"
    if max(across, down) < long or enlarge:
        # a little longer would be too large
        grown = [round(side * (max(across, down) * 1.04 + 2) / long) for side in (width, height)]
        assert not budget.holds(*grown)
