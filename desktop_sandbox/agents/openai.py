"""OpenAI's models on a desktop: `OpenAIComputer` for a `Sandbox`, `AsyncOpenAIComputer` for an `AsyncSandbox`."""

from __future__ import annotations

from desktop_sandbox.agents._async.openai import AsyncOpenAIComputer
from desktop_sandbox.agents._sync.openai import OpenAIComputer

__all__ = ["AsyncOpenAIComputer", "OpenAIComputer"]
