"""Elements of apps, found by role and name, and windows: the part of a sandbox that knows what is on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from desktop_sandbox.elements import Element, ElementTree, Match, Scope, parse_element, parse_tree
from desktop_sandbox.sdk.models import Window, parse_window
from desktop_sandbox.sdk.requests import Button, held, waiting

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.connection import AsyncConnection

_GRACE_S = 60.0


class AsyncElements:
    """Elements and windows. An element is named by itself or by its id; a window by itself, its id, or a part of its
    title or class."""

    _connection: AsyncConnection
    _path: str
    wait_for_control: float

    async def tree(
        self,
        app: str | None = None,
        *,
        scope: Scope = "focused",
        hidden: bool = False,
        depth: int = 60,
        nodes: int = 500,
        timeout: float = 10.0,
    ) -> ElementTree:
        """The elements of the window with the focus, of an app (a part of its name, or its pid), or of all ("all").

        `print(desktop.tree().text)` is an outline for a model. Within `timeout` seconds there is an answer: what could
        be read, `truncated` says why there is more, and an app that hangs has its `error`. `hidden`: also closed menus
        and what is scrolled away. Raises NotFoundError where the window with the focus tells nothing of itself.
        """
        query: dict[str, Any] = {"scope": scope, "hidden": hidden, "depth": depth, "nodes": nodes, "timeout": timeout}
        return await self._read("tree", query | ({} if app is None else {"app": app}), timeout)

    async def find(
        self,
        role: str | None = None,
        name: str | None = None,
        *,
        match: Match = "substring",
        states: str | Sequence[str] = (),
        app: str | None = None,
        scope: Scope = "focused",
        hidden: bool = False,
        limit: int = 20,
        timeout: float = 10.0,
    ) -> list[Element]:
        """Elements by role ("button", "entry", "link", …), name and states ("focused", "-disabled").

        `match` says how `name` is meant: a part of the name in any case, "exact", or "regex". Raises NotFoundError if
        there is none; it says what there is instead.
        """
        query: dict[str, Any] = {
            "role": role,
            "name": name,
            "match": match,
            "state": [states] if isinstance(states, str) else list(states),
            "app": app,
            "scope": scope,
            "hidden": hidden,
            "limit": limit,
            "timeout": timeout,
        }
        given = {key: value for key, value in query.items() if value is not None}
        return list((await self._read("elements", given, timeout)).elements)

    async def click_element(
        self, element: Element | str, *, button: Button = "left", count: int = 1, modifiers: Sequence[str] = ()
    ) -> tuple[int, int]:
        """Click the middle of an element with the pointer, scrolled to and brought to front if need be: where that was.

        Raises NotFoundError if it is gone: find it again.
        """
        body = {"button": button, "count": count, **held(modifiers)}
        done = await self._do(element, "click", body)
        return done["x"], done["y"]

    async def focus_element(self, element: Element | str) -> Element:
        """Give an element the focus."""
        return parse_element((await self._do(element, "focus"))["element"])

    async def set_element(self, element: Element | str, value: str | float) -> Element:
        """Set the text of a field, or the number of a slider; the element with what it holds then."""
        return parse_element((await self._do(element, "set", {"value": str(value)}))["element"])

    async def invoke_element(self, element: Element | str, action: str | None = None) -> Element:
        """Have an element's app do one of the element's `actions` (None: the first), without pointer or keyboard."""
        body = {} if action is None else {"action": action}
        return parse_element((await self._do(element, "invoke", body))["element"])

    async def show_element(self, element: Element | str) -> Element:
        """Scroll to an element; the element, where it is then."""
        return parse_element((await self._do(element, "show"))["element"])

    async def get_element(self, element: Element | str) -> Element:
        """An element as it is now. Raises NotFoundError if it is gone."""
        return parse_element((await self._do(element, "look"))["element"])

    async def activate_window(self, window: Window | str) -> Window | None:
        """Bring a window to front, with the focus. Raises NotFoundError, which lists the windows."""
        return await self._window(window, "activate")

    async def close_window(self, window: Window | str, *, timeout: float = 5.0) -> bool:
        """Ask a window to close; False if it is still there after `timeout` seconds: it may ask whether to save."""
        return await self._window(window, "close", timeout=timeout) is None

    async def minimise_window(self, window: Window | str) -> Window | None:
        """Minimise a window."""
        return await self._window(window, "minimise")

    async def maximise_window(self, window: Window | str) -> Window | None:
        """Maximise a window."""
        return await self._window(window, "maximise")

    async def restore_window(self, window: Window | str) -> Window | None:
        """Bring a window back from being minimised, maximised or fullscreen."""
        return await self._window(window, "restore")

    async def move_window(self, window: Window | str, x: int, y: int) -> Window | None:
        """Move a window's top left corner, inside its frame."""
        return await self._window(window, "move", {"x": x, "y": y})

    async def resize_window(self, window: Window | str, width: int, height: int) -> Window | None:
        """Change a window's size, inside its frame."""
        return await self._window(window, "resize", {"width": width, "height": height})

    async def launch_window(
        self, application: str | Sequence[str], uri: str | None = None, *, timeout: float = 30.0
    ) -> Window:
        """As `launch`, and wait `timeout` s for the app's window. Raises DeadlineError, which lists the windows."""
        app = application if isinstance(application, str) else list(application)
        body = waiting({"app": app, "uri": uri, "timeout": timeout}, self.wait_for_control)
        path, wait = f"{self._path}/launch/window", timeout + self.wait_for_control + _GRACE_S
        return parse_window((await self._connection.request("POST", path, body=body, timeout=wait)).json()["window"])

    async def _window(
        self, window: Window | str, do: str, place: dict[str, int] | None = None, *, timeout: float = 5.0
    ) -> Window | None:
        wanted = window.id if isinstance(window, Window) else window
        body = waiting({"window": wanted, "do": do, "timeout": timeout, **(place or {})}, self.wait_for_control)
        path, wait = f"{self._path}/windows", timeout + self.wait_for_control + _GRACE_S
        now = (await self._connection.request("POST", path, body=body, timeout=wait)).json()["window"]
        return None if now is None else parse_window(now)

    async def _do(self, element: Element | str, do: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
        wanted = {"id": element if isinstance(element, str) else element.id, "do": do, **(more or {})}
        body = waiting(wanted, self.wait_for_control)
        wait = self.wait_for_control + 2 * _GRACE_S
        answer = await self._connection.request("POST", f"{self._path}/elements", body=body, timeout=wait)
        done: dict[str, Any] = answer.json()
        return done

    async def _read(self, what: str, query: dict[str, Any], timeout: float) -> ElementTree:
        given: dict[str, str | list[str]] = {
            name: value if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in query.items()
        }
        path = f"{self._path}/{what}"
        return parse_tree(
            (await self._connection.request("GET", path, params=given, timeout=timeout + _GRACE_S)).json()
        )
