"""A LangChain agent works on a desktop: its tools are the desktop's, the model is any that LangChain knows.

python examples/langchain_agent.py TASK [TEMPLATE]     (pip install langchain langchain-anthropic; ANTHROPIC_API_KEY)
"""

from __future__ import annotations

import os
import sys

from langchain.agents import create_agent

from desktop_sandbox import Sandbox
from desktop_sandbox.agents.langchain import desktop_tools

MODEL = os.environ.get("LANGCHAIN_MODEL", "anthropic:claude-opus-5")


def main(task: str, template: str = "desktop") -> None:
    """Let the model work until it asks for nothing more, and print what it says and what its tools say."""
    with Sandbox.create(template, timeout=3600) as desktop:
        print("watch:", desktop.stream.get_url(view_only=True))
        agent = create_agent(MODEL, tools=desktop_tools(desktop))
        messages = {"messages": [{"role": "user", "content": task}]}
        for state in agent.stream(messages, {"recursion_limit": 200}, stream_mode="values"):
            print(state["messages"][-1].text, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
