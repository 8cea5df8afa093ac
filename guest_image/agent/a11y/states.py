"""States of accessible objects as AT-SPI 2 numbers them (AtspiStateType), and how roles are called. Pure."""

from __future__ import annotations

NAMES = (
    "invalid", "active", "armed", "busy", "checked", "collapsed", "defunct", "editable", "enabled", "expandable",
    "expanded", "focusable", "focused", "has-tooltip", "horizontal", "iconified", "modal", "multi-line",
    "multiselectable", "opaque", "pressed", "resizable", "selectable", "selected", "sensitive", "showing",
    "single-line", "stale", "transient", "vertical", "visible", "manages-descendants", "indeterminate", "required",
    "truncated", "animated", "invalid-entry", "supports-autocompletion", "selectable-text", "is-default", "visited",
    "checkable", "has-popup", "read-only",
)  # fmt: skip
_BITS = {name: number for number, name in enumerate(NAMES)}

_NOT_SAID = frozenset(
    {"invalid", "opaque", "transient", "stale", "resizable", "horizontal", "vertical", "single-line", "truncated",
     "animated", "selectable-text", "manages-descendants", "has-tooltip", "supports-autocompletion", "visible",
     "showing", "enabled", "sensitive"}
)  # fmt: skip
"""States that say nothing of use; the last four are said where they are missing: hidden, disabled."""

# names of roles that changed between AT-SPI releases and toolkits; asked for either way
_SAME_ROLE = {"push button": "button", "text": "entry", "editbar": "entry", "text box": "entry", "textbox": "entry",
              "checkbox": "check box", "combobox": "combo box", "static": "label", "heading text": "heading",
              "tab": "page tab", "toolbar": "tool bar", "menuitem": "menu item", "radio": "radio button",
              "push button menu": "button menu", "hyperlink": "link", "window": "frame"}  # fmt: skip


def has(states: int, name: str) -> bool:
    """Whether a set of states (a number, bit by bit) has the state of that name."""
    return bool(states >> _BITS[name] & 1)


def said(states: int) -> list[str]:
    """What is said of a set of states: those that mean something to who acts, and "disabled" and "hidden"."""
    names = [name for name in NAMES if name not in _NOT_SAID and has(states, name)]
    if "multi-line" in names and "editable" not in names:
        names.remove("multi-line")  # labels are, too
    if not (has(states, "sensitive") or has(states, "enabled")):
        names.append("disabled")
    if not (has(states, "showing") and has(states, "visible")):
        names.append("hidden")
    return names


def same_role(one: str, other: str) -> bool:
    """Whether two names mean the same role: "push button" and "button", "check-box" and "check box"."""
    return _plain(one) == _plain(other)


def _plain(role: str) -> str:
    name = " ".join(role.lower().replace("-", " ").replace("_", " ").split())
    return _SAME_ROLE.get(name, name)
