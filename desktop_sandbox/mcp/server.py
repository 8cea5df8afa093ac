"""Puts tools and resources together to an MCP server, and says of each tool what it may do."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from actions.dialects.budget import SMALL, Budget
from desktop_sandbox.agents.extras import extra
from desktop_sandbox.cli.output import jsonable
from desktop_sandbox.errors import DesktopSandboxError, NotFoundError
from desktop_sandbox.mcp.answers import telling
from desktop_sandbox.mcp.computer import Computer
from desktop_sandbox.mcp.desks import Desks
from desktop_sandbox.mcp.elements import Elements
from desktop_sandbox.mcp.eyes import Eyes
from desktop_sandbox.mcp.sandboxes import Sandboxes
from desktop_sandbox.version import VERSION

with extra("mcp"):
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
    from mcp.types import ToolAnnotations

INSTRUCTIONS = (
    "Linux desktops in virtual machines of their own. Make one with sandbox_create, look with computer_screenshot, act "
    "with the computer_ tools: places are pixels of the screenshot. Most tools return the settled screen, so there is "
    "no need to wait or to look again, and say so if nothing changed; for what takes long there is "
    "computer_wait_for_text and its like. computer_tree and computer_find tell of buttons, fields and links by name. "
    "Save with sandbox_checkpoint before something risky; sandbox_rollback undoes."
)
LOOKS = {
    "computer_screenshot", "computer_cursor_position", "computer_windows", "computer_get_clipboard",
    "computer_wait_until_stable", "computer_wait_for_change", "computer_wait_for_window", "computer_wait_for_text",
    "computer_tree", "computer_find", "computer_read_text", "computer_find_picture", "computer_mark_elements",
    "computer_cursor_shape", "computer_get_clipboard_picture", "sandbox_list", "sandbox_info", "sandbox_snapshots",
    "sandbox_read_file",
}  # fmt: skip
LOSES = {"sandbox_kill", "sandbox_rollback", "sandbox_run", "sandbox_set_timeout", "sandbox_write_file"}
SAME_TWICE = {"computer_move", "computer_set_clipboard", "sandbox_kill", "sandbox_pause", "sandbox_resume",
              "sandbox_set_timeout", "sandbox_write_file"}  # fmt: skip


def build(*, sandbox: str | None = None, budget: Budget = SMALL) -> MCPServer[Any]:
    """A server with all tools. `sandbox` is the desktop that is meant where none is named."""
    desks = Desks(budget, sandbox)

    @asynccontextmanager
    async def lifespan(_: MCPServer[Any]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await desks.aclose()

    server: MCPServer[Any] = MCPServer(
        "desktop-sandbox",
        title="Desktop Sandbox",
        instructions=INSTRUCTIONS,
        version=VERSION,
        lifespan=lifespan,
        log_level="WARNING",
    )
    for group in (Computer(desks), Elements(desks), Eyes(desks), Sandboxes(desks)):
        for name, method in inspect.getmembers(group, inspect.ismethod):
            if not name.startswith("_"):
                server.add_tool(telling(method), name=name, annotations=hints(name), structured_output=False)
    _add_resources(server, desks)
    return server


def hints(name: str) -> ToolAnnotations:
    """What a tool may do. Acting on a desktop may do anything there, and reach whatever its machine reaches."""
    looks = name in LOOKS
    acts = name.startswith("computer_") and not looks
    return ToolAnnotations(
        title=name.partition("_")[2].replace("_", " ").capitalize(),
        read_only_hint=looks,
        destructive_hint=acts or name in LOSES,
        idempotent_hint=looks or name in SAME_TWICE,
        open_world_hint=acts or name == "sandbox_run",
    )


def _add_resources(server: MCPServer[Any], desks: Desks) -> None:
    @server.resource("desktop://sandboxes", mime_type="application/json", title="Desktops")
    async def sandboxes() -> Any:
        """The desktops that are alive."""
        from desktop_sandbox import AsyncSandbox

        page = await AsyncSandbox.list(state=["creating", "running", "paused"], limit=1000)
        return jsonable(page.sandboxes)

    @server.resource("desktop://{sandbox}/screen", mime_type="image/png", title="A desktop's screen")
    async def screen(sandbox: str) -> bytes:
        """The whole screen of a desktop as a PNG."""
        try:
            return await (await desks.find(sandbox)).sandbox.screenshot()
        except NotFoundError as error:
            raise ResourceNotFoundError(str(error)) from error
        except DesktopSandboxError as error:
            raise ResourceError(str(error)) from error
