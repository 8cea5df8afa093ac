"""A desktop's tools for LangChain: `create_agent(model, tools=desktop_tools(desktop))`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from desktop_sandbox.agents.extras import extra
from desktop_sandbox.agents.functions import Function, functions

with extra("langchain"):
    from langchain_core.tools import StructuredTool

if TYPE_CHECKING:
    from desktop_sandbox import Sandbox


def desktop_tools(sandbox: Sandbox) -> list[StructuredTool]:
    """Tools that act on a desktop and look at it; screenshots are image blocks."""
    return [_tool(function) for function in functions(sandbox)]


def _tool(function: Function) -> StructuredTool:
    def run(**given: Any) -> str | list[dict[str, Any]]:
        found = function(**given)
        if isinstance(found, str):
            return found
        data = base64.b64encode(found.data).decode()
        return [{"type": "image", "base64": data, "mime_type": found.media_type}]

    schema = {
        "type": "object",
        "properties": {name: {"type": kind, "description": about} for name, (kind, about) in function.inputs.items()},
        "required": [name for name in function.inputs if name not in function.optional],
    }
    return StructuredTool.from_function(
        run, name=function.name, description=function.description, args_schema=schema, infer_schema=False
    )
