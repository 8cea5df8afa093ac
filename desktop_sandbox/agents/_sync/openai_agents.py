# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""A desktop as the computer of the OpenAI Agents SDK."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from actions.dialects import openai
from desktop_sandbox.agents._sync.hands import Hands
from desktop_sandbox.agents.extras import extra

with extra("openai-agents"):
    from agents import Button, Computer, Environment

if TYPE_CHECKING:
    from desktop_sandbox.sdk._sync.sandbox import Sandbox


class DesktopComputer(Computer):
    """Goes into `ComputerTool(computer)`; `preview_size`, the screen's, is for models with the preview tool only.

    The SDK has no way to tell a model of an error: what a model asks for and cannot be done ends its run.
    """

    def __init__(self, sandbox: Sandbox, *, preview_size: tuple[int, int] | None = None, settle_ms: int = 200) -> None:
        self._hands = Hands(sandbox, settle_ms=settle_ms)
        self._preview_size = preview_size
        self._settle_ms = settle_ms

    @property
    def environment(self) -> Environment | None:
        """What the preview tool is told of the system."""
        return None if self._preview_size is None else "ubuntu"

    @property
    def dimensions(self) -> tuple[int, int] | None:
        """What the preview tool is told of the size."""
        return self._preview_size

    def screenshot(self) -> str:
        """The settled screen, a PNG in base64."""
        return base64.b64encode(self._hands.sandbox.screenshot(stable_ms=self._settle_ms, deadline_ms=3000)).decode()

    def click(self, x: int, y: int, button: Button, *, keys: list[str] | None = None) -> None:
        """Click, with keys held."""
        self._do("click", x=x, y=y, button=button, keys=keys)

    def double_click(self, x: int, y: int, *, keys: list[str] | None = None) -> None:
        """Click twice, with keys held."""
        self._do("double_click", x=x, y=y, keys=keys)

    def scroll(self, x: int, y: int, scroll_x: int, scroll_y: int, *, keys: list[str] | None = None) -> None:
        """Scroll by pixels, with keys held."""
        self._do("scroll", x=x, y=y, scroll_x=scroll_x, scroll_y=scroll_y, keys=keys)

    def type(self, text: str) -> None:
        """Type text."""
        self._do("type", text=text)

    def wait(self) -> None:
        """Give the desktop two seconds."""
        self._do("wait")

    def move(self, x: int, y: int, *, keys: list[str] | None = None) -> None:
        """Move the pointer, with keys held."""
        self._do("move", x=x, y=y, keys=keys)

    def keypress(self, keys: list[str]) -> None:
        """Press a combination."""
        self._do("keypress", keys=keys)

    def drag(self, path: list[tuple[int, int]], *, keys: list[str] | None = None) -> None:
        """Drag along a path, with keys held."""
        self._do("drag", path=[{"x": x, "y": y} for x, y in path], keys=keys)

    def _do(self, kind: str, **given: Any) -> None:
        self._hands.do(openai.read({"type": kind, **given}, self._hands.view()))
