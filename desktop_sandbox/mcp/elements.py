"""Tools that know what is on the screen: elements of apps, and windows. computer_…

Elements are named by the ids of computer_tree and computer_find, and clicked where they are: no coordinates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from desktop_sandbox.agents.extras import extra
from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.mcp.answers import line, seen
from desktop_sandbox.mcp.computer import Look, Sandbox

with extra("mcp"):
    from mcp.types import CallToolResult

if TYPE_CHECKING:
    from desktop_sandbox.elements import Element
    from desktop_sandbox.mcp.desks import Desks

App = Annotated[
    str | None, Field(description="A part of an app's name; default: the window with the focus; * is all apps.")
]
ElementId = Annotated[str, Field(description='An element\'s id, such as "1.23/45".')]
Hidden = Annotated[bool, Field(description="Also closed menus, and what is scrolled away.")]
WindowName = Annotated[str, Field(description="A window's id, or a part of its title or class.")]


class Elements:
    """The tools about elements and windows; each method is one."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def computer_tree(
        self, app: App = None, hidden: Hidden = False, nodes: int = 300, sandbox: Sandbox = None
    ) -> CallToolResult:
        """What the window with the focus tells of itself: a line an element, with id, role, name, states and place in
        pixels of the full screen. Better than a screenshot for finding buttons, fields, links and texts."""
        hands = await self._desks.find(sandbox)
        one = None if app in (None, "*") else app
        scope: Literal["all", "focused"] = "all" if app == "*" else "focused"
        found = await hands.sandbox.tree(one, scope=scope, hidden=hidden, nodes=nodes)
        return line(found.text or "There is nothing to be seen.")

    async def computer_find(
        self,
        role: Annotated[str | None, Field(description="Such as button, entry, link, check box, menu item.")] = None,
        name: Annotated[str | None, Field(description="A part of what it is called, in any case.")] = None,
        match: Annotated[
            Literal["substring", "exact", "regex"], Field(description="How the name is meant.")
        ] = "substring",
        app: App = None,
        hidden: Hidden = False,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Find elements by role and name. If there are none it says what there is instead."""
        hands = await self._desks.find(sandbox)
        one = None if app in (None, "*") else app
        scope: Literal["all", "focused"] = "all" if app == "*" else "focused"
        found = await hands.sandbox.find(role, name, match=match, app=one, scope=scope, hidden=hidden)
        return line("\n".join(str(each) for each in found), {"elements": [_facts(each) for each in found]})

    async def computer_click_element(
        self,
        element: ElementId,
        button: Literal["left", "middle", "right"] = "left",
        count: Annotated[int, Field(description="2 is a double click.", ge=1, le=3)] = 1,
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Click an element, scrolled to and brought to front if need be."""
        hands = await self._desks.find(sandbox)
        x, y = await hands.sandbox.click_element(element, button=button, count=count)
        return seen(await hands.look() if screenshot else None, f"Clicked at ({x}, {y}) of the full screen.")

    async def computer_set_element(
        self,
        element: ElementId,
        value: Annotated[str, Field(description="The text of a field, or the number of a slider.")],
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Put text into a field, in place of what it holds, or set a slider."""
        hands = await self._desks.find(sandbox)
        now = await hands.sandbox.set_element(element, value)
        return seen(await hands.look() if screenshot else None, str(now))

    async def computer_invoke_element(
        self,
        element: ElementId,
        action: Annotated[str | None, Field(description="One of its actions; default: the first.")] = None,
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Have an app do an element's action, without pointer: works for what is covered or off the screen, too."""
        hands = await self._desks.find(sandbox)
        now = await hands.sandbox.invoke_element(element, action)
        return seen(await hands.look() if screenshot else None, str(now))

    async def computer_change_window(
        self,
        window: WindowName,
        do: Literal["activate", "close", "minimise", "maximise", "restore", "move", "resize"],
        x: Annotated[int | None, Field(description="For move, in pixels of the full screen.")] = None,
        y: Annotated[int | None, Field(description="For move.")] = None,
        width: Annotated[int | None, Field(description="For resize.")] = None,
        height: Annotated[int | None, Field(description="For resize.")] = None,
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Bring a window to front, close it, change its size or place."""
        desktop = (hands := await self._desks.find(sandbox)).sandbox
        if do == "close":
            said = "Closed." if await desktop.close_window(window) else "It is still there: it may ask something."
        elif do == "move":
            said = str(await desktop.move_window(window, _given("x", x), _given("y", y)))
        elif do == "resize":
            said = str(await desktop.resize_window(window, _given("width", width), _given("height", height)))
        else:
            doing = {
                "activate": desktop.activate_window,
                "minimise": desktop.minimise_window,
                "maximise": desktop.maximise_window,
                "restore": desktop.restore_window,
            }
            said = str(await doing[do](window))
        return seen(await hands.look() if screenshot else None, said)


def _given(name: str, value: int | None) -> int:
    if value is None:
        raise InvalidRequestError(f"{name} is missing", hint="move takes x and y, resize width and height")
    return value


def _facts(element: Element) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(element).items()}
