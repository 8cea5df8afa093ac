"""Three models' APIs behind one face: ask the model once, and do what it asks for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from desktop_sandbox.agents.anthropic import AnthropicComputer
from desktop_sandbox.agents.extras import extra
from desktop_sandbox.agents.gemini import GeminiComputer
from desktop_sandbox.agents.loop.trajectory import Step
from desktop_sandbox.agents.openai import OpenAIComputer
from desktop_sandbox.agents.runtime import plain
from desktop_sandbox.errors import ConfigurationError

if TYPE_CHECKING:
    from desktop_sandbox import Sandbox

Ask = Callable[[str], bool]
KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}
MODELS = {"anthropic": "claude-opus-5", "openai": "gpt-5.5", "gemini": "gemini-3.5-flash"}


class Vendor(Protocol):
    """A conversation with a model."""

    def step(self) -> Step:
        """Ask once, and do what was asked for; no calls mean that the model is done, or broke off (Step.stopped)."""
        ...


def choose(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Vendor and model: DESKTOP_SANDBOX_AGENT ("openai" or "openai/gpt-5.5"), or the vendor whose key is there."""
    vendor, _, model = environ.get("DESKTOP_SANDBOX_AGENT", "").partition("/")
    if not vendor:
        vendor = next((name for name, key in KEYS.items() if environ.get(key)), "")
    if vendor not in KEYS:
        said = f"DESKTOP_SANDBOX_AGENT names {vendor!r}" if vendor else "there is no model's API key"
        raise ConfigurationError(
            said, hint=f"set {', '.join(KEYS.values())}, or DESKTOP_SANDBOX_AGENT to one of {', '.join(KEYS)}"
        )
    return vendor, model or MODELS[vendor]


def connect(vendor: str, model: str, desktop: Sandbox, task: str, ask: Ask) -> Vendor:
    """A conversation about a task; `ask` puts a model's safety question to a person."""
    if vendor == "anthropic":
        return Claude(model, desktop, task)
    return Gpt(model, desktop, task, ask) if vendor == "openai" else Gemini(model, desktop, task, ask)


class Claude:
    """Anthropic's Messages API."""

    def __init__(self, model: str, desktop: Sandbox, task: str) -> None:
        with extra("anthropic"):
            import anthropic
        self._client, self._model = anthropic.Anthropic(), model
        self._computer = AnthropicComputer(desktop, model)
        self._messages: list[Any] = [{"role": "user", "content": task}]

    def step(self) -> Step:
        """See Vendor."""
        began = time.monotonic()
        tools: Any = [self._computer.tool()]
        message = self._client.beta.messages.create(
            model=self._model, max_tokens=4096, messages=self._messages, tools=tools, betas=[*self._computer.betas]
        )
        asked = time.monotonic()
        results = self._computer.run(message.content)
        self._messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
        said = " ".join(block.text for block in message.content if block.type == "text")
        calls = [plain(block) for block in message.content if block.type == "tool_use"] if results else []
        stopped = None if calls or message.stop_reason == "end_turn" else message.stop_reason or "for no reason given"
        return Step(said, calls, asked - began, time.monotonic() - asked, stopped)


class Gpt:
    """OpenAI's Responses API."""

    def __init__(self, model: str, desktop: Sandbox, task: str, ask: Ask) -> None:
        with extra("openai"):
            import openai
        self._client, self._model = openai.OpenAI(), model
        self._computer = OpenAIComputer(
            desktop, acknowledge=lambda checks: ask("; ".join(str(check.get("message")) for check in checks))
        )
        self._items: list[Any] = [{"role": "user", "content": task}]
        self._previous: str | None = None

    def step(self) -> Step:
        """See Vendor."""
        began = time.monotonic()
        tools: Any = [self._computer.tool()]
        response = self._client.responses.create(
            model=self._model, tools=tools, input=self._items, previous_response_id=self._previous
        )
        asked = time.monotonic()
        self._previous, self._items = response.id, self._computer.run(response.output)
        calls = [plain(item) for item in response.output if item.type == "computer_call"]
        stopped = None if calls or response.status == "completed" else _why_incomplete(response)
        return Step(response.output_text, calls, asked - began, time.monotonic() - asked, stopped)


class Gemini:
    """Google's generate_content."""

    def __init__(self, model: str, desktop: Sandbox, task: str, ask: Ask) -> None:
        with extra("gemini"):
            from google import genai
        self._client, self._model = genai.Client(), model
        self._computer = GeminiComputer(desktop, model, confirm=lambda why: ask(str(why.get("explanation"))))
        self._contents: list[Any] = [{"role": "user", "parts": [{"text": task}]}]

    def step(self) -> Step:
        """See Vendor."""
        began = time.monotonic()
        config: Any = {"tools": [self._computer.tool]}
        answer = self._client.models.generate_content(model=self._model, contents=self._contents, config=config)
        content = answer.candidates[0].content if answer.candidates else None
        parts = list(content.parts or []) if content else []
        asked = time.monotonic()
        answers = self._computer.run(parts)
        self._contents += [content, {"role": "user", "parts": answers}]
        calls = [plain(part.function_call) for part in parts if part.function_call] if answers else []
        said = " ".join(part.text for part in parts if part.text)
        return Step(said, calls, asked - began, time.monotonic() - asked, None if calls else _why_blocked(answer))


def _why_incomplete(response: Any) -> str:
    """Why a response of OpenAI's is not complete."""
    if response.error is not None:
        return f"{response.status}: {response.error.message}"
    reason = response.incomplete_details and response.incomplete_details.reason
    return f"{response.status}: {reason}" if reason else str(response.status)


def _why_blocked(answer: Any) -> str | None:
    """Why an answer of Gemini's without calls is not its end, None if it is."""
    if not answer.candidates:
        blocked = answer.prompt_feedback and answer.prompt_feedback.block_reason
        return f"no answer: {blocked.value}" if blocked else "no answer"
    reason = answer.candidates[0].finish_reason
    if reason is None:
        return "for no reason given"
    return None if reason.value == "STOP" else str(reason.value)
