"""Does something to one object: focus, set, invoke, bring into view."""

from __future__ import annotations

import time
from typing import Any

from guest_image.agent.a11y.bus import DRIVER, DRIVER_PATH, PROPERTIES, Bus, BusError
from guest_image.agent.a11y.node import MAX_ACTIONS, Node, element_id, parse_id
from guest_image.agent.a11y.tree import TreeError
from guest_image.agent.a11y.walk import A11Y, describe, is_gone

_ANYWHERE = 6  # ATSPI_SCROLL_ANYWHERE
_AGAIN = "read the tree again (or find it by role and name), and use the id it has now"
_SETTLE_S = 0.15


def perform(bus: Bus, wanted: str, verb: str, text: str | None, name: str | None, deadline: float) -> dict[str, Any]:
    """Do `verb` ("look", "show", "focus", "set", "invoke") to the element: {"node", "pid", "done"}.

    The node is as it is afterwards. `done` false: this field takes text from the keyboard only; it has the focus now.
    TreeError "not-found" if the element is gone, "invalid" if it cannot be done to it.
    """
    try:
        ref = parse_id(wanted)
    except ValueError as error:
        raise TreeError("invalid", str(error), "ids come from the tree, such as 1.23/45") from error
    try:
        node = describe(bus, ref, deadline)
        doing = {"look": _look, "show": _show, "focus": _focus, "set": _set, "invoke": _invoke}[verb]
        done = doing(bus, node, text, name, deadline) is not False
        if verb != "look":
            node = _after(bus, node, deadline)
        return {"node": node.to_wire(), "pid": _pid(bus, node, deadline), "done": done}
    except BusError as error:
        if is_gone(error):
            raise TreeError("not-found", f"there is no element {wanted:.80} any more", _AGAIN) from error
        code = "failed" if error.name else "deadline"
        raise TreeError(code, str(error), "its app may hang: look at the screen") from error


def _after(bus: Bus, node: Node, deadline: float) -> Node:
    """The element once what was done has had a moment to show. What is gone then was there before: say so."""
    until = min(deadline, time.monotonic() + _SETTLE_S)
    while time.monotonic() < until:
        bus.pump(until)
    try:
        return describe(bus, node.ref, deadline)
    except BusError:
        return node


def _look(bus: Bus, node: Node, text: str | None, name: str | None, deadline: float) -> None:
    return


def _show(bus: Bus, node: Node, text: str | None, name: str | None, deadline: float) -> None:
    """Have its app scroll to it; apps that cannot are not asked twice."""
    try:
        bus.call(*node.ref, f"{A11Y}Component", "ScrollTo", "u", _ANYWHERE, deadline=deadline)
    except BusError as error:
        if not error.name:
            raise


def _focus(bus: Bus, node: Node, text: str | None, name: str | None, deadline: float) -> None:
    if "Component" not in node.interfaces:
        raise _cannot(node, "has no place on the screen, and cannot get the focus", "click it, or press Tab")
    (done,) = bus.call(*node.ref, f"{A11Y}Component", "GrabFocus", deadline=deadline)
    if not done:
        raise _cannot(node, "did not take the focus", "click it instead")


def _set(bus: Bus, node: Node, text: str | None, name: str | None, deadline: float) -> bool:
    value = text or ""
    if "EditableText" in node.interfaces:
        if not node.is_("editable"):
            raise _cannot(node, "is read-only", "it has no editable state")
        (done,) = bus.call(*node.ref, f"{A11Y}EditableText", "SetTextContents", "s", value, deadline=deadline)
        if not done:
            raise _cannot(node, "did not take the text", "click it, press ctrl+a, and type")
    elif "Value" in node.interfaces:
        try:
            number = float(value)
        except ValueError:
            raise _cannot(node, f"takes a number, not {value!r:.80}", "such as 42 or 0.5") from None
        setting = ("d", number)
        bus.call(*node.ref, PROPERTIES, "Set", "ssv", f"{A11Y}Value", "CurrentValue", setting, deadline=deadline)
    elif node.is_("editable") and node.is_("focusable"):
        _focus(bus, node, text, name, deadline)
        return False
    else:
        raise _cannot(node, "takes neither text nor a number", "click it and type, or invoke one of its actions")
    return True


def _invoke(bus: Bus, node: Node, text: str | None, name: str | None, deadline: float) -> None:
    if "Action" not in node.interfaces:
        raise _cannot(node, "has no actions", "click it instead")
    (listed,) = bus.call(*node.ref, f"{A11Y}Action", "GetActions", deadline=deadline)
    names = [str(each[0]) for each in listed[:MAX_ACTIONS]]
    for index, known in enumerate(names):
        if not known:
            (names[index],) = bus.call(*node.ref, f"{A11Y}Action", "GetName", "i", index, deadline=deadline)
    wanted = (name or "").lower()
    number = 0 if name is None and names else next((n for n, each in enumerate(names) if each.lower() == wanted), None)
    if number is None:
        raise _cannot(node, f"has no action {name!r:.80}", f"its actions: {', '.join(names) or 'none'}")
    (done,) = bus.call(*node.ref, f"{A11Y}Action", "DoAction", "i", number, deadline=deadline)
    if not done:
        raise _cannot(node, f"refused its action {names[number]!r:.80}", "click it instead")


def _pid(bus: Bus, node: Node, deadline: float) -> int:
    try:
        (pid,) = bus.call(
            DRIVER, DRIVER_PATH, DRIVER, "GetConnectionUnixProcessID", "s", node.ref[0], deadline=deadline
        )
    except BusError:
        return 0
    return int(pid)


def _cannot(node: Node, why: str, hint: str) -> TreeError:
    return TreeError("invalid", f"element {element_id(node.ref)} ({node.role} {node.name!r:.80}) {why}", hint)
