"""The vendors' classes and the frameworks' tools on one real desktop: what they do, tell, refuse and raise."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from agents import Agent, ComputerTool, ModelResponse, Runner, Usage
from agents.models.interface import Model
from langchain_core.messages import ToolCall
from openai.types.responses import ResponseComputerToolCall, ResponseOutputMessage
from PIL import Image

from actions.dialects.anthropic import SKIPPED
from desktop_sandbox import AsyncSandbox, DesktopSandboxError, NotAllowedError, Sandbox
from desktop_sandbox.agents import langchain, smolagents
from desktop_sandbox.agents.anthropic import AnthropicComputer, AsyncAnthropicComputer
from desktop_sandbox.agents.gemini import GeminiComputer
from desktop_sandbox.agents.openai import AsyncOpenAIComputer, OpenAIComputer
from desktop_sandbox.agents.openai_agents import AsyncDesktopComputer, DesktopComputer
from tests.agents.scripted import computer_call, member, said

pytestmark = pytest.mark.machine
SCREEN = (1280, 800)


@pytest.fixture(scope="module")
def desk(server: object) -> Iterator[Sandbox]:
    with Sandbox.create("minimal", resolution=SCREEN, timeout=900) as sandbox:
        yield sandbox


def call(number: int, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"tu_{number}", "name": "computer", "input": given}


def size(data: str | bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(data))).size


def test_the_single_tool_of_anthropic(desk: Sandbox) -> None:
    computer = AnthropicComputer(desk, "claude-opus-4-5")
    assert computer.betas == ["computer-use-2025-11-24"]
    offered = computer.tool()
    assert (offered["display_width_px"], offered["display_height_px"]) == SCREEN
    assert offered["enable_zoom"] is True
    results = computer.run(
        [
            {"type": "text", "text": "I go there."},
            call(1, action="mouse_move", coordinate=[30, 40]),
            {**call(9), "name": "another_tool"},
            call(2, action="cursor_position"),
            call(3, action="left_clik"),
            call(4, action="screenshot"),
        ]
    )
    assert [result["tool_use_id"] for result in results] == ["tu_1", "tu_2", "tu_3", "tu_4"]
    assert results[0]["content"][0]["text"] == "Moved the mouse."
    assert size(results[0]["content"][1]["source"]["data"]) == SCREEN
    assert results[1]["content"][0]["text"] == "X=30,Y=40"
    assert results[2]["is_error"]
    assert "did you mean left_click" in results[2]["content"][0]["text"]
    assert results[3]["content"] == [{"type": "text", "text": SKIPPED}]
    assert desk.get_cursor_position() == (30, 40)


async def test_a_large_screen_is_scaled_for_a_small_budget(desk: Sandbox) -> None:
    desk.set_screen_size(1920, 1200)
    try:
        sandbox = await AsyncSandbox.connect(desk.sandbox_id)
        computer = AsyncAnthropicComputer(sandbox, "claude-sonnet-4-6")
        offered = await computer.tool()
        width, height = offered["display_width_px"], offered["display_height_px"]
        assert width * height <= 1_150_000
        there = call(1, action="mouse_move", coordinate=[width - 1, height - 1])
        moved, where, zoomed = await computer.run(
            [there, call(2, action="cursor_position"), call(3, action="zoom", region=[0, 0, 200, 100])]
        )
        assert size(moved["content"][1]["source"]["data"]) == (width, height)
        assert where["content"][0]["text"] == f"X={width - 1},Y={height - 1}"
        assert max(size(zoomed["content"][0]["source"]["data"])) > 1400, "a region fills the budget"
        x, y = await sandbox.get_cursor_position()
        assert x >= 1918
        assert y >= 1198
        await sandbox.aclose()
    finally:
        desk.set_screen_size(*SCREEN)


async def test_safety_checks_are_asked_about_before_anything_is_done(desk: Sandbox) -> None:
    desk.move_mouse(5, 5)
    checks = [{"id": "sc_1", "code": "malicious", "message": "The page gives orders."}]
    item = computer_call(1, {"type": "move", "x": 50, "y": 50}, checks=checks)
    decision = {"decision": "require_confirmation", "explanation": "It buys."}
    part = {"function_call": {"name": "move", "args": {"x": 500, "y": 500, "safety_decision": decision}}}
    sandbox = await AsyncSandbox.connect(desk.sandbox_id)
    for refused in (OpenAIComputer(desk), OpenAIComputer(desk, acknowledge=lambda checks: False)):
        with pytest.raises(NotAllowedError, match="The page gives orders"):
            refused.run([item])
    with pytest.raises(NotAllowedError):
        await AsyncOpenAIComputer(sandbox).run([item])
    with pytest.raises(NotAllowedError, match="It buys"):
        GeminiComputer(desk, "gemini-3.5-flash").run([part])
    assert desk.get_cursor_position() == (5, 5)
    asked: list[object] = []
    agreed = OpenAIComputer(desk, acknowledge=lambda checks: not asked.append(checks))
    (output,) = agreed.run([item])
    assert asked == [checks]
    assert output["acknowledged_safety_checks"] == checks
    assert desk.get_cursor_position() == (50, 50)
    await sandbox.aclose()


def test_the_preview_tool_and_an_older_gemini(desk: Sandbox) -> None:
    computer = OpenAIComputer(desk, preview=True)
    assert computer.tool() == {
        "type": "computer_use_preview",
        "display_width": 1280,
        "display_height": 800,
        "environment": "linux",
    }
    item = computer_call(1)
    del item["actions"]
    (output,) = computer.run([{**item, "action": {"type": "move", "x": 8, "y": 9}}])
    assert output["call_id"] == "call_1"
    assert desk.get_cursor_position() == (8, 9)
    older = GeminiComputer(desk, "gemini-2.5-computer-use-preview-10-2025")
    parts = [{"function_call": {"name": "hover_at", "args": {"x": 0, "y": 999}}}, {"text": "There."}]
    (answer,) = older.run(parts)
    assert answer["function_response"]["response"] == {"url": "about:blank"}
    assert desk.get_cursor_position() == (0, 799)


def test_what_no_model_can_mend_is_raised(server: object) -> None:
    gone = Sandbox.create("minimal", timeout=300)
    computer = AnthropicComputer(gone, "claude-opus-5")
    other = Sandbox.connect(gone.sandbox_id)
    other.kill()
    with pytest.raises(DesktopSandboxError):
        computer.run([member(1, "left_click", coordinate=[1, 1])])


class Script(Model):
    """A model of the OpenAI Agents SDK that plays its outputs one after the other."""

    def __init__(self, *outputs: Any) -> None:
        self.outputs = list(outputs)
        self.inputs: list[Any] = []

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        self.inputs.append(input)
        return ModelResponse(output=[self.outputs.pop(0)], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("kind", [DesktopComputer, AsyncDesktopComputer])
async def test_the_openai_agents_sdk(desk: Sandbox, kind: Any) -> None:
    desktop: Any = desk if kind is DesktopComputer else await AsyncSandbox.connect(desk.sandbox_id)
    drag = {"type": "drag", "path": [{"x": 10, "y": 10}, {"x": 90, "y": 70}]}
    actions = [{"type": "move", "x": 1, "y": 1, "keys": ["SHIFT"]}, drag, {"type": "keypress", "keys": ["ESC"]}]
    model = Script(
        ResponseComputerToolCall.model_validate(computer_call(1, *actions)),
        ResponseOutputMessage.model_validate(said("Dragged.")),
    )
    agent = Agent(name="worker", model=model, tools=[ComputerTool(kind(desktop))])
    result = await Runner.run(agent, "drag")
    assert result.final_output == "Dragged."
    assert desk.get_cursor_position() == (90, 70)
    (output,) = [item for item in model.inputs[1] if item.get("type") == "computer_call_output"]
    assert size(output["output"]["image_url"].rpartition(",")[2]) == SCREEN


def test_langchain(desk: Sandbox) -> None:
    tools = {tool.name: tool for tool in langchain.desktop_tools(desk)}
    shot = tools["look_at_screen"].invoke(ToolCall(name="look_at_screen", args={}, id="1", type="tool_call"))
    assert size(shot.content[0]["base64"]) == SCREEN
    assert tools["click"].invoke({"x": 70, "y": 60, "button": "right"}) == "Done."
    assert desk.get_cursor_position() == (70, 60)
    assert tools["press_keys"].invoke({"keys": "escape"}) == "Done."
    assert "did you mean enter" in tools["press_keys"].invoke({"keys": "entr"})
    assert tools["click"].invoke({"x": 1280, "y": 0}).startswith("Error: ")
    assert tools["click"].args["x"]["type"] == "integer"


def test_smolagents(desk: Sandbox) -> None:
    tools = {tool.name: tool for tool in smolagents.desktop_tools(desk)}
    assert tools["look_at_screen"]().size == SCREEN
    assert tools["move_pointer"](x=44, y=55) == "Done."
    assert desk.get_cursor_position() == (44, 55)
    assert tools["scroll"]("down", 2, 10, 20) == "Done."
    assert tools["scroll"]("dwn", 2, 10, 20).startswith("Error: cannot scroll 'dwn'")
    assert tools["drag"](10, 10, 50, 50) == "Done."
    assert desk.get_cursor_position() == (50, 50)
