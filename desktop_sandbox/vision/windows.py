"""Finds a window by its title or class, and says which there are instead. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from desktop_sandbox.vision.patterns import LONGEST_SUBJECT

Window = Mapping[str, Any]
"""As the node lists it: id, title, class, pid, x, y, width, height, active. A guest wrote it."""

MOST_SHOWN = 20
_LONGEST_SHOWN = 80


def matching(windows: Sequence[Window], title: re.Pattern[str] | None, window_class: str | None) -> Window | None:
    """The highest window with the pattern in its title and `window_class`, in any case, in its class; None if none."""
    for window in reversed(windows):
        text, kind = str(window.get("title") or ""), str(window.get("class") or "")
        titled = title is None or title.search(text[:LONGEST_SUBJECT]) is not None
        if titled and (window_class is None or window_class.casefold() in kind.casefold()):
            return window
    return None


def listed(windows: Sequence[Window]) -> str:
    """The open windows' titles as a sentence ends with them."""
    if not windows:
        return "no window is open"
    titles = [repr(str(window.get("title") or "")[:_LONGEST_SHOWN]) for window in reversed(windows)]
    more = f" and {len(titles) - MOST_SHOWN} more" if len(titles) > MOST_SHOWN else ""
    return f"open windows: {', '.join(titles[:MOST_SHOWN])}{more}"
