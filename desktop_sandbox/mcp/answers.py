"""What tools answer: text, pictures and data as MCP has them, and errors that a model can act on."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from actions.errors import ActionValueError
from desktop_sandbox.agents.extras import extra
from desktop_sandbox.errors import DesktopSandboxError, InvalidActionError
from desktop_sandbox.problem import plain

with extra("mcp"):
    from mcp.types import CallToolResult, ImageContent, TextContent

if TYPE_CHECKING:
    from desktop_sandbox.agents.runtime import Picture

P = ParamSpec("P")
Tool = Callable[P, Awaitable[CallToolResult]]


def line(said: str, data: dict[str, Any] | None = None) -> CallToolResult:
    """A line of text, and data for programs."""
    return CallToolResult(content=[TextContent(type="text", text=said)], structured_content=data)


def data(found: dict[str, Any]) -> CallToolResult:
    """Data, as text for models and as such for programs."""
    return line(json.dumps(found, ensure_ascii=False, indent=1), found)


def seen(picture: Picture | None, said: str | None = None, found: dict[str, Any] | None = None) -> CallToolResult:
    """A line of text and a picture."""
    result = line(said, found) if said is not None else CallToolResult(content=[], structured_content=found)
    if picture is not None:
        encoded = base64.b64encode(picture.data).decode()
        result.content.append(ImageContent(type="image", data=encoded, mime_type=picture.media_type))
    return result


def failed(error: DesktopSandboxError | ActionValueError) -> CallToolResult:
    """An error as a result: its text for the model, and its slug, hint and evidence for programs."""
    if isinstance(error, ActionValueError):
        field = {} if error.field is None else {"field": error.field}
        evidence: dict[str, object] = field | ({} if error.index is None else {"index": error.index})
        slug, message = InvalidActionError.slug, str(error)
    else:
        evidence, slug, message = dict(error.evidence), error.slug, str(error)
    for name in ("screenshot", "screenshots"):  # pictures among the evidence are not for reading
        evidence.pop(name, None)
    found = {"type": slug, "message": error.message, "hint": error.hint, "evidence": plain(evidence)}
    result = line(message, found)
    result.is_error = True
    return result


def telling(tool: Callable[P, Awaitable[CallToolResult]]) -> Callable[P, Awaitable[CallToolResult]]:
    """A tool whose errors are results. What is no error of ours is a bug, and MCP's server says so."""

    @functools.wraps(tool)
    async def run(*args: P.args, **kwargs: P.kwargs) -> CallToolResult:
        try:
            return await tool(*args, **kwargs)
        except (DesktopSandboxError, ActionValueError) as error:
            return failed(error)

    return run
