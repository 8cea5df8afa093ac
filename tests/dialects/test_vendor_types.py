"""The dialects against the vendors' own SDKs: the same actions with the same parameters, and good results."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from anthropic.lib.tools._toolsets._computer_registry import COMPUTER
from anthropic.lib.tools._toolsets._runnable import HALT_TEXT
from anthropic.types import beta
from openai.types.responses import computer_action, response_computer_tool_call
from pydantic import BaseModel, TypeAdapter

from actions.dialects import anthropic, gemini, openai
from tests.dialects.golden import TONGUES

BY_NAME = {tongue.name: tongue for tongue in TONGUES}


def required(model: type[BaseModel]) -> dict[str, bool]:
    """Field → whether it must be given."""
    return {name: field.is_required() for name, field in model.model_fields.items()}


def ours(spec: Any) -> dict[str, bool]:
    return {name.rstrip("?"): not name.endswith("?") for name in spec}


def test_the_toolset_has_the_members_and_inputs_of_the_sdk() -> None:
    assert {name: required(member.input) for name, member in COMPUTER.members.items()} == {
        name: ours(spec) for name, spec in anthropic.ACTIONS[anthropic.TOOLSET].items()
    }


def test_a_skipped_call_has_the_words_of_the_sdk() -> None:
    assert HALT_TEXT["computer"] == anthropic.SKIPPED


@pytest.mark.parametrize(("call", "steps"), BY_NAME["computer_toolset_20260801"].golden)
def test_toolset_calls_are_good_ones_for_the_sdk(call: dict[str, Any], steps: Any) -> None:
    given = {name: value for name, value in call.items() if name != "action"}
    COMPUTER.members[call["action"]].input.model_validate(given)


@pytest.mark.parametrize(("call", "steps"), BY_NAME["computer_toolset_20260801"].golden)
def test_what_was_done_is_acknowledged_as_the_sdk_does(call: dict[str, Any], steps: Any) -> None:
    said = COMPUTER.members[call["action"]].text
    if said is not None:
        assert anthropic.acknowledged(call["action"], call) == said.format(**call)


@pytest.mark.parametrize("version", ["20241022", "20250124", "20251124"])
def test_the_single_tools_are_the_sdks(version: str) -> None:
    offered = getattr(beta, f"BetaToolComputerUse{version}Param")
    (kind,) = get_args(get_type_hints(offered)["type"])
    assert kind in anthropic.ACTIONS


@pytest.mark.parametrize("union", [computer_action.ComputerAction, response_computer_tool_call.Action])
def test_openai_actions_are_those_of_the_sdk(union: Any) -> None:
    models = get_args(get_args(union)[0])
    theirs = {get_args(m.model_fields["type"].annotation)[0]: required(m) for m in models}
    assert {name: fields | {"type": True} for name, fields in theirs.items()} == {
        name: {**ours(spec), "type": True} for name, spec in openai.ACTIONS.items()
    }


@pytest.mark.parametrize(("call", "steps"), BY_NAME["openai"].golden)
def test_openai_calls_are_good_ones_for_the_sdk(call: dict[str, Any], steps: Any) -> None:
    parsed = TypeAdapter(computer_action.ComputerAction).validate_python(call)
    view = BY_NAME["openai"].view
    assert openai.read(parsed.model_dump(), view) == tuple(steps)


@pytest.mark.parametrize("generation", ["current", "legacy"])
def test_gemini_calls_are_what_its_sdk_hands_over(generation: gemini.Generation) -> None:
    from google.genai import types

    for (name, args), steps in BY_NAME[f"gemini {generation}"].golden:
        call = types.FunctionCall.model_validate({"name": name, "args": args})
        assert gemini.read(generation, call.name, call.args, BY_NAME[f"gemini {generation}"].view) == tuple(steps)
    types.ComputerUse(environment=types.Environment.ENVIRONMENT_DESKTOP, excluded_predefined_functions=["list_apps"])
