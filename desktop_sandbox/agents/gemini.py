"""Gemini's models on a desktop: `GeminiComputer` for a `Sandbox`, `AsyncGeminiComputer` for an `AsyncSandbox`."""

from __future__ import annotations

from desktop_sandbox.agents._async.gemini import AsyncGeminiComputer
from desktop_sandbox.agents._sync.gemini import GeminiComputer

__all__ = ["AsyncGeminiComputer", "GeminiComputer"]
