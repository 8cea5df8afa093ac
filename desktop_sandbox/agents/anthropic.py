"""Claude on a desktop: `AnthropicComputer` for a `Sandbox`, `AsyncAnthropicComputer` for an `AsyncSandbox`."""

from __future__ import annotations

from desktop_sandbox.agents._async.anthropic import AsyncAnthropicComputer
from desktop_sandbox.agents._sync.anthropic import AnthropicComputer

__all__ = ["AnthropicComputer", "AsyncAnthropicComputer"]
