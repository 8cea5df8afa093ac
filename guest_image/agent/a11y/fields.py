"""Puts answers of apps into nodes. What makes no sense raises TypeError, ValueError, IndexError or AttributeError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guest_image.agent.a11y.node import (
    MAX_ACTIONS,
    MAX_DESCRIPTION,
    MAX_NAME,
    bounds,
    content,
    text,
)

if TYPE_CHECKING:
    from guest_image.agent.a11y.node import Node, Ref

NO_SENSE = (TypeError, ValueError, IndexError, AttributeError)


def reference(value: Any) -> Ref:
    """An object that an app refers to."""
    name, path = value
    if not isinstance(name, str) or not isinstance(path, str):
        raise ValueError("no reference")
    return name, path


def put_properties(node: Node, body: Any) -> None:
    """All that Accessible has at once."""
    facts = body[0]
    node.name = text(facts.get("Name"), MAX_NAME)
    node.description = text(facts.get("Description"), MAX_DESCRIPTION)
    node.child_count = int(facts.get("ChildCount", 0))


def put_name(node: Node, body: Any) -> None:
    """Name alone."""
    node.name = text(body[0], MAX_NAME)


def put_description(node: Node, body: Any) -> None:
    """Description alone."""
    node.description = text(body[0], MAX_DESCRIPTION)


def put_count(node: Node, body: Any) -> None:
    """ChildCount alone."""
    node.child_count = int(body[0])


PROPERTY_PUTS = {"Name": put_name, "Description": put_description, "ChildCount": put_count}


def put_role(node: Node, body: Any) -> None:
    """GetRoleName."""
    node.role = text(body[0], 40) or "unknown"


def put_states(node: Node, body: Any) -> None:
    """GetState: two numbers of 32 bits."""
    low, high = body[0]
    node.states = low | high << 32


def put_interfaces(node: Node, body: Any) -> None:
    """GetInterfaces."""
    node.interfaces = frozenset(str(name).rpartition(".")[2] for name in body[0])


def put_extents(node: Node, body: Any) -> None:
    """GetExtents."""
    node.bounds = bounds(body[0])


def put_text(node: Node, body: Any) -> None:
    """GetText."""
    node.value = content(body[0])


def put_value(node: Node, body: Any) -> None:
    """CurrentValue."""
    node.value = f"{body[0]:g}"


def put_actions(node: Node, body: Any) -> None:
    """GetActions: (name, description, key) each."""
    node.actions = tuple(name for each in body[0][:MAX_ACTIONS] if (name := text(each[0], 40)))


def put_first_action(node: Node, body: Any) -> None:
    """The name of the first action, where they have none in words."""
    if not node.actions and (name := text(body[0], 40)):
        node.actions = (name,)
