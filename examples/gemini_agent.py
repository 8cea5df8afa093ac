"""Gemini works on a desktop: a loop over generate_content with the computer-use tool.

python examples/gemini_agent.py TASK [TEMPLATE]     (GEMINI_API_KEY, and GEMINI_MODEL for another model)
"""

from __future__ import annotations

import os
import sys

from google import genai

from desktop_sandbox import Sandbox
from desktop_sandbox.agents.gemini import GeminiComputer

MODEL = os.environ.get("GEMINI_MODEL", "gemini-3.5-flash")


def main(task: str, template: str = "desktop") -> None:
    """Let the model work until it asks for nothing more, and print what it says."""
    with Sandbox.create(template, timeout=3600) as desktop:
        print("watch:", desktop.stream.get_url(view_only=True))
        computer = GeminiComputer(desktop, MODEL, confirm=lambda why: input(f"{why}\ngo on? [y/n] ") == "y")
        client, contents = genai.Client(), [{"role": "user", "parts": [{"text": task}]}]
        for _ in range(100):
            answer = client.models.generate_content(model=MODEL, contents=contents, config={"tools": [computer.tool]})
            content = answer.candidates[0].content
            print(*(part.text for part in content.parts if part.text), flush=True)
            parts = computer.run(content.parts)
            if not parts:
                break
            contents += [content, {"role": "user", "parts": parts}]


if __name__ == "__main__":
    main(*sys.argv[1:])
