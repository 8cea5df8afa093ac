"""Asks the window manager to do something to a window (EWMH 1.5, ICCCM 4.1.4), and tells whether it has.

Never waits: the wish goes out, and `holds` is asked again and again by who waits.
"""

from __future__ import annotations

from typing import Any

from Xlib import X, Xatom
from Xlib.error import BadDrawable, BadMatch, BadWindow
from Xlib.protocol import event

from guest_image.agent.errors import OpError
from guest_image.agent.x.windows import Window, list_windows

VERBS = ("activate", "close", "minimise", "maximise", "restore", "fullscreen", "move", "resize")
_PAGER = 2
_ICONIC = 3
_REMOVE, _ADD = 0, 1
_STATIC_GRAVITY = 10
_HAS_X, _HAS_Y, _HAS_WIDTH, _HAS_HEIGHT = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_NEAR_PX = 64
_LARGE = {"maximised", "fullscreen"}


def find_window(display: Any, window_id: int) -> Window:
    """The window of that id, minimised or not. OpError "not-found" lists those there are."""
    windows = list_windows(display, minimised=True)
    for window in windows:
        if window.id == window_id:
            return window
    raise OpError("not-found", f"no window {window_id}", hint=f"open windows: {listed(windows)}")


def listed(windows: list[Window]) -> str:
    """Windows in words, for errors; the topmost first."""
    return (
        ", ".join(f"{window.id} {window.title!r:.60} ({window.class_name})" for window in reversed(windows))[:900]
        or "none"
    )


def ask(display: Any, window: Window, verb: str, place: dict[str, int]) -> None:
    """Send the wish. `place`: x, y, width, height in screen pixels, those of them that "move" and "resize" change."""
    if verb == "activate" or (verb == "restore" and "minimised" in window.states):
        _send(display, window.id, "_NET_ACTIVE_WINDOW", _PAGER, X.CurrentTime, 0)
    if verb == "close":
        _send(display, window.id, "_NET_CLOSE_WINDOW", X.CurrentTime, _PAGER)
    elif verb == "minimise":
        _send(display, window.id, "WM_CHANGE_STATE", _ICONIC)
    elif verb == "maximise":
        if "minimised" in window.states:
            _send(display, window.id, "_NET_ACTIVE_WINDOW", _PAGER, X.CurrentTime, 0)
        _state(display, window.id, _ADD, "MAXIMIZED_VERT", "MAXIMIZED_HORZ")
    elif verb == "fullscreen":
        _state(display, window.id, _ADD, "FULLSCREEN")
    elif verb in ("restore", "move", "resize"):
        _state(display, window.id, _REMOVE, "FULLSCREEN")
        _state(display, window.id, _REMOVE, "MAXIMIZED_VERT", "MAXIMIZED_HORZ")
    if place:
        flags = _STATIC_GRAVITY | _PAGER << 12
        for name, bit in (("x", _HAS_X), ("y", _HAS_Y), ("width", _HAS_WIDTH), ("height", _HAS_HEIGHT)):
            flags |= bit if name in place else 0
        values = [place.get(name, 0) & 0xFFFFFFFF for name in ("x", "y", "width", "height")]
        _send(display, window.id, "_NET_MOVERESIZE_WINDOW", flags, *values)
    display.flush()


def holds(display: Any, window_id: int, verb: str, place: dict[str, int]) -> tuple[bool, Window | None]:
    """Whether the window is as wished, and the window as it is now (None: it is gone)."""
    window = next((each for each in list_windows(display, minimised=True) if each.id == window_id), None)
    if window is None:
        return verb == "close", None
    states = window.states
    if verb == "activate":
        return window.active, window
    if verb == "close":
        return False, window
    if verb in ("move", "resize"):
        # a window manager keeps frames on the screen, and apps their size in steps: near is as good as it gets
        return all(abs(getattr(window, name) - value) <= _NEAR_PX for name, value in place.items()), window
    wanted = {"minimise": "minimised", "maximise": "maximised", "fullscreen": "fullscreen"}.get(verb)
    if wanted is not None:
        return wanted in states, window
    return not {"minimised", "maximised", "fullscreen"} & set(states), window


def settled(before: Window, now: Window | None, place: dict[str, int]) -> bool:
    """Whether the size or place that a wish brings has come: a window manager tells a state before the window has it.

    Of a window that is near its wish, but as it was before, it cannot be told; who waits gives up some time.
    """
    if now is None:
        return True
    if place and all(getattr(now, name) == value for name, value in place.items()):
        return True
    if not place and _LARGE & set(now.states) == _LARGE & set(before.states):
        return True
    names = tuple(place) or ("width", "height")
    return any(getattr(now, name) != getattr(before, name) for name in names)


def _state(display: Any, window_id: int, action: int, *names: str) -> None:
    atoms = [display.get_atom(f"_NET_WM_STATE_{name}") for name in names]
    _send(display, window_id, "_NET_WM_STATE", action, *atoms, *[0] * (2 - len(atoms)), _PAGER)


def _send(display: Any, window_id: int, message: str, *values: int) -> None:
    root = display.screen().root
    supported = root.get_full_property(display.get_atom("_NET_SUPPORTING_WM_CHECK"), Xatom.WINDOW)
    if supported is None:
        raise OpError("unavailable", "no window manager runs on this desktop")
    data = (32, [*values, *[0] * (5 - len(values))])
    wish = event.ClientMessage(
        window=display.create_resource_object("window", window_id),
        client_type=display.get_atom(message),
        data=data,
    )
    try:
        root.send_event(wish, event_mask=X.SubstructureRedirectMask | X.SubstructureNotifyMask)
    except (BadWindow, BadDrawable, BadMatch) as error:
        raise OpError("not-found", f"window {window_id} is gone") from error
