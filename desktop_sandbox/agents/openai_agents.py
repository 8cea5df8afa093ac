"""A desktop in the OpenAI Agents SDK: `ComputerTool(AsyncDesktopComputer(desktop))`, or with `DesktopComputer`."""

from __future__ import annotations

from desktop_sandbox.agents._async.openai_agents import AsyncDesktopComputer
from desktop_sandbox.agents._sync.openai_agents import DesktopComputer

__all__ = ["AsyncDesktopComputer", "DesktopComputer"]
