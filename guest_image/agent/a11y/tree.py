"""Reads the objects of the focused window, of one app, or of all: the apps side by side, each with its share of room.

Everything is bounded: time, depth, objects, bytes. What there was no room for is said, and never an error.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from guest_image.agent.a11y.bus import DRIVER, DRIVER_PATH, Bus, BusError
from guest_image.agent.a11y.node import MAX_NAME, Node, Ref, text
from guest_image.agent.a11y.walk import A11Y, AppWalk, Limits

REGISTRY, REGISTRY_ROOT = f"{A11Y}Registry", "/org/a11y/atspi/accessible/root"
_MOST_APPS = 100
_PUMP_S = 0.1
_SILENT_PART = 0.5
_NAMES_S, _NAMES_SOON_S = 3.0, 0.5


class TreeError(Exception):
    """The wish cannot be met: `code`, message and hint, as OpError has them."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Wish:
    """What to read. `scope`: "focused", "app" (`app`: a part of its name, or its process id) or "all".

    `focus`: the window with the focus, {"title", "pid"}, by the window manager's word.
    """

    scope: str
    app: str | None
    focus: dict[str, Any] | None
    limits: Limits
    max_nodes: int
    max_bytes: int
    deadline: float
    timeout_s: float


@dataclass(frozen=True)
class Read:
    """What was read: apps in the order of the registry. `cut`: why there would be more ("deadline", "nodes", …)."""

    walks: list[AppWalk]
    cut: list[str]

    def nodes(self) -> Iterator[tuple[int, Node]]:
        """(number of its app, object), parents before their children."""
        for number, walk in enumerate(self.walks):
            stack = [walk.top] if walk.top is not None else []
            while stack:
                node = stack.pop()
                yield number, node
                stack += sorted(node.children, key=lambda child: -child.order)


def read(bus: Bus, wish: Wish) -> Read:
    """Read what is wished for. TreeError if there is no such app or focus; BusError if there is no registry."""
    apps = _apps(bus, wish.deadline)
    room = _Room(wish.max_nodes)
    chosen = _chosen(bus, apps, wish)
    walks = [AppWalk(bus, ref, wish.limits, room.take, pid=pid) for ref, pid in chosen]
    if wish.scope == "focused" and wish.focus is not None:
        for walk in walks:
            walk.wanted = _in_focus(wish.focus)
    room.walks = walks
    cut = _run(bus, walks, wish)
    if wish.scope == "focused" and wish.focus is not None and all(walk.top and not walk.top.children for walk in walks):
        # the app calls its windows otherwise than the window manager does: all of them, then
        walks = [AppWalk(bus, ref, wish.limits, room.take, pid=pid) for ref, pid in chosen]
        room.walks = walks
        cut = _run(bus, walks, wish)
    if any(walk.too_deep for walk in walks):
        cut.append("depth")
    return Read(walks, cut)


def answer(found: Read, wish: Wish) -> dict[str, Any]:
    """The answer of a11y.tree: {"apps", "nodes", "truncated"}, at most `max_bytes` of JSON or little more."""
    nodes: list[dict[str, Any]] = []
    cut, size = list(found.cut), 0
    for number, node in found.nodes():
        wire = {"app": number, **node.to_wire()}
        size += len(json.dumps(wire)) + 2
        if size > wish.max_bytes:
            cut.append("bytes")
            break
        nodes.append(wire)
    return {"apps": [about(walk) for walk in found.walks], "nodes": nodes, "truncated": cut}


def about(walk: AppWalk) -> dict[str, Any]:
    """What is said of an app beside its objects."""
    name = walk.top.name if walk.top else _program(walk.pid)
    return {"name": name, "pid": walk.pid, "nodes": walk.count, "error": walk.error}


def _program(pid: int) -> str:
    """What the kernel calls a process that does not say itself what it is called; "" where it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return text(file.read(64), MAX_NAME)
    except OSError:
        return ""


class _Room:
    """Deals out room for objects: each app its share, and what others do not need."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.walks: list[AppWalk] = []

    def take(self, walk: AppWalk) -> bool:
        """Whether there is room for one more object of that app now."""
        share = self._most // max(1, len(self.walks))
        if walk.count < share:
            return True
        kept = sum(max(0, share - other.count) for other in self.walks if other is not walk and not other.done)
        return sum(other.count for other in self.walks) + kept < self._most


