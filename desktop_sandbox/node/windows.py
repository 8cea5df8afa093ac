"""Windows as the guest tells of them: checked, matched, put into words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from desktop_sandbox.errors import GuestError, NotFoundError

_NUMBERS = ("id", "pid", "x", "y", "width", "height")
_LONGEST = 1000
_SHOWN = 20


def parse_window(data: object) -> dict[str, Any]:
    """A window out of a guest's answer, maybe of an agent that knows no states. GuestError where it makes no sense."""
    if not isinstance(data, Mapping) or not all(type(data.get(name)) is int for name in _NUMBERS):
        raise GuestError("the guest tells of a window that makes no sense")
    states = data.get("states")
    return {
        **{name: data[name] for name in _NUMBERS},
        "title": str(data.get("title", ""))[:_LONGEST],
        "class": str(data.get("class", ""))[:_LONGEST],
        "active": bool(data.get("active")),
        "states": [str(state)[:40] for state in states[:20]] if isinstance(states, list) else [],
    }


def parse_windows(data: object) -> list[dict[str, Any]]:
    """Windows, bottom to top."""
    if not isinstance(data, list):
        raise GuestError("the guest's list of windows makes no sense")
    return [parse_window(each) for each in data[:10_000]]


def find_window(windows: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any]:
    """The window of an id, title or class, or of a part of one: the topmost. NotFoundError lists the windows."""
    word = " ".join(wanted.split()).casefold()
    tests: tuple[Callable[[Mapping[str, Any]], bool], ...] = (
        lambda window: str(window["id"]) == wanted,
        lambda window: _plain(window["title"]) == word,
        lambda window: _plain(window["class"]) == word,
        lambda window: word in _plain(window["title"]),
        lambda window: word in _plain(window["class"]),
    )
    for fits in tests:
        for window in reversed(windows):
            if word and fits(window):
                found: Mapping[str, Any] = window
                return found
    raise NotFoundError(f"no window {wanted!r:.100}", hint=f"open windows: {listed(windows)}")


def holds(window: Mapping[str, Any], place: tuple[int, int]) -> bool:
    """Whether a place on the screen lies within a window, as far as nothing covers it."""
    x, y = place
    inside: bool = 0 <= x - window["x"] < window["width"] and 0 <= y - window["y"] < window["height"]
    return inside and "minimised" not in window["states"]


def listed(windows: Sequence[Mapping[str, Any]]) -> str:
    """Windows in words, the topmost first."""
    named = [f"{each['title'][:60]!r} ({each['class'][:40]}, {each['id']})" for each in reversed(windows)]
    return ", ".join(named[:_SHOWN]) or "none"


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
