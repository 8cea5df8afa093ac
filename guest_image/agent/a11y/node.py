"""One accessible object as it is read, and as the answer has it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guest_image.agent.a11y import states

ACCESSIBLE_PATH = "/org/a11y/atspi/accessible/"
MAX_NAME, MAX_DESCRIPTION, MAX_VALUE, MAX_ACTIONS = 200, 120, 500, 8
_OBJECT = "\ufffc"
_FAR = 1 << 20

Ref = tuple[str, str]
"""Bus name and object path: where an object is found."""


def element_id(ref: Ref) -> str:
    """A short name of an object that stays its own: "1.23/45", or "1.23//any/path"."""
    name, path = ref
    return f"{name.removeprefix(':')}/{path.removeprefix(ACCESSIBLE_PATH)}"


def parse_id(text: str) -> Ref:
    """The object that an id means. ValueError if it is none."""
    name, slash, rest = text.partition("/")
    path = rest if rest.startswith("/") else ACCESSIBLE_PATH + rest
    known = all(part and all(c.isascii() and (c.isalnum() or c == "_") for c in part) for part in path[1:].split("/"))
    numbers = name.split(".")
    if not slash or not known or len(text) > 255 or len(numbers) != 2 or not all(part.isdigit() for part in numbers):
        raise ValueError(f"{text!r:.80} is no element's id")
    return f":{name}", path


@dataclass(slots=True)
class Node:
    """An object; `states` is a number, bit by bit. `bounds`: x, y, width, height in screen pixels."""

    ref: Ref
    depth: int
    order: int = 0
    document: bool = False
    role: str = ""
    name: str = ""
    description: str = ""
    states: int = 0
    interfaces: frozenset[str] = frozenset()
    bounds: tuple[int, int, int, int] | None = None
    child_count: int = 0
    children: list[Node] = field(default_factory=list)
    more: int = 0
    value: str | None = None
    actions: tuple[str, ...] = ()
    broken: str | None = None

    @property
    def shown(self) -> bool:
        """Whether it can be seen, as far as its app knows."""
        return states.has(self.states, "showing") and states.has(self.states, "visible")

    def is_(self, state: str) -> bool:
        """Whether it has a state."""
        return states.has(self.states, state)

    def to_wire(self) -> dict[str, Any]:
        """As in docs/protocol.md: what is empty is left out."""
        wire: dict[str, Any] = {"id": element_id(self.ref), "depth": self.depth, "role": self.role}
        more = {
            "name": self.name,
            "description": self.description if self.description != self.name else "",
            "value": self.value,
            "states": [] if self.role == "application" else states.said(self.states),
            "bounds": list(self.bounds) if self.bounds else None,
            "actions": list(self.actions),
            "more": self.more,
        }
        return wire | {name: value for name, value in more.items() if value}


def text(value: object, longest: int) -> str:
    """A text of an app, on one line and cut to a length; nothing where it is none."""
    if not isinstance(value, str):
        return ""
    plain = " ".join(value[: longest * 4].replace(_OBJECT, " ").split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def content(value: object) -> str:
    """The content of a field, with its lines, cut to a length."""
    if not isinstance(value, str):
        return ""
    plain = value.replace(_OBJECT, "")
    return plain if len(plain) <= MAX_VALUE else plain[: MAX_VALUE - 1] + "…"


def bounds(value: object) -> tuple[int, int, int, int] | None:
    """A rectangle of an app; None where it is none, empty, or beyond any screen."""
    if not isinstance(value, tuple) or len(value) != 4 or not all(isinstance(part, int) for part in value):
        return None
    x, y, width, height = value
    if not (0 < width <= _FAR and 0 < height <= _FAR and abs(x) <= _FAR and abs(y) <= _FAR):
        return None
    return x, y, width, height
