"""A smolagents agent works on a desktop: its tools are the desktop's, and each picture is shown to the model.

python examples/smolagents_agent.py TASK [TEMPLATE]     (pip install openai; OPENAI_API_KEY, OPENAI_MODEL)
"""

from __future__ import annotations

import os
import sys

from smolagents import ActionStep, OpenAIModel, ToolCallingAgent

from desktop_sandbox import Sandbox
from desktop_sandbox.agents.smolagents import desktop_tools

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5.5")


def main(task: str, template: str = "desktop") -> None:
    """Let the agent work until it is done, and print its answer."""
    with Sandbox.create(template, timeout=3600) as desktop:
        print("watch:", desktop.stream.get_url(view_only=True))
        tools = {tool.name: tool for tool in desktop_tools(desktop)}

        def show(step: ActionStep) -> None:
            """smolagents shows a tool's text to the model, and pictures only where a step holds them."""
            step.observations_images = [tools["look_at_screen"]()]

        model = OpenAIModel(MODEL, api_base=os.environ.get("OPENAI_BASE_URL"))
        agent = ToolCallingAgent([*tools.values()], model, step_callbacks=[show], max_steps=100)
        print(agent.run(task))


if __name__ == "__main__":
    main(*sys.argv[1:])
