"""Claude works on a desktop: Anthropic's own tool runner, with the desktop as its computer toolset.

python examples/anthropic_agent.py TASK [TEMPLATE]     (ANTHROPIC_API_KEY, and ANTHROPIC_MODEL for another model)
"""

from __future__ import annotations

import os
import sys

import anthropic

from desktop_sandbox import Sandbox
from desktop_sandbox.agents.anthropic_toolset import ComputerToolset

MODEL = os.environ.get("ANTHROPIC_MODEL", "claude-opus-5")


def main(task: str, template: str = "desktop") -> None:
    """Let the model work until it asks for nothing more, and print what it says."""
    with Sandbox.create(template, timeout=3600) as desktop:
        print("watch:", desktop.stream.get_url(view_only=True))
        runner = anthropic.Anthropic().beta.messages.tool_runner(
            model=MODEL,
            max_tokens=4096,
            tools=[ComputerToolset(desktop, MODEL)],
            messages=[{"role": "user", "content": task}],
            max_iterations=100,
        )
        for message in runner:
            print(*(block.text for block in message.content if block.type == "text"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
