"""display.get, display.set_size, cursor.get, cursor.name: the screen's size and where it lies in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.registry import integer, op
from guest_image.agent.state_page import MAX_SCREEN_PX, ScreenState, StatePageError, unpack

if TYPE_CHECKING:
    from guest_image.agent.call import Call
    from guest_image.agent.server import Agent

_WRITE_S = 0.002
_FOLLOW_S = 5.0


async def screen_state(agent: Agent) -> ScreenState:
    """What the session says of the screen. OpError "unavailable" if it is not up."""
    for _ in range(100):
        try:
            state = unpack(agent.pages.state())
        except StatePageError as error:
            raise OpError("unavailable", str(error), hint="the desktop session is not up") from error
        if state is not None:
            return state
        await asyncio.sleep(_WRITE_S)
    raise OpError("unavailable", "the state page is being written for ever", hint="restart the desktop session")


async def describe(agent: Agent) -> dict[str, Any]:
    """The answer of display.get: sizes in pixels, stride and runs in bytes."""
    state = await screen_state(agent)
    return {
        "width": state.width,
        "height": state.height,
        "max_width": state.max_width,
        "max_height": state.max_height,
        "stride_bytes": state.stride_bytes,
        "generation": state.generation,
        "framebuffer": agent.pages.find(agent.config.framebuffer),
        "state": agent.pages.find(agent.config.state_page),
    }


@op("display.get")
async def display_get(call: Call) -> dict[str, Any]:
    """Size of the screen and the guest-physical runs of its files."""
    return await describe(call.agent)


@op("display.set_size", width=integer(minimum=1, maximum=MAX_SCREEN_PX), height=integer(minimum=1))
async def display_set_size(call: Call, *, width: int, height: int) -> dict[str, Any]:
    """Change the size, live; returns when the session has noticed."""
    agent = call.agent
    before = await screen_state(agent)
    if width > before.max_width or height > before.max_height:
        raise OpError(
            "invalid",
            f"{width}×{height} is larger than this desktop's largest size",
            hint=f"at most {before.max_width}×{before.max_height}",
        )
    if (width, height) == (before.width, before.height):
        return await describe(agent)

    def change(display: Any) -> None:
        from guest_image.agent.x.randr import ScreenSizeError, set_screen_size

        try:
            set_screen_size(display, width, height)
        except ScreenSizeError as error:
            raise OpError("invalid", error.message, hint=error.hint) from error

    await agent.viewer.call(change, agent.config.x_timeout_s)
    deadline = asyncio.get_running_loop().time() + _FOLLOW_S
    while True:
        state = await screen_state(agent)
        if (state.width, state.height) == (width, height):
            break
        if asyncio.get_running_loop().time() > deadline:
            raise OpError("failed", f"the screen is {state.width}×{state.height} and did not become {width}×{height}")
        await asyncio.sleep(_WRITE_S * 5)
    agent.event("display", generation=state.generation)
    return await describe(agent)


@op("cursor.get")
async def cursor_get(call: Call) -> dict[str, Any]:
    """Where the pointer is, in screen pixels."""
    state = await screen_state(call.agent)
    return {"x": state.cursor_x, "y": state.cursor_y}


@op("cursor.name")
async def cursor_name(call: Call) -> dict[str, Any]:
    """What the cursor is called that is shown now, or null; and its serial, to know it by in the state page."""

    def ask(display: Any) -> tuple[str | None, int]:
        from guest_image.agent.x.cursor_name import cursor_name

        return cursor_name(display)

    name, serial = await call.agent.viewer.call(ask, call.agent.config.x_timeout_s)
    return {"name": name, "serial": serial}
