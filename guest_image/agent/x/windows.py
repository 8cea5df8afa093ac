"""Lists the windows of the desktop, by EWMH where a window manager runs, by the tree of windows where none does.

Windows come and go while they are read: one that vanishes is left out. Reads only; changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from Xlib import X, Xatom
from Xlib.error import BadDrawable, BadMatch, BadWindow

_ICONIC = 3
_STATES = {
    "maximised": ("MAXIMIZED_VERT", "MAXIMIZED_HORZ"),
    "fullscreen": ("FULLSCREEN",),
    "modal": ("MODAL",),
    "above": ("ABOVE",),
    "attention": ("DEMANDS_ATTENTION",),
}


@dataclass(frozen=True, slots=True)
class Window:
    """A window as a user counts them; position and size in screen pixels without the frame, `pid` 0 if unknown."""

    id: int
    title: str
    class_name: str
    instance: str
    pid: int
    x: int
    y: int
    width: int
    height: int
    active: bool
    states: tuple[str, ...] = ()
    """Of "minimised", "maximised", "fullscreen", "modal", "above", "attention"."""

    def matches(self, pattern: str | re.Pattern[str]) -> bool:
        """Whether title, class or instance holds the regular expression."""
        return any(re.search(pattern, text) for text in (self.title, self.class_name, self.instance))

    def to_wire(self) -> dict[str, Any]:
        """The form of windows.list: id, title, class, pid, x, y, width, height, active, states."""
        wire = asdict(self)
        wire["class"] = wire.pop("class_name")
        wire["states"] = list(self.states)
        del wire["instance"]
        return wire


def list_windows(display: Any, *, minimised: bool = False) -> list[Window]:
    """Mapped windows, lowest first; with `minimised` also those, which are not mapped."""
    active = _active_id(display)
    found = (_describe(display, window, active) for window in _candidates(display))
    return [window for window in found if window is not None and (minimised or "minimised" not in window.states)]


def active_window(display: Any) -> Window | None:
    """The window that has the focus by the window manager's word, or None."""
    active = _active_id(display)
    return _describe(display, display.create_resource_object("window", active), active) if active else None


def window_exists(display: Any, pattern: str | re.Pattern[str]) -> bool:
    """Whether a mapped window matches: the readiness condition {"window": pattern}."""
    return any(window.matches(pattern) for window in list_windows(display))


def _candidates(display: Any) -> list[Any]:
    root = display.screen().root
    for name in ("_NET_CLIENT_LIST_STACKING", "_NET_CLIENT_LIST"):
        listed = root.get_full_property(display.get_atom(name), Xatom.WINDOW)
        if listed is not None:
            return [display.create_resource_object("window", window_id) for window_id in listed.value]
    return list(_clients_below(root, display.get_atom("WM_STATE"), depth=0))


def _clients_below(parent: Any, state: int, depth: int) -> Iterator[Any]:
    """Without a client list: windows with a title or class, the topmost of each branch."""
    try:
        children = parent.query_tree().children
    except (BadWindow, BadDrawable):
        return
    for child in children:
        try:
            named = child.get_wm_class() or child.get_wm_name() or child.get_property(state, X.AnyPropertyType, 0, 1)
        except (BadWindow, BadDrawable):
            continue
        if named:
            yield child
        elif depth < 2:
            yield from _clients_below(child, state, depth + 1)


def _active_id(display: Any) -> int:
    named = display.screen().root.get_full_property(display.get_atom("_NET_ACTIVE_WINDOW"), Xatom.WINDOW)
    if named is not None:
        return int(named.value[0]) if len(named.value) else 0
    focus = display.get_input_focus().focus
    return 0 if isinstance(focus, int) else int(focus.id)


def _describe(display: Any, window: Any, active: int) -> Window | None:
    try:
        states = _states(display, window)
        if window.get_attributes().map_state != X.IsViewable and "minimised" not in states:
            return None
        geometry = window.get_geometry()
        place = window.translate_coords(display.screen().root, 0, 0)
        instance, class_name = _wm_class(window)
        return Window(
            id=window.id,
            title=_title(display, window),
            class_name=class_name,
            instance=instance,
            pid=_pid(display, window),
            x=-place.x,
            y=-place.y,
            width=geometry.width,
            height=geometry.height,
            active=window.id == active,
            states=states,
        )
    except (BadWindow, BadDrawable, BadMatch):
        return None


def _states(display: Any, window: Any) -> tuple[str, ...]:
    named = window.get_full_property(display.get_atom("_NET_WM_STATE"), Xatom.ATOM)
    atoms = set(named.value) if named is not None else set()
    managed = window.get_property(display.get_atom("WM_STATE"), X.AnyPropertyType, 0, 1)
    iconic = managed is not None and len(managed.value) > 0 and managed.value[0] == _ICONIC
    states = ["minimised"] if iconic else []
    for state, needed in _STATES.items():
        if atoms and all(display.get_atom(f"_NET_WM_STATE_{name}") in atoms for name in needed):
            states.append(state)
    return tuple(states)


def _wm_class(window: Any) -> tuple[str, str]:
    raw = window.get_full_property(Xatom.WM_CLASS, X.AnyPropertyType)
    parts = _text(raw.value).split("\0") if raw is not None else []
    return (parts[0], parts[1]) if len(parts) >= 2 else ("", parts[0] if parts else "")


def _title(display: Any, window: Any) -> str:
    """The title; where it is compound text, which nobody decodes any more, as the window manager shows it."""
    for name in ("_NET_WM_NAME", "_NET_WM_VISIBLE_NAME", "WM_NAME"):
        named = window.get_full_property(display.get_atom(name), X.AnyPropertyType)
        if named is not None and named.value:
            utf8 = named.property_type == display.get_atom("UTF8_STRING")
            return _text(named.value, "utf-8" if utf8 else "latin-1").rstrip("\0")
    return ""


def _pid(display: Any, window: Any) -> int:
    named = window.get_full_property(display.get_atom("_NET_WM_PID"), Xatom.CARDINAL)
    return int(named.value[0]) if named is not None and len(named.value) else 0


def _text(value: Any, encoding: str = "utf-8") -> str:
    return value.decode(encoding, "replace") if isinstance(value, bytes) else str(value)
