"""A GPT works on a desktop: a loop over the Responses API with the computer tool.

python examples/openai_agent.py TASK [TEMPLATE]     (OPENAI_API_KEY, and OPENAI_MODEL for another model)
"""

from __future__ import annotations

import os
import sys

import openai

from desktop_sandbox import Sandbox
from desktop_sandbox.agents.openai import OpenAIComputer

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5.5")


def main(task: str, template: str = "desktop") -> None:
    """Let the model work until it asks for nothing more, and print what it says."""
    with Sandbox.create(template, timeout=3600) as desktop:
        print("watch:", desktop.stream.get_url(view_only=True))
        computer = OpenAIComputer(desktop, acknowledge=lambda checks: input(f"{checks}\ngo on? [y/n] ") == "y")
        client, items, previous = openai.OpenAI(), [{"role": "user", "content": task}], None
        for _ in range(100):
            response = client.responses.create(
                model=MODEL, tools=[computer.tool()], input=items, previous_response_id=previous
            )
            print(response.output_text, flush=True)
            previous, items = response.id, computer.run(response.output)
            if not items:
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
