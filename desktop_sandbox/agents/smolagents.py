"""A desktop's tools for smolagents: `CodeAgent(tools=desktop_tools(desktop), model=model)`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from desktop_sandbox.agents.extras import extra
from desktop_sandbox.agents.functions import Function, functions

with extra("smolagents"):
    from smolagents import Tool

if TYPE_CHECKING:
    from desktop_sandbox import Sandbox


def desktop_tools(sandbox: Sandbox) -> list[Tool]:
    """Tools that act on a desktop and look at it; screenshots are PIL images."""
    return [DesktopTool(function) for function in functions(sandbox)]


class DesktopTool(Tool):  # type: ignore[misc]
    """One function of a desktop."""

    name = "desktop"
    description = "One function of a desktop."
    inputs: dict[str, dict[str, Any]] = {}  # noqa: RUF012
    output_type = "string"
    skip_forward_signature_validation = True  # the inputs differ from function to function

    def __init__(self, function: Function) -> None:
        self.name = function.name
        self.description = function.description
        self.inputs = {
            name: {"type": kind, "description": about, **({"nullable": True} if name in function.optional else {})}
            for name, (kind, about) in function.inputs.items()
        }
        self.output_type = "string" if function.inputs else "image"
        self._function = function
        super().__init__()

    def forward(self, *args: Any, **given: Any) -> Any:
        """Run it; values may come by place or by name."""
        found = self._function(**dict(zip(self.inputs, args, strict=False)), **given)
        return found if isinstance(found, str) else Image.open(io.BytesIO(found.data))
