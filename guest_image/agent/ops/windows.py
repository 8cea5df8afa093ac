"""windows.list, windows.active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guest_image.agent.registry import op

if TYPE_CHECKING:
    from guest_image.agent.call import Call
    from guest_image.agent.server import Agent


async def list_windows(agent: Agent) -> list[dict[str, Any]]:
    """All windows, bottom to top, from the query connection."""

    def work(display: Any) -> list[dict[str, Any]]:
        from guest_image.agent.x import windows

        return [window.to_wire() for window in windows.list_windows(display)]

    return await agent.viewer.call(work, agent.config.x_timeout_s)


@op("windows.list")
async def windows_list(call: Call) -> list[dict[str, Any]]:
    """Windows: id, title, class, pid, x, y, width, height, active."""
    return await list_windows(call.agent)


@op("windows.active")
async def windows_active(call: Call) -> dict[str, Any]:
    """The active window, or {"id": null}."""
    for window in await list_windows(call.agent):
        if window.get("active"):
            return window
    return {"id": None}
