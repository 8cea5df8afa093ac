"""windows.do, windows.opened: change windows through the window manager, and wait for new ones."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.registry import integer, items, op, string

if TYPE_CHECKING:
    from collections.abc import Callable

    from guest_image.agent.call import Call
    from guest_image.agent.x.windows import Window

_POLL_S = 0.05
_LONGEST_POLL_S = 0.5
_FOCUS_S = 2.0
_PLACE = integer(None, -32768, 32767)
_SIZE = integer(None, 1, 32767)


@op(
    "windows.do",
    id=integer(minimum=1, maximum=0xFFFFFFFF),
    verb=string(),
    x=_PLACE,
    y=_PLACE,
    width=_SIZE,
    height=_SIZE,
    timeout_ms=integer(3000, 0, 60_000),
)
async def windows_do(
    call: Call,
    *,
    id: int,
    verb: str,
    x: int | None,
    y: int | None,
    width: int | None,
    height: int | None,
    timeout_ms: int,
) -> dict[str, Any]:
    """Do `verb` to a window and wait until it is so: {"done", "window"}; the window is null once it is closed.

    `done` false: it was asked for, and is not so after `timeout_ms`; a window may ask its user before it closes.
    """
    from guest_image.agent.x import window_control

    if verb not in window_control.VERBS:
        raise OpError("invalid", f"verb is {verb!r:.40}", hint=", ".join(window_control.VERBS))
    given = {"x": x, "y": y, "width": width, "height": height}
    place = {name: value for name, value in given.items() if value is not None}
    needed = {"move": {"x", "y"}, "resize": {"width", "height"}}.get(verb, set())
    if not needed <= set(place) or (place and not needed):
        raise OpError(
            "invalid", f"{verb} with {place}", hint="move takes x and y, resize width and height, others neither"
        )

    def begin(display: Any) -> Window:
        window = window_control.find_window(display, id)
        window_control.ask(display, window, verb, place)
        return window

    def look(display: Any) -> tuple[bool, dict[str, Any]]:
        done, window = window_control.holds(display, id, verb, place)
        answered = done and window_control.settled(before, window, place)
        return answered, {"done": done, "window": None if window is None else window.to_wire()}

    before = await call.agent.viewer.call(begin, call.agent.config.x_timeout_s)
    return await _until(call, look, timeout_ms)


@op("windows.opened", before=items(), pid=integer(0, 0), timeout_ms=integer(10_000, 0, 300_000))
async def windows_opened(call: Call, *, before: list[Any], pid: int, timeout_ms: int) -> dict[str, Any]:
    """Wait for a window that is none of `before` (ids): {"window", "running", "windows"}.

    The window is null where none came in time; `running`: whether process `pid` still runs. Of several the newest of
    that process or its children counts, else the topmost. It is given a moment to take the focus, which a window
    manager gives to most new windows, so that what is done next is done to it.
    """
    known = set(before)
    loop = asyncio.get_running_loop()
    first_seen: list[float] = []

    def look(display: Any) -> tuple[bool, dict[str, Any]]:
        from guest_image.agent.x.windows import list_windows

        windows = list_windows(display)
        fresh = [window for window in windows if window.id not in known]
        mine = [window for window in fresh if pid and _descends(window.pid, pid)]
        chosen = mine or fresh
        window = chosen[-1] if chosen else None
        found = {
            "window": None if window is None else window.to_wire(),
            "running": bool(pid) and os.path.exists(f"/proc/{pid}"),
            "windows": [each.to_wire() for each in windows],
        }
        if window is None:
            return False, found
        first_seen.append(loop.time())
        return window.active or first_seen[-1] - first_seen[0] >= _FOCUS_S, found

    return await _until(call, look, timeout_ms)


async def _until(call: Call, look: Callable[[Any], tuple[bool, dict[str, Any]]], timeout_ms: int) -> dict[str, Any]:
    """Look until it is so or the time is over: what was seen last."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_ms / 1000
    pause_s = _POLL_S
    while True:
        done, seen = await call.agent.viewer.call(look, call.agent.config.x_timeout_s)
        if done or loop.time() >= until:
            return seen
        await asyncio.sleep(min(pause_s, max(0.0, until - loop.time())))
        pause_s = min(pause_s * 1.3, _LONGEST_POLL_S)


def _descends(pid: int, ancestor: int) -> bool:
    """Whether a process is another one, or descends from it."""
    for _ in range(32):
        if pid == ancestor:
            return True
        if pid <= 1:
            return False
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read(1024).rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return False
