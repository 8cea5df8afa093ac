"""windows.list, windows.active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guest_image.agent.registry import op

if TYPE_CHECKING:
    from guest_image.agent.call import Call


@op("windows.list")
async def windows_list(call: Call) -> list[dict[str, Any]]:
    """Windows, minimised or not, lowest first: id, title, class, pid, x, y, width, height, active, states."""

    def work(display: Any) -> list[dict[str, Any]]:
        from guest_image.agent.x.windows import list_windows

        return [window.to_wire() for window in list_windows(display, minimised=True)]

    return await call.agent.viewer.call(work, call.agent.config.x_timeout_s)


@op("windows.active")
async def windows_active(call: Call) -> dict[str, Any]:
    """The active window, or {"id": null}."""

    def work(display: Any) -> dict[str, Any]:
        from guest_image.agent.x.windows import active_window

        window = active_window(display)
        return {"id": None} if window is None else window.to_wire()

    return await call.agent.viewer.call(work, call.agent.config.x_timeout_s)
