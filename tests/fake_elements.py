"""The elements and windows of a node without machines: one window with a few elements."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from desktop_sandbox import errors
from desktop_sandbox.elements import Element, ElementApp, ElementTree
from desktop_sandbox.node.facts import ClickSpec, ElementQuery, TreeSpec, WindowChange
from desktop_sandbox.node.windows import find_window
from tests.fake_base import FakeBase

APP = ElementApp("Thunar", 7)
HUNG = ElementApp("gimp", 8, "has not answered for 5.0 s")
ELEMENTS = [
    Element("1.7/root", "application", "Thunar", app=0),
    Element("1.7/1", "frame", "files", states=("active",), bounds=(1, 2, 300, 200), depth=1),
    Element("1.7/2", "panel", depth=2, bounds=(1, 2, 300, 20)),
    Element("1.7/3", "button", "Open", states=("focusable",), bounds=(10, 10, 40, 20), actions=("click",), depth=3),
    Element(
        "1.7/4", "entry", "Path", value="/home", states=("editable", "focusable"), bounds=(60, 10, 90, 20), depth=3
    ),
]


class FakeElements(FakeBase):
    """The part of the fake node that knows elements and windows."""

    async def windows(self, sandbox_id: str) -> list[dict[str, Any]]:
        raise NotImplementedError

    async def launch(self, sandbox_id: str, argv: Sequence[str] | str, uri: str | None = None) -> int:
        raise NotImplementedError

    async def tree(self, sandbox_id: str, spec: TreeSpec) -> ElementTree:
        await self._enter("tree")
        self._sandbox(sandbox_id, running=True)
        if spec.app is not None and spec.app.lower() not in APP.name.lower():
            raise errors.NotFoundError(f"no accessible app {spec.app!r}", hint=f"apps here: {APP.name}")
        apps = [APP, HUNG] if spec.scope == "all" and spec.app is None else [APP]
        cut = ["nodes"] if spec.max_nodes < len(ELEMENTS) else []
        return ElementTree(apps, ELEMENTS[: spec.max_nodes], cut, 12, window="files")

    async def find_elements(self, sandbox_id: str, query: ElementQuery, spec: TreeSpec) -> ElementTree:
        await self._enter("find_elements")
        self._sandbox(sandbox_id, running=True)
        found = [
            each
            for each in ELEMENTS[1:]
            if query.role in (None, each.role)
            and (query.name or "").lower() in each.name.lower()
            and set(query.states) <= set(each.states)
        ]
        if not found:
            raise errors.NotFoundError("no such element", hint="buttons here: 'Open'")
        return ElementTree([APP], found[: query.limit], (), 12, total=len(found), window="files")

    async def element(self, sandbox_id: str, element_id: str, verb: str, action: str | None = None) -> Element:
        await self._enter(f"element {verb}")
        self._sandbox(sandbox_id, running=True)
        found = next((each for each in ELEMENTS if each.id == element_id), None)
        if found is None:
            raise errors.NotFoundError(f"there is no element {element_id} any more", hint="read the tree again")
        if action is not None and action not in found.actions:
            raise errors.InvalidRequestError(f"no action {action!r}", hint=f"its actions: {', '.join(found.actions)}")
        return dataclasses.replace(found, states=(*found.states, "focused")) if verb == "focus" else found

    async def set_element(self, sandbox_id: str, element_id: str, value: str, *, batch_id: str) -> Element:
        return dataclasses.replace(await self.element(sandbox_id, element_id, "set"), value=value)

    async def click_element(
        self, sandbox_id: str, element_id: str, click: ClickSpec, *, batch_id: str
    ) -> tuple[Element, tuple[int, int]]:
        found = await self.element(sandbox_id, element_id, "click")
        if found.center is None:
            raise errors.InvalidRequestError("it is not on the screen")
        return found, found.center

    async def change_window(self, sandbox_id: str, change: WindowChange) -> dict[str, Any]:
        await self._enter(f"window {change.verb}")
        window = dict(find_window(await self.windows(sandbox_id), change.window))
        if change.verb == "close":
            return {"done": True, "window": None}
        given = {"x": change.x, "y": change.y, "width": change.width, "height": change.height}
        window |= {name: value for name, value in given.items() if value is not None}
        window["states"] = [f"{change.verb}d"] if change.verb.endswith("mise") else []
        return {"done": True, "window": window}

    async def launch_window(
        self, sandbox_id: str, argv: Sequence[str] | str, uri: str | None, wait_s: float
    ) -> tuple[int, dict[str, Any]]:
        pid = await self.launch(sandbox_id, argv, uri)
        return pid, (await self.windows(sandbox_id))[-1]
