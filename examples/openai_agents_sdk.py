"""The OpenAI Agents SDK works on a desktop: the desktop is its computer tool.

python examples/openai_agents_sdk.py TASK [TEMPLATE]     (OPENAI_API_KEY, and OPENAI_MODEL for another model)
"""

from __future__ import annotations

import os
import sys

from agents import Agent, ComputerTool, ModelSettings, Runner

from desktop_sandbox import Sandbox
from desktop_sandbox.agents.openai_agents import DesktopComputer

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5.5")


def main(task: str, template: str = "desktop") -> None:
    """Let the agent work until it is done, and print its last words."""
    with Sandbox.create(template, timeout=3600) as desktop:
        print("watch:", desktop.stream.get_url(view_only=True))
        agent = Agent(
            name="worker",
            model=MODEL,
            model_settings=ModelSettings(truncation="auto"),
            tools=[ComputerTool(DesktopComputer(desktop))],
        )
        print(Runner.run_sync(agent, task, max_turns=100).final_output)


if __name__ == "__main__":
    main(*sys.argv[1:])
