"""Tools that act on a desktop and look at it: computer_…

Places are pixels of the last screenshot, which is scaled down where the screen is larger than models take.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from actions.dialects.say import wheel
from actions.model import Action, Button, Click, CursorPosition, Drag, MouseDown, MouseUp, Move, Screenshot, Scroll
from actions.model import Wait as WaitAction
from actions.validate import check_on_screen, parse_action, parse_actions
from desktop_sandbox.agents.extras import extra
from desktop_sandbox.errors import NotFoundError
from desktop_sandbox.mcp.answers import data, line, seen

with extra("mcp"):
    from mcp.types import CallToolResult

if TYPE_CHECKING:
    from actions.dialects.view import View
    from desktop_sandbox.agents._async.hands import AsyncHands
    from desktop_sandbox.mcp.desks import Desks

Sandbox = Annotated[str | None, Field(description="A desktop's id; needed where several run.")]
X = Annotated[
    int | None, Field(description="Pixels from the left edge of the screenshot; default: where the pointer is.")
]
Y = Annotated[int | None, Field(description="Pixels from its top edge; goes with x.")]
Look = Annotated[bool, Field(description="Return the screen afterwards, once it stands still.")]
Keys = Annotated[str, Field(description='A key or a combination, such as "enter" or "ctrl+shift+t".')]
Modifiers = Annotated[str | None, Field(description='Keys held meanwhile, such as "ctrl+shift".')]
_CHANGES_NOTHING = (Screenshot, CursorPosition, Move, WaitAction)
REACTION_S = 1.0
Place = Annotated[list[int], Field(min_length=2, max_length=2)]


class Computer:
    """The computer_… tools; each method is one."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def computer_screenshot(
        self,
        sandbox: Sandbox = None,
        region: Annotated[
            list[int] | None,
            Field(min_length=4, max_length=4, description="[x, y, width, height]: this part, enlarged."),
        ] = None,
    ) -> CallToolResult:
        """Look at the screen, or closely at a part of it. Places for other tools are those of the whole screen."""
        action = parse_action({"type": "screenshot", "region": region})
        return await self._do(sandbox, [action], look=region is None)

    async def computer_click(
        self,
        x: X = None,
        y: Y = None,
        button: Button = "left",
        count: Annotated[int, Field(description="2 is a double click, 3 a triple click.")] = 1,
        modifiers: Modifiers = None,
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Click, at a place or where the pointer is."""
        action: dict[str, Any] = {
            "type": "click",
            "x": x,
            "y": y,
            "button": button,
            "count": count,
            "modifiers": modifiers or [],
        }
        return await self._do(sandbox, [parse_action(action)], look=screenshot)

    async def computer_move(self, x: int, y: int, screenshot: Look = True, sandbox: Sandbox = None) -> CallToolResult:
        """Move the pointer, without clicking."""
        return await self._do(sandbox, [parse_action({"type": "move", "x": x, "y": y})], look=screenshot)

    async def computer_drag(
        self,
        path: Annotated[list[Place], Field(description="Places [x, y]: pressed at the first, let go at the last.")],
        button: Button = "left",
        modifiers: Modifiers = None,
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Drag along a path of two or more places."""
        action: dict[str, Any] = {"type": "drag", "path": path, "button": button, "modifiers": modifiers or []}
        return await self._do(sandbox, [parse_action(action)], look=screenshot)

    async def computer_scroll(
        self,
        direction: Literal["up", "down", "left", "right"],
        amount: Annotated[int, Field(description="Steps of the mouse wheel.", ge=1, le=1000)] = 3,
        x: X = None,
        y: Y = None,
        modifiers: Modifiers = None,
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Turn the mouse wheel, at a place or where the pointer is."""
        dx, dy = wheel(direction, amount)
        action: dict[str, Any] = {"type": "scroll", "x": x, "y": y, "dx": dx, "dy": dy, "modifiers": modifiers or []}
        return await self._do(sandbox, [parse_action(action)], look=screenshot)

    async def computer_type(self, text: str, screenshot: Look = True, sandbox: Sandbox = None) -> CallToolResult:
        """Type text into what has the focus: any Unicode; a line end is the Return key."""
        return await self._do(sandbox, [parse_action({"type": "type", "text": text})], look=screenshot)

    async def computer_key(
        self, keys: Keys, repeat: int = 1, screenshot: Look = True, sandbox: Sandbox = None
    ) -> CallToolResult:
        """Press a key or a combination of keys."""
        action = parse_action({"type": "key", "keys": keys, "repeat": repeat})
        return await self._do(sandbox, [action], look=screenshot)

    async def computer_hold_key(
        self, keys: Keys, duration_ms: int, screenshot: Look = True, sandbox: Sandbox = None
    ) -> CallToolResult:
        """Hold a key or a combination down for a time."""
        action = parse_action({"type": "hold", "keys": keys, "duration_ms": duration_ms})
        return await self._do(sandbox, [action], look=screenshot)

    async def computer_wait(self, duration_ms: int, screenshot: Look = True, sandbox: Sandbox = None) -> CallToolResult:
        """Wait. Screenshots wait for the screen to stand still anyway."""
        return await self._do(sandbox, [parse_action({"type": "wait", "duration_ms": duration_ms})], look=screenshot)

    async def computer_cursor_position(self, sandbox: Sandbox = None) -> CallToolResult:
        """Where the pointer is."""
        return await self._do(sandbox, [CursorPosition()], look=False)

    async def computer_batch(
        self,
        actions: Annotated[
            list[dict[str, Any]],
            Field(
                description='Such as [{"type": "click", "x": 4, "y": 5}, {"type": "type", "text": "hi"}]. Types: '
                "click, move, mouse_down, mouse_up, drag, scroll (dx, dy), key (keys), key_down, key_up, hold, type, "
                "wait."
            ),
        ],
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Do several actions in order, up to the first that fails. Nothing is done if one of them is malformed."""
        return await self._do(sandbox, parse_actions(actions), look=screenshot)

    async def computer_open(self, target: str, screenshot: Look = True, sandbox: Sandbox = None) -> CallToolResult:
        """Open a file or a web address with the desktop's default app."""
        hands = await self._desks.find(sandbox)
        await hands.sandbox.open(target)
        return seen(await hands.look() if screenshot else None, f"Opened {target}.")

    async def computer_launch(
        self,
        command: Annotated[list[str], Field(min_length=1, description='An app and its arguments: ["xterm"].')],
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Start an app by its name or program. It runs on by itself."""
        hands = await self._desks.find(sandbox)
        pid = await hands.sandbox.launch(command[0] if len(command) == 1 else command)
        return seen(await hands.look() if screenshot else None, f"Started {command[0]}.", {"pid": pid})

    async def computer_windows(self, sandbox: Sandbox = None) -> CallToolResult:
        """List the open windows, bottom to top."""
        hands = await self._desks.find(sandbox)
        return data({"windows": [vars(window) for window in await hands.sandbox.windows()]})

    async def computer_get_clipboard(self, sandbox: Sandbox = None) -> CallToolResult:
        """The text on the desktop's clipboard."""
        hands = await self._desks.find(sandbox)
        return line(await hands.sandbox.clipboard.get())

    async def computer_set_clipboard(self, text: str, sandbox: Sandbox = None) -> CallToolResult:
        """Put text on the desktop's clipboard."""
        hands = await self._desks.find(sandbox)
        await hands.sandbox.clipboard.set(text)
        return line("Copied.")

    async def _do(self, sandbox: str | None, actions: list[Action], *, look: bool) -> CallToolResult:
        hands = await self._desks.find(sandbox)
        view = await hands.view()
        check_on_screen(actions, *view.picture)
        acts = look and not all(isinstance(action, _CHANGES_NOTHING) for action in actions)
        before = (await hands.sandbox.changes()).moment if acts else None
        done = await hands.do([on_screen(action, view) for action in actions if action != Screenshot()])
        unmoved = before is not None and not await _reacts(hands, before)
        picture = await hands.look() if look else done.pictures[-1] if done.pictures else None
        if done.pointer is not None:
            x, y = view.to_picture(*done.pointer)
            return seen(picture, f"The pointer is at ({x}, {y}).", {"x": x, "y": y})
        if unmoved:
            return seen(picture, f"Done, but nothing changed on the screen within {REACTION_S:g} s.")
        return seen(picture, None if picture is not None and actions[0] == Screenshot() else "Done.")


async def _reacts(hands: AsyncHands, before: str) -> bool:
    """Whether the screen begins to change in time. A moment that is not kept any more is no reason to fail."""
    try:
        return (await hands.sandbox.wait_for_change(since=before, timeout=REACTION_S)).changed
    except NotFoundError:
        return True


def on_screen(action: Action, view: View) -> Action:
    """An action whose places are pixels of the picture, as one whose places are pixels of the screen."""
    if isinstance(action, Drag):
        return replace(action, path=tuple(view.to_screen(*place) for place in action.path))
    if isinstance(action, Screenshot) and action.region is not None:
        x, y, width, height = action.region
        return replace(action, region=view.region_to_screen(x, y, x + width, y + height))
    if (
        isinstance(action, Move | Click | MouseDown | MouseUp | Scroll)
        and action.x is not None
        and action.y is not None
    ):
        x, y = view.to_screen(action.x, action.y)
        return replace(action, x=x, y=y)
    return action
