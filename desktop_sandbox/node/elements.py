"""What callers do with the elements of apps, and with windows: read, find, click, set; activate, close, move, await."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from actions.model import Action
from actions.validate import parse_actions
from desktop_sandbox.elements import Element, ElementTree, parse_element, parse_tree
from desktop_sandbox.errors import DeadlineError, GuestError, InvalidRequestError
from desktop_sandbox.node.facts import ClickSpec, ElementQuery, TreeSpec, WindowChange
from desktop_sandbox.node.guest_calls import GuestCalls
from desktop_sandbox.node.windows import find_window, holds, listed, parse_window, parse_windows

_GRACE_S = 30.0
"""What the guest may take beyond the time of a read: its reader may have to start first."""
_ACT_TIMEOUT_S = 10.0
_VISIBLE_PX = 4
_TYPED_S = 5.0
"""How long an app may take to tell of what was typed."""
_SHOWN_S = 5.0
_LOOK_AGAIN_S = 0.2


class Elements(GuestCalls):
    """The part of a node that knows elements and windows."""

    async def tree(self, sandbox_id: str, spec: TreeSpec) -> ElementTree:
        """Read elements."""
        params = {**_where(spec), "max_depth": spec.max_depth, "max_nodes": spec.max_nodes, "max_bytes": spec.max_bytes}
        return parse_tree(await self._request(sandbox_id, "a11y.tree", params, spec.timeout_s))

    async def find_elements(self, sandbox_id: str, query: ElementQuery, spec: TreeSpec) -> ElementTree:
        """Find elements; NotFoundError says what there is instead."""
        wanted = {"role": query.role, "name": query.name, "match": query.match, "states": list(query.states)}
        params = {**_where(spec), **wanted, "limit": query.limit}
        return parse_tree(await self._request(sandbox_id, "a11y.find", params, spec.timeout_s))

    async def element(self, sandbox_id: str, element_id: str, verb: str, action: str | None = None) -> Element:
        """Look at an element, show it, focus it, or invoke one of its actions; as it is afterwards."""
        if verb == "show":
            return (await self._shown(sandbox_id, element_id, (await self.get(sandbox_id)).resolution))[0]
        return (await self._element(sandbox_id, element_id, verb, name=action))[0]

    async def set_element(self, sandbox_id: str, element_id: str, value: str, *, batch_id: str) -> Element:
        """Set an element's text or number; where its app takes text from the keyboard only, it is typed."""
        element, pid, done = await self._element(sandbox_id, element_id, "set", text=value)
        if done:
            return element
        await self._to_front(sandbox_id, element, pid)
        await self._element(sandbox_id, element_id, "focus")
        typed: list[dict[str, Any]] = [{"type": "key", "keys": ["ctrl", "a"]}]
        typed.append({"type": "type", "text": value} if value else {"type": "key", "keys": ["delete"]})
        await self._act(sandbox_id, parse_actions(typed), batch_id)
        return await self._holding(sandbox_id, element_id, value)

    async def click_element(
        self, sandbox_id: str, element_id: str, click: ClickSpec, *, batch_id: str
    ) -> tuple[Element, tuple[int, int]]:
        """Click the middle of what can be seen of an element, scrolled to and brought to front; it, and where."""
        element, pid, _ = await self._element(sandbox_id, element_id, "look")
        info = await self.get(sandbox_id)
        place = _place(element, info.resolution)
        if place is None or "hidden" in element.states:
            element, pid, place = await self._shown(sandbox_id, element_id, info.resolution)
        if place is not None and await self._to_front(sandbox_id, element, pid):
            element, pid, _ = await self._element(sandbox_id, element_id, "look")
            place = _place(element, info.resolution)
        if place is None:
            hint = "open what holds it first: a menu, a tab, a window"
            hint += f"; or invoke its action ({', '.join(element.actions)})" if element.actions else ""
            raise InvalidRequestError(f"element {element} is not on the screen", hint=hint)
        x, y = place
        action = {"type": "click", "x": x, "y": y, "button": click.button, "count": click.count}
        await self._act(sandbox_id, parse_actions([{**action, "modifiers": click.modifiers or []}]), batch_id)
        return element, place

    async def change_window(self, sandbox_id: str, change: WindowChange) -> dict[str, Any]:
        """Change a window: {"done", "window"}."""
        window = find_window(await self.windows(sandbox_id), change.window)
        given = {"x": change.x, "y": change.y, "width": change.width, "height": change.height}
        place = {name: value for name, value in given.items() if value is not None}
        params = {"id": window["id"], "verb": change.verb, "timeout_ms": int(change.timeout_s * 1000), **place}
        answer = await self._request(sandbox_id, "windows.do", params, change.timeout_s)
        if not isinstance(answer, dict):
            raise GuestError("the agent answered windows.do with what makes no sense")
        now = answer.get("window")
        return {"done": bool(answer.get("done")), "window": None if now is None else parse_window(now)}

    async def launch_window(
        self, sandbox_id: str, argv: Sequence[str] | str, uri: str | None, wait_s: float
    ) -> tuple[int, dict[str, Any]]:
        """Start an app and wait for a new window: its process and the window. DeadlineError lists the windows."""
        before = [window["id"] for window in await self.windows(sandbox_id)]
        guest = await (await self.live(sandbox_id)).guest()
        pid = await guest.launch(argv, uri)
        params = {"before": before, "pid": pid, "timeout_ms": int(wait_s * 1000)}
        answer = await self._request(sandbox_id, "windows.opened", params, wait_s)
        if not isinstance(answer, dict):
            raise GuestError("the agent answered windows.opened with what makes no sense")
        window = answer.get("window")
        if window is None:
            name = argv if isinstance(argv, str) else argv[0]
            runs = "it still runs" if answer.get("running") else "its process has ended"
            raise DeadlineError(
                f"{name!r:.100} opened no window in {wait_s:g} s; {runs}",
                hint=f"open windows: {listed(parse_windows(answer.get('windows')))}",
                pid=pid,
            )
        return pid, parse_window(window)

    async def _shown(
        self, sandbox_id: str, element_id: str, screen: tuple[int, int]
    ) -> tuple[Element, int, tuple[int, int] | None]:
        """The element once its app has scrolled to it, which a browser does in its own time; after a while as it is."""
        until = time.monotonic() + _SHOWN_S
        element, pid, _ = await self._element(sandbox_id, element_id, "show")
        while True:
            place = _place(element, screen)
            if (place is not None and "hidden" not in element.states) or time.monotonic() >= until:
                return element, pid, place
            await asyncio.sleep(_LOOK_AGAIN_S)
            element, pid, _ = await self._element(sandbox_id, element_id, "look")

    async def _to_front(self, sandbox_id: str, element: Element, pid: int) -> bool:
        """Bring the element's window to front, if another covers its middle; whether that was needed."""
        center = element.center
        if not pid or center is None:
            return False
        here = [window for window in await self.windows(sandbox_id) if holds(window, center)]
        mine = [window for window in here if window["pid"] == pid]
        if not mine or here[-1]["pid"] == pid:
            return False
        await self._request(sandbox_id, "windows.do", {"id": mine[-1]["id"], "verb": "activate"}, 3.0)
        return True

    async def _holding(self, sandbox_id: str, element_id: str, value: str) -> Element:
        """The element once it tells that it holds a text that was typed; after a few seconds as it is (a password)."""
        until = time.monotonic() + _TYPED_S
        while True:
            element, _, _ = await self._element(sandbox_id, element_id, "look")
            if (element.value or "") == value or time.monotonic() >= until:
                return element
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _element(
        self, sandbox_id: str, element_id: str, verb: str, *, text: str | None = None, name: str | None = None
    ) -> tuple[Element, int, bool]:
        params = {"id": element_id, "verb": verb, "text": text, "name": name, "timeout_ms": int(_ACT_TIMEOUT_S * 1000)}
        answer = await self._request(sandbox_id, "a11y.act", params, _ACT_TIMEOUT_S)
        if not isinstance(answer, dict):
            raise GuestError("the agent answered a11y.act with what makes no sense")
        pid = answer.get("pid")
        return parse_element(answer.get("node")), pid if isinstance(pid, int) else 0, bool(answer.get("done", True))

    async def _act(self, sandbox_id: str, actions: Sequence[Action], batch_id: str) -> None:
        done = await self.act(sandbox_id, actions, batch_id=batch_id)
        if done.failed is not None:
            raise GuestError(f"the desktop did not do it: {done.failed.get('message')}", hint=done.failed.get("hint"))

    async def _request(self, sandbox_id: str, op: str, params: dict[str, Any], timeout_s: float) -> Any:
        channel = (await (await self.live(sandbox_id)).guest()).channel
        return await channel.request(op, params, timeout_s=timeout_s + _GRACE_S)


def _where(spec: TreeSpec) -> dict[str, Any]:
    scope = "app" if spec.app is not None else spec.scope
    return {"scope": scope, "app": spec.app, "hidden": spec.hidden, "timeout_ms": int(spec.timeout_s * 1000)}


def _place(element: Element, screen: tuple[int, int]) -> tuple[int, int] | None:
    """The middle of the part of an element that is on the screen; None where (nearly) nothing of it is."""
    if element.bounds is None:
        return None
    x, y, width, height = element.bounds
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + width, screen[0]), min(y + height, screen[1])
    if right - left < min(_VISIBLE_PX, width) or bottom - top < min(_VISIBLE_PX, height):
        return None
    return (left + right) // 2, (top + bottom) // 2