def _run(bus: Bus, walks: list[AppWalk], wish: Wish) -> list[str]:
    """Ask and listen until all is known or the time is over; what the read was cut for."""
    silent_s = wish.timeout_s * _SILENT_PART
    while not all(walk.done for walk in walks):
        began = [walk.feed() for walk in walks]
        working = [walk for walk in walks if not walk.done]
        if not any(began) and all(walk.quiet for walk in working):
            break  # hungry, and there is no room left
        now = time.monotonic()
        if now >= wish.deadline:
            for walk in working:
                if walk.top is None:
                    walk.fail("did not answer in time")
            return ["deadline"]
        for walk in working:
            if now - walk.heard_at > silent_s:
                walk.fail(f"has not answered for {silent_s:.1f} s: it hangs, or is very busy")
        bus.pump(min(wish.deadline, now + _PUMP_S))
    return ["nodes"] if any(walk.hungry for walk in walks) else []


def _apps(bus: Bus, deadline: float) -> list[tuple[Ref, int]]:
    """All apps that are accessible, with their process ids (0: unknown)."""
    try:
        (listed,) = bus.call(REGISTRY, REGISTRY_ROOT, f"{A11Y}Accessible", "GetChildren", deadline=deadline)
    except BusError as error:
        raise BusError("", f"the accessibility registry: {error}") from error
    refs = [(str(name), str(path)) for name, path in listed[:_MOST_APPS]]
    pids: dict[Ref, int] = {}
    for ref in refs:

        def got(outcome: Any, ref: Ref = ref) -> None:
            pids[ref] = outcome[0] if isinstance(outcome, tuple) and outcome else 0

        bus.send(DRIVER, DRIVER_PATH, DRIVER, "GetConnectionUnixProcessID", "s", ref[0], answered=got)
    while len(pids) < len(set(refs)) and time.monotonic() < deadline:
        bus.pump(deadline)
    return [(ref, pids.get(ref, 0)) for ref in dict.fromkeys(refs)]


def _chosen(bus: Bus, apps: list[tuple[Ref, int]], wish: Wish) -> list[tuple[Ref, int]]:
    """Those of the apps that the wish is about."""
    if wish.scope == "all":
        return apps
    if wish.scope == "focused":
        if wish.focus is None:
            raise TreeError(
                "not-found", "no window has the focus", f"ask for all, or for one of: {_names(bus, apps, wish)}"
            )
        pid = wish.focus.get("pid")
        mine = [each for each in apps if each[1] == pid and pid]
        if mine:
            return mine
        title = str(wish.focus.get("title", ""))
        raise TreeError(
            "not-found",
            f"the focused window {title!r:.100} has no accessibility tree",
            f"use screenshots for it; apps that have one: {_names(bus, apps, wish)}",
        )
    wanted = (wish.app or "").lower()
    named = list(zip(apps, _named(bus, apps, wish, wanted), strict=True))
    if wanted.isdigit():
        mine = [each for each, _ in named if each[1] == int(wanted)]
    else:
        exact = [each for each, name in named if name.lower() == wanted]
        mine = exact or [each for each, name in named if wanted in name.lower()]
    if not mine:
        listed = ", ".join(f"{name or 'nameless'} (pid {each[1]})" for each, name in named) or "none"
        raise TreeError("not-found", f"no accessible app {wish.app!r:.80}", f"apps here: {listed[:600]}")
    return mine


def _named(bus: Bus, apps: list[tuple[Ref, int]], wish: Wish, wanted: str | None = None) -> list[str]:
    """The apps' names; of one that does not say, its program's.

    Once one is called as `wanted`, those that are slow to answer are not waited for long.
    """
    walks = [AppWalk(bus, ref, Limits(depth=0), take=lambda _: True, pid=pid) for ref, pid in apps]
    begun = time.monotonic()
    until = min(wish.deadline, begun + min(_NAMES_S, wish.timeout_s * _SILENT_PART))
    for walk in walks:
        walk.feed()
    while not all(walk.done for walk in walks) and time.monotonic() < until:
        bus.pump(min(until, time.monotonic() + _PUMP_S))
        if wanted is not None and any(walk.top and wanted in walk.top.name.lower() for walk in walks):
            until = min(until, begun + _NAMES_SOON_S)
    for walk in walks:
        walk.fail("")
    return [walk.top.name if walk.top else _program(walk.pid) for walk in walks]


def _names(bus: Bus, apps: list[tuple[Ref, int]], wish: Wish) -> str:
    return ", ".join(name for name in _named(bus, apps, wish) if name)[:600] or "none"


def _in_focus(focus: dict[str, Any]) -> Any:
    """Whether one of the app's windows is meant: the one with the focus, and its menus, dialogs and bubbles."""
    title = " ".join(str(focus.get("title", "")).split())

    def wanted(node: Node) -> bool:
        return node.role != "frame" or not node.name or node.is_("active") or node.name == title

    return wanted
