"""Elements of apps as their accessibility tree tells of them: values, how they are read from untrusted JSON, and the
outline that models read. Pure; known to node, API and SDK alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from desktop_sandbox.errors import GuestError

Scope = Literal["focused", "app", "all"]
Match = Literal["substring", "exact", "regex"]
MAX_NODES = 5000
_LONGEST = {"id": 300, "role": 60, "name": 800, "description": 500, "value": 2100}
_MOST_WORDS = 64
_PLAIN_ROLES = frozenset(
    {"panel", "filler", "section", "unknown", "generic", "redundant object", "layered pane", "root pane", "grouping",
     "scroll pane", "viewport", "split pane", "paragraph", "static", "label", "separator", "glass pane", "block"}
)  # fmt: skip
"""Roles that say nothing where the element has no name."""
_UNDERSTOOD = frozenset({"focusable", "selectable", "checkable"})
"""States that the outline leaves out: the role says as much."""


@dataclass(frozen=True)
class Element:
    """One element. `id` stays its own while it is there; `depth` 0 is its app.

    `bounds`: (x, y, width, height) in screen pixels, None where it has no place; `states` as in AT-SPI, and "disabled"
    and "hidden"; `more`: how many of its children were not read.
    """

    id: str
    role: str
    name: str = ""
    description: str = ""
    value: str | None = None
    states: tuple[str, ...] = ()
    bounds: tuple[int, int, int, int] | None = None
    actions: tuple[str, ...] = ()
    depth: int = 0
    app: int = 0
    more: int = 0

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """The bounds, as whatever marks boxes on the screen asks for them."""
        return self.bounds

    @property
    def center(self) -> tuple[int, int] | None:
        """The middle of its bounds."""
        if self.bounds is None:
            return None
        x, y, width, height = self.bounds
        return x + width // 2, y + height // 2

    def __str__(self) -> str:
        parts = [f"[{self.id}] {self.role}"]
        parts += [f'"{self.name}"'] if self.name else []
        parts += [f'= "{" ".join(self.value.split())[:200]}"'] if self.value and self.value != self.name else []
        states = [state for state in self.states if state not in _UNDERSTOOD]
        parts += [f"({', '.join(states)})"] if states else []
        if self.bounds is not None:
            x, y, width, height = self.bounds
            parts.append(f"@{x},{y} {width}x{height}")
        parts += [f"… {self.more} more"] if self.more else []
        return " ".join(parts)


@dataclass(frozen=True)
class ElementApp:
    """An app that was read: its name and process; `error` says why there is not all of it, or nothing."""

    name: str
    pid: int | None
    error: str | None = None


@dataclass(frozen=True)
class ElementTree:
    """What was read: elements with parents before their children. `truncated` says why there would be more:
    "deadline", "nodes", "depth", "bytes". `total`: how many fitted, where some were looked for."""

    apps: Sequence[ElementApp]
    elements: Sequence[Element]
    truncated: Sequence[str] = ()
    elapsed_ms: int = 0
    total: int | None = None
    window: str | None = field(default=None)
    """The title of the window with the focus, where that was asked for."""

    @property
    def text(self) -> str:
        """The tree as lines for a model: boxes that say nothing are left out, and what is in them moves up."""
        return outline(self)

    def children(self, element: Element) -> list[Element]:
        """The elements right below one."""
        return [below for below in self._below(element) if below.depth == element.depth + 1]

    def _below(self, element: Element) -> Iterator[Element]:
        start = next((number for number, each in enumerate(self.elements) if each.id == element.id), None)
        if start is None:
            return
        for each in self.elements[start + 1 :]:
            if each.depth <= element.depth or each.app != element.app:
                return
            yield each


def outline(tree: ElementTree) -> str:
    """One line an element, indented: `[id] role "name" = "value" (states) @x,y widthxheight`."""
    lines: list[str] = []
    shown: list[int] = []  # depths of the elements above that have a line
    app = -1
    before: Element | None = None
    for element in tree.elements:
        if element.app != app:
            app, shown, before = element.app, [], None
        while shown and shown[-1] >= element.depth:
            shown.pop()
        if _says_nothing(element) or (before is not None and _repeats(element, before)):
            continue
        lines.append("  " * len(shown) + str(element))
        shown.append(element.depth)
        before = element
    lines += [f"! {each.name or f'app of pid {each.pid}'}: {each.error}" for each in tree.apps if each.error]
    if tree.truncated:
        lines.append(f"! there is more: the read was cut for {', '.join(tree.truncated)}")
    return "\n".join(lines)


def _says_nothing(element: Element) -> bool:
    if element.role == "scroll bar":
        return not element.name
    plain = element.role in _PLAIN_ROLES and element.depth > 0
    return plain and not (
        element.name or element.value or element.actions or element.more or "focused" in element.states
    )


def _repeats(element: Element, above: Element) -> bool:
    """A text that only says again what the link or button around it is called."""
    return (
        element.role in ("static", "label", "text leaf") and element.depth > above.depth and element.name == above.name
    )


def parse_tree(data: object) -> ElementTree:
    """A tree out of JSON that may say anything, the guest's or the API's. GuestError where it makes no sense."""
    if not isinstance(data, Mapping):
        raise GuestError(f"the guest's tree is {type(data).__name__}")
    apps, nodes = data.get("apps"), data.get("nodes", data.get("elements"))
    if not isinstance(apps, list) or not isinstance(nodes, list) or len(nodes) > MAX_NODES or len(apps) > 1000:
        raise GuestError("the guest's tree makes no sense")
    window, total = data.get("window"), data.get("total")
    return ElementTree(
        apps=[_app(each) for each in apps],
        elements=[parse_element(each) for each in nodes],
        truncated=_words(data.get("truncated")),
        elapsed_ms=_count(data.get("elapsed_ms")),
        total=None if total is None else _count(total),
        window=None if window is None else _text(window.get("title") if isinstance(window, Mapping) else window, 800),
    )


def parse_element(data: object) -> Element:
    """An element out of JSON that may say anything. GuestError where it makes no sense."""
    if not isinstance(data, Mapping) or not isinstance(data.get("id"), str) or not data["id"]:
        raise GuestError("the guest's tree has an element without an id")
    texts = {name: _text(data.get(name), longest) for name, longest in _LONGEST.items()}
    value = data.get("value")
    return Element(
        id=texts["id"],
        role=texts["role"] or "unknown",
        name=texts["name"],
        description=texts["description"],
        value=texts["value"] if isinstance(value, str) else None,
        states=_words(data.get("states")),
        bounds=_bounds(data.get("bounds")),
        actions=_words(data.get("actions")),
        depth=min(_count(data.get("depth")), 1000),
        app=_count(data.get("app")),
        more=_count(data.get("more")),
    )


def _app(data: object) -> ElementApp:
    facts = data if isinstance(data, Mapping) else {}
    error = facts.get("error")
    pid = _count(facts.get("pid"))
    return ElementApp(_text(facts.get("name"), 800), pid or None, None if error is None else _text(error, 500))


def _text(value: object, longest: int) -> str:
    return value[:longest] if isinstance(value, str) else ""


def _words(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else []
    return tuple(item[:80] for item in items[:_MOST_WORDS] if isinstance(item, str))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else 0


def _bounds(value: object) -> tuple[int, int, int, int] | None:
    if isinstance(value, Mapping):
        value = [value.get(name) for name in ("x", "y", "width", "height")]
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    if not all(isinstance(part, int) and abs(part) <= 1 << 20 for part in value):
        return None
    x, y, width, height = value
    return (x, y, width, height) if width > 0 and height > 0 else None
