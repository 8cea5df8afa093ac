"""Reads one app's objects, breadth first, with many questions under way at once.

An app that answers wrongly, or not, ends its own walk and nobody else's. Decides what is worth asking; the bus does
the asking.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from guest_image.agent.a11y import fields
from guest_image.agent.a11y.bus import PROPERTIES, Bus, BusError
from guest_image.agent.a11y.node import Node, Ref, element_id

A11Y = "org.a11y.atspi."
SCREEN = 0
_AT_ONCE = 8
_MOST_QUESTIONS = 60
_MOST_CHILDREN = 200
_TEXT_ROLES = ("entry", "text", "password", "terminal", "spin", "editbar")
_ACTS = ("focusable", "selectable", "checkable", "expandable", "editable")
_ACTING_ROLES = ("button", "menu", "link", "item", "tab", "check", "radio", "icon", "cell", "toggle", "switch")
_VALUE_ROLES = ("slider", "spin", "progress", "level", "scroll bar", "dial", "meter", "rating")
_GONE = ("UnknownObject", "UnknownMethod", "NoReply", "ServiceUnknown", "NameHasNoOwner", "Disconnected", "not exist")


@dataclass
class Limits:
    """Bounds of a read. `hidden`: also what cannot be seen. `details`: values and actions, too."""

    depth: int = 60
    hidden: bool = False
    details: bool = True


@dataclass
class AppWalk:
    """The walk of one app. `wanted` decides which of its top windows are gone into; `take` grants room for a node."""

    bus: Bus
    root: Ref
    limits: Limits
    take: Callable[[AppWalk], bool]
    wanted: Callable[[Node], bool] = lambda _: True
    top: Node | None = None
    count: int = 0
    error: str | None = None
    too_deep: bool = False
    pid: int = 0
    heard_at: float = field(default_factory=time.monotonic)
    _queue: deque[tuple[Node | None, Node]] = field(default_factory=deque)
    _open: int = 0
    _asks: deque[tuple[Ref, str, str, str, Any, Callable[[Any], None]]] = field(default_factory=deque)
    _under_way: set[int] = field(default_factory=set)
    _seen: set[Ref] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._enqueue(None, [self.root])

    @property
    def done(self) -> bool:
        """Whether there is nothing left to ask."""
        return self.error is not None or (not self._queue and not self._open)

    @property
    def quiet(self) -> bool:
        """Whether no question is under way."""
        return not self._under_way

    @property
    def hungry(self) -> bool:
        """Whether it has objects left that it has not asked about."""
        return self.error is None and bool(self._queue)

    def feed(self) -> bool:
        """Ask about some more objects; whether it did."""
        began = False
        while self._queue and self._open < _AT_ONCE and self.error is None:
            if not self.take(self):
                return began
            began = True
            parent, node = self._queue.popleft()
            self._open += 1
            self.count += 1
            self._first(parent, node)
        return began

    def fail(self, why: str) -> None:
        """End this walk, with what it has."""
        self.error = self.error or why
        for number in self._under_way:
            self.bus.forget(number)
        self._under_way.clear()
        self._asks.clear()
        self._queue.clear()
        self._open = 0

    def _enqueue(self, parent: Node | None, refs: list[Ref]) -> None:
        depth = 0 if parent is None else parent.depth + 1
        for ref in refs:
            if ref not in self._seen:
                self._seen.add(ref)
                document = parent is not None and parent.document
                self._queue.append((parent, Node(ref, depth, len(self._seen), document)))

    def _ask(
        self, ref: Ref, interface: str, member: str, signature: str, *values: Any, got: Callable[[Any], None]
    ) -> None:
        """Ask, or ask later: a bus ends calls of who has too many under way."""
        self._asks.append((ref, interface, member, signature, values, got))
        self._ask_more()

    def _ask_more(self) -> None:
        while self._asks and len(self._under_way) < _MOST_QUESTIONS:
            ref, interface, member, signature, values, got = self._asks.popleft()
            self._under_way.add(self._send(ref, interface, member, signature, values, got))

    def _send(
        self, ref: Ref, interface: str, member: str, signature: str, values: Any, got: Callable[[Any], None]
    ) -> int:
        def answered(outcome: Any) -> None:
            self._under_way.discard(number)
            self.heard_at = time.monotonic()
            got(outcome)
            self._ask_more()

        number = self.bus.send(*ref, interface, member, signature, *values, answered=answered)
        return number

    def _first(self, parent: Node | None, node: Node) -> None:
        """What decides whether the object is shown, and what more to ask."""
        left = 5

        def got(put: Callable[[Node, Any], None]) -> Callable[[Any], None]:
            def answered(outcome: Any) -> None:
                nonlocal left
                left -= 1
                if isinstance(outcome, BusError):
                    if put is fields.put_properties:  # Qt answers for one property, never for all
                        left += len(fields.PROPERTY_PUTS)
                        for name, put_one in fields.PROPERTY_PUTS.items():
                            about = (f"{A11Y}Accessible", name)
                            self._ask(node.ref, PROPERTIES, "Get", "ss", *about, got=got(put_one))
                    elif put not in (fields.put_extents, fields.put_description) and node.broken is None:
                        node.broken = f"{outcome.name.rpartition('.')[2] or 'error'}: {outcome.message}"
                else:
                    try:
                        put(node, outcome)
                    except fields.NO_SENSE as error:
                        node.broken = f"an answer that makes no sense: {error}"
                if left == 0:
                    self._known(parent, node)

            return answered

        for interface, member, signature, values, put in (
            (PROPERTIES, "GetAll", "s", (f"{A11Y}Accessible",), fields.put_properties),
            (f"{A11Y}Accessible", "GetRoleName", "", (), fields.put_role),
            (f"{A11Y}Accessible", "GetState", "", (), fields.put_states),
            (f"{A11Y}Accessible", "GetInterfaces", "", (), fields.put_interfaces),
            (f"{A11Y}Component", "GetExtents", "u", (SCREEN,), fields.put_extents),
        ):
            self._ask(node.ref, interface, member, signature, *values, got=got(put))

    def _known(self, parent: Node | None, node: Node) -> None:
        if node.broken is not None and node.depth == 0:
            self.fail(f"cannot be read: {node.broken}")
        elif self._keeps(node):
            if parent is None:
                self.top = node
            else:
                parent.children.append(node)
            self._then(node)
            return
        self._open -= 1

    def _keeps(self, node: Node) -> bool:
        if node.broken is not None or node.is_("defunct"):
            return False
        if node.depth == 1 and not self.wanted(node):
            return False
        if node.depth == 0 or node.shown or self.limits.hidden:
            return True
        # in a page, a box without a size may hold what is shown; anywhere else nothing hidden holds anything shown
        return node.document and node.bounds is None and node.child_count > 0

    def _then(self, node: Node) -> None:
        """Children, and what is of use of this role."""
        node.document = node.document or node.role.startswith("document")
        left = 1

        def one_less() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._open -= 1

        def ask(
            put: Callable[[Node, Any], None], interface: str, member: str, signature: str = "", *values: Any
        ) -> None:
            nonlocal left
            left += 1

            def answered(outcome: Any) -> None:
                if not isinstance(outcome, BusError):
                    with suppress(*fields.NO_SENSE):  # a detail that makes no sense is left out
                        put(node, outcome)
                one_less()

            self._ask(node.ref, interface, member, signature, *values, got=answered)

        if node.child_count > 0 and node.depth >= self.limits.depth:
            self.too_deep = True
            node.more = node.child_count
        elif node.child_count > _MOST_CHILDREN:
            # all at once could be a million, and some apps make each of them when asked
            node.more = node.child_count - _MOST_CHILDREN
            for index in range(_MOST_CHILDREN):
                ask(self._put_child, f"{A11Y}Accessible", "GetChildAtIndex", "i", index)
        elif node.child_count > 0:
            ask(self._put_children, f"{A11Y}Accessible", "GetChildren")
        if self.limits.details:
            self._details(node, ask)
        one_less()

    def _details(self, node: Node, ask: Callable[..., None]) -> None:
        role, has = node.role, node.interfaces
        if "Text" in has and (
            node.is_("editable") or any(part in role for part in _TEXT_ROLES) or not (node.name or node.child_count)
        ):
            ask(fields.put_text, f"{A11Y}Text", "GetText", "ii", 0, 1000)
        elif "Value" in has and any(part in role for part in _VALUE_ROLES):
            ask(fields.put_value, PROPERTIES, "Get", "ss", f"{A11Y}Value", "CurrentValue")
        if "Action" in has and (any(node.is_(state) for state in _ACTS) or any(part in role for part in _ACTING_ROLES)):
            ask(fields.put_actions, f"{A11Y}Action", "GetActions")
            # what an app has not put into words has at least a name; the first is what a click does
            ask(fields.put_first_action, f"{A11Y}Action", "GetName", "i", 0)

    def _put_child(self, node: Node, body: Any) -> None:
        self._enqueue(node, [fields.reference(body[0])])

    def _put_children(self, node: Node, body: Any) -> None:
        refs = [fields.reference(each) for each in body[0][:_MOST_CHILDREN]]
        node.more = max(0, len(body[0]) - _MOST_CHILDREN)
        self._enqueue(node, refs)


def is_gone(error: BusError) -> bool:
    """Whether the error says that the object, or its app, is not there any more."""
    return error.name.rpartition(".")[2] in _GONE or "not exist" in error.message


def describe(bus: Bus, ref: Ref, deadline: float) -> Node:
    """One object as it is now, without children. BusError if it is gone, or does not answer."""
    walk = AppWalk(bus, ref, Limits(depth=0, hidden=True), take=lambda _: True)
    walk.feed()
    while not walk.done:
        if time.monotonic() >= deadline:
            walk.fail("its app does not answer")
            break
        bus.pump(deadline)
    if walk.top is None:
        broken = walk.error or "it does not exist"
        name = "UnknownObject" if any(part in broken for part in _GONE) else ""
        raise BusError(name, f"element {element_id(ref)}: {broken}")
    return walk.top
