"""A desktop as the computer of the OpenAI Agents SDK."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from actions.dialects import openai
from desktop_sandbox.agents._async.hands import AsyncHands
from desktop_sandbox.agents.extras import extra

with extra("openai-agents"):
    from agents import AsyncComputer, Button, Environment

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.sandbox import AsyncSandbox


class AsyncDesktopComputer(AsyncComputer):
    """Goes into `ComputerTool(computer)`; `preview_size`, the screen's, is for models with the preview tool only.

    The SDK has no way to tell a model of an error: what a model asks for and cannot be done ends its run.
    """

    def __init__(
        self, sandbox: AsyncSandbox, *, preview_size: tuple[int, int] | None = None, settle_ms: int = 200
    ) -> None:
        self._hands = AsyncHands(sandbox, settle_ms=settle_ms)
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

    async def screenshot(self) -> str:
        """The settled screen, a PNG in base64."""
        return base64.b64encode(
            await self._hands.sandbox.screenshot(stable_ms=self._settle_ms, deadline_ms=3000)
        ).decode()

    async def click(self, x: int, y: int, button: Button, *, keys: list[str] | None = None) -> None:
        """Click, with keys held."""
        await self._do("click", x=x, y=y, button=button, keys=keys)

    async def double_click(self, x: int, y: int, *, keys: list[str] | None = None) -> None:
        """Click twice, with keys held."""
        await self._do("double_click", x=x, y=y, keys=keys)

    async def scroll(self, x: int, y: int, scroll_x: int, scroll_y: int, *, keys: list[str] | None = None) -> None:
        """Scroll by pixels, with keys held."""
        await self._do("scroll", x=x, y=y, scroll_x=scroll_x, scroll_y=scroll_y, keys=keys)

    async def type(self, text: str) -> None:
        """Type text."""
        await self._do("type", text=text)

    async def wait(self) -> None:
        """Give the desktop two seconds."""
        await self._do("wait")

    async def move(self, x: int, y: int, *, keys: list[str] | None = None) -> None:
        """Move the pointer, with keys held."""
        await self._do("move", x=x, y=y, keys=keys)

    async def keypress(self, keys: list[str]) -> None:
        """Press a combination."""
        await self._do("keypress", keys=keys)

    async def drag(self, path: list[tuple[int, int]], *, keys: list[str] | None = None) -> None:
        """Drag along a path, with keys held."""
        await self._do("drag", path=[{"x": x, "y": y} for x, y in path], keys=keys)

    async def _do(self, kind: str, **given: Any) -> None:
        await self._hands.do(openai.read({"type": kind, **given}, await self._hands.view()))
