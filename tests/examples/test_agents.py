"""The vendors' examples against their real SDKs, with a script in place of the model, on a real desktop."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from actions.dialects.anthropic import SKIPPED
from desktop_sandbox import Sandbox
from tests.agents.scripted import (
    Answer,
    Model,
    chat,
    claude,
    computer_call,
    function,
    gemini,
    gpt,
    member,
    said,
    scripted,
)
from tests.conftest import RealServer
from tests.machine.support import eventually

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SIZE = (1280, 800)

pytestmark = pytest.mark.machine


def run(server: RealServer, name: str, script: list[Answer], **environ: str) -> tuple[str, Model]:
    """Run an example with a scripted model; what it printed, and what the model was sent."""
    with scripted(script) as model:
        addresses = {n: model.url + path for n, path in ADDRESSES.items()}
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / name), "leave a mark", "minimal"],
            env={**server.env, "DESKTOP_SANDBOX_API_KEY": server.key, **addresses, **KEYS, **NO_REPORTS, **environ},
            input="y\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert not model.failures
    assert len(model.requests) == len(script)
    return done.stdout, model


ADDRESSES = {"ANTHROPIC_BASE_URL": "", "OPENAI_BASE_URL": "/v1", "GOOGLE_GEMINI_BASE_URL": ""}
NO_REPORTS = {"OPENAI_AGENTS_DISABLE_TRACING": "1", "LANGSMITH_TRACING": "false"}
KEYS = dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"), "not-a-real-key")


def then(path: str, answer: dict[str, Any]) -> Answer:
    """An answer that is only given once a file is on the only desktop that runs: what was asked for was done there."""

    def answering(body: dict[str, Any]) -> dict[str, Any]:
        del body
        info = Sandbox.list(state=["running"]).sandboxes[0]  # the newest
        desktop = Sandbox.connect(info.sandbox_id)
        try:
            eventually(lambda: desktop.files.exists(path), seconds=30)
        finally:
            desktop.close()
        return answer

    return answering


def size_of(data: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(data))).size


def test_anthropic(server: RealServer) -> None:
    printed, model = run(
        server,
        "anthropic_agent.py",
        [
            claude(
                {"type": "text", "text": "I begin."},
                member(1, "left_click", coordinate=[300, 300]),
                member(2, "type", text="touch /tmp/claude\n"),
                member(3, "screenshot"),
            ),
            then("/tmp/claude", claude(member(4, "key", text="entr"), member(5, "screenshot"))),
            claude(member(6, "zoom", region=[0, 0, 320, 200]), member(7, "cursor_position")),
            claude({"type": "text", "text": "All done."}),
        ],
    )
    assert "I begin." in printed
    assert printed.rstrip().endswith("All done.")
    (tool,) = model.requests[0]["tools"]
    assert tool == {"type": "computer_toolset_20260801"}
    first, second, third = (request["messages"][-1]["content"] for request in model.requests[1:])
    assert [result["toolset_name"] for result in first] == ["computer"] * 3
    assert [result["content"][0].get("text") for result in first[:2]] == ["Clicked.", "Typed."]
    assert size_of(first[2]["content"][0]["source"]["data"]) == SIZE
    assert second[0]["is_error"] is True
    assert "did you mean enter" in str(second[0]["content"])
    assert (second[1]["is_error"], str(second[1]["content"]).count(SKIPPED)) == (True, 1)
    assert size_of(third[0]["content"][0]["source"]["data"]) == (2420, 1512), "a zoom fills the budget"
    assert third[1]["content"][0]["text"] == "X=300,Y=300"


def test_openai(server: RealServer) -> None:
    click = {"type": "click", "button": "left", "x": 300, "y": 300}
    checks = [{"id": "sc_1", "code": "careful", "message": "Is that meant?"}]
    printed, model = run(
        server,
        "openai_agent.py",
        [
            gpt(computer_call(1, click, {"type": "type", "text": "touch /tmp/gpt\n"}, {"type": "screenshot"})),
            then("/tmp/gpt", gpt(computer_call(2, {"type": "keypress", "keys": ["ENTR"]}, click))),
            gpt(computer_call(3, {"type": "wait"}, checks=checks)),
            gpt(said("All done.")),
        ],
    )
    assert "Is that meant?" in printed
    assert printed.rstrip().endswith("All done.")
    assert model.requests[0]["tools"] == [{"type": "computer"}]
    assert model.requests[1]["previous_response_id"] == "resp_1"
    first, second, third = (request["input"] for request in model.requests[1:])
    assert [item["call_id"] for item in first] == ["call_1"]
    assert size_of(first[0]["output"]["image_url"].removeprefix("data:image/png;base64,")) == SIZE
    assert second[0]["type"] == "computer_call_output"
    assert "Action 1 of 2 (keypress) failed" in second[1]["content"][0]["text"]
    assert "did you mean" in second[1]["content"][0]["text"]
    assert third[0]["acknowledged_safety_checks"] == checks


def test_gemini(server: RealServer) -> None:
    decision = {"decision": "require_confirmation", "explanation": "Is that meant?"}
    printed, model = run(
        server,
        "gemini_agent.py",
        [
            gemini(function("click", x=234, y=375), function("type", text="touch /tmp/gemini", press_enter=True)),
            then("/tmp/gemini", gemini(function("press_key", key="entr"), function("take_screenshot"))),
            gemini(function("move", x=0, y=999, safety_decision=decision)),
            gemini({"text": "All done."}),
        ],
    )
    assert "Is that meant?" in printed
    assert printed.rstrip().endswith("All done.")
    (tool,) = model.requests[0]["tools"]
    assert tool["computerUse"]["environment"] == "ENVIRONMENT_DESKTOP"
    first, second, third = (
        [part["functionResponse"] for part in request["contents"][-1]["parts"]] for request in model.requests[1:]
    )
    assert [answer["name"] for answer in first] == ["click", "type"]
    (shown,) = first[1]["parts"]
    sent = shown.get("inlineData") or shown["inline_data"]  # protobuf's JSON takes both
    assert size_of(sent["data"].replace("-", "+").replace("_", "/")) == SIZE
    assert "did you mean" in second[0]["response"]["error"]
    assert "earlier call failed" in second[1]["response"]["error"]
    assert third[0]["response"]["safety_acknowledgement"] == "true"
    assert "error" not in third[0]["response"]


def test_langchain(server: RealServer) -> None:
    def tool(number: int, name: str, **given: Any) -> dict[str, Any]:
        return {"type": "tool_use", "id": f"tu_{number}", "name": name, "input": given}

    printed, model = run(
        server,
        "langchain_agent.py",
        [
            claude(
                {"type": "text", "text": "I begin."},
                tool(1, "type_text", text="touch /tmp/chain\n"),
                tool(2, "look_at_screen"),
            ),
            then("/tmp/chain", claude(tool(3, "press_keys", keys="entr"))),
            claude({"type": "text", "text": "All done."}),
        ],
    )
    assert "I begin." in printed
    assert printed.rstrip().endswith("All done.")
    assert "look_at_screen" in [tool["name"] for tool in model.requests[0]["tools"]]
    first, second = (request["messages"][-1]["content"] for request in model.requests[1:])
    assert [result["tool_use_id"] for result in first] == ["tu_1", "tu_2"]
    assert size_of(first[1]["content"][0]["source"]["data"]) == SIZE
    assert "did you mean enter" in str(second[0]["content"])


def test_the_openai_agents_sdk(server: RealServer) -> None:
    click = {"type": "click", "button": "left", "x": 300, "y": 300}
    printed, model = run(
        server,
        "openai_agents_sdk.py",
        [
            gpt(computer_call(1, click, {"type": "type", "text": "touch /tmp/sdk\n"})),
            then("/tmp/sdk", gpt(said("All done."))),
        ],
    )
    assert printed.rstrip().endswith("All done.")
    assert [tool["type"] for tool in model.requests[0]["tools"]] == ["computer"]
    (output,) = [item for item in model.requests[1]["input"] if item.get("type") == "computer_call_output"]
    assert size_of(output["output"]["image_url"].removeprefix("data:image/png;base64,")) == SIZE


def test_smolagents(server: RealServer) -> None:
    printed, model = run(
        server,
        "smolagents_agent.py",
        [
            chat(type_text={"text": "touch /tmp/smol\n"}),
            then("/tmp/smol", chat(press_keys={"keys": "entr"})),
            chat(final_answer={"answer": "All done."}),
        ],
    )
    assert printed.rstrip().endswith("All done.")
    assert "type_text" in [tool["function"]["name"] for tool in model.requests[0]["tools"]]
    shown = str(model.requests[1]["messages"])
    assert "data:image/png;base64," in shown, "the model sees the screen after each step"
    assert "did you mean enter" in str(model.requests[2]["messages"])
