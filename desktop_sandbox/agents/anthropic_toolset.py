"""Anthropic's computer toolset on a desktop, for its SDK's tool runner: `ComputerToolset`, `AsyncComputerToolset`."""

from __future__ import annotations

from desktop_sandbox.agents._async.anthropic_toolset import AsyncComputerToolset
from desktop_sandbox.agents._sync.anthropic_toolset import ComputerToolset

__all__ = ["AsyncComputerToolset", "ComputerToolset"]
