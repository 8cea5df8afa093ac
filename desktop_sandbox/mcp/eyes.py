"""Tools that wait for what a desktop's screen shows, and find and read things on it: computer_…

Places are pixels of the screenshot, as for the other tools: each result has the middle, which is where to click.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cv2
from pydantic import Field

from desktop_sandbox.agents.extras import extra
from desktop_sandbox.agents.runtime import Picture, async_fitted, fitted
from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.mcp.answers import data, line, seen
from desktop_sandbox.vision.pictures import decode

with extra("mcp"):
    from mcp.types import CallToolResult

if TYPE_CHECKING:
    from actions.dialects.view import View
    from desktop_sandbox.agents._async.hands import AsyncHands
    from desktop_sandbox.mcp.desks import Desks
    from desktop_sandbox.sdk.requests import Region

Sandbox = Annotated[str | None, Field(description="A desktop's id; needed where several run.")]
Part = Annotated[
    list[int] | None, Field(min_length=4, max_length=4, description="[x, y, width, height] of the screenshot.")
]
Wait = Annotated[float, Field(ge=0, le=300, description="Longest wait, in seconds.")]
Look = Annotated[bool, Field(description="Return the screen afterwards.")]
MOST_TEXT = 20_000
MOST_PICTURE = 4_000_000
MOST_SHOWN_PX = 1_150_000


class Eyes:
    """The tools; each method is one."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def computer_wait_until_stable(
        self,
        quiet_ms: Annotated[int, Field(ge=0, le=60_000, description="Nothing changed for so long.")] = 500,
        timeout: Wait = 15,
        region: Part = None,
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Wait until the screen, or a part of it, stands still; a blinking caret does not count."""
        hands, view = await self._find(sandbox)
        part = to_screen(view, region)
        found = await hands.sandbox.wait_until_stable(quiet_ms=quiet_ms, timeout=timeout, region=part)
        moving = [to_picture(view, each) for each in found.moving]
        said = f"The screen stands still, after {found.waited_ms} ms."
        if not found.stable:
            said = f"It did not stand still within {timeout:g} s. Still moving: {moving or 'just now nothing'}."
        picture = await hands.look() if screenshot else None
        return seen(picture, said, {"stable": found.stable, "moving": moving})

    async def computer_wait_for_change(
        self, region: Part = None, timeout: Wait = 15, screenshot: Look = True, sandbox: Sandbox = None
    ) -> CallToolResult:
        """Wait until something changes on the screen, or in a part of it."""
        hands, view = await self._find(sandbox)
        found = await hands.sandbox.wait_for_change(to_screen(view, region), timeout=timeout)
        regions = [to_picture(view, each) for each in found.regions]
        said = f"Changed: {regions}." if found.changed else f"Nothing changed within {timeout:g} s."
        picture = await hands.look() if screenshot else None
        return seen(picture, said, {"changed": found.changed, "regions": regions})

    async def computer_wait_for_window(
        self,
        title: Annotated[str, Field(description="In the window's title, in any case.", min_length=1, max_length=500)],
        gone: Annotated[bool, Field(description="Wait until there is none instead.")] = False,
        timeout: Wait = 15,
        screenshot: Look = True,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Wait for a window to open, or to close. The error lists the windows that are open instead."""
        hands, _ = await self._find(sandbox)
        window = await hands.sandbox.wait_for_window(title, gone=gone, timeout=timeout)
        said = f"The window {window.title!r} is open." if window else f"No window titled {title!r} is open."
        picture = await hands.look() if screenshot else None
        return seen(picture, said, {"window": None if window is None else vars(window)})

    async def computer_wait_for_text(
        self,
        text: Annotated[str, Field(description="In a line on the screen, in any case.", min_length=1, max_length=500)],
        gone: Annotated[bool, Field(description="Wait until it is not there instead.")] = False,
        timeout: Wait = 20,
        region: Part = None,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Wait until a text can be read on the screen; says where to click on it."""
        hands, view = await self._find(sandbox)
        found = await hands.sandbox.wait_for_text(text, gone=gone, timeout=timeout, region=to_screen(view, region))
        if gone:
            return line(f"{text!r} is not on the screen.")
        return data({"found": [{"text": each.text, **placed(view, each.box)} for each in found]})

    async def computer_read_text(self, region: Part = None, sandbox: Sandbox = None) -> CallToolResult:
        """Read the text on the screen, or quicker in a part of it: lines, and where each is."""
        hands, view = await self._find(sandbox)
        found = await hands.sandbox.read_text(region=to_screen(view, region))
        lines: dict[int, list[Any]] = {}
        for word in found.words:
            lines.setdefault(word.line, []).append(word)
        rows = [
            {"text": " ".join(word.text for word in words), **placed(view, around([word.box for word in words]))}
            for words in lines.values()
        ]
        text = found.text[:MOST_TEXT] or "(no text was read)"
        return line(text, {"lines": rows})

    async def computer_find_picture(
        self,
        picture: Annotated[
            str | None, Field(description="PNG or JPEG in base64, in screen pixels.", max_length=MOST_PICTURE)
        ] = None,
        like: Annotated[
            list[int] | None,
            Field(
                min_length=4, max_length=4, description="[x, y, width, height]: instead, what the screen shows here."
            ),
        ] = None,
        sizes: Annotated[
            Literal["same", "any"], Field(description="any: also from half as large to twice; slower.")
        ] = "same",
        threshold: Annotated[float, Field(ge=0.3, le=1, description="1: pixel for pixel the same.")] = 0.9,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """Find all places on the screen that look like a picture, or like a part of the screen."""
        hands, view = await self._find(sandbox)
        found = await hands.sandbox.find_picture(
            None if picture is None else unpacked(picture),
            like=to_screen(view, like),
            threshold=threshold,
            scale=(0.5, 2.0) if sizes == "any" else (1.0, 1.0),
        )
        return data({"found": [{"score": each.score, "scale": each.scale, **placed(view, each.box)} for each in found]})

    async def computer_mark_elements(
        self,
        boxes: Annotated[
            list[Annotated[list[int], Field(min_length=4, max_length=4)]] | None,
            Field(max_length=500, description="Boxes [x, y, width, height] to number; default: the lines of text."),
        ] = None,
        sandbox: Sandbox = None,
    ) -> CallToolResult:
        """The screen with numbers drawn on boxes, and where to click for each number."""
        hands, view = await self._find(sandbox)
        wanted = None if boxes is None else [part for box in boxes if (part := to_screen(view, box)) is not None]
        marked = await hands.sandbox.mark_elements(wanted, text=boxes is None)
        shot = marked.screenshot
        picture = Picture(shot.data, shot.width, shot.height)
        if view.picture != (shot.width, shot.height):
            picture = await async_fitted(shot.data, view.picture)
        rows = [{"number": mark.number, "label": mark.label, **placed(view, mark.box)} for mark in marked.marks]
        said = "\n".join(f"{row['number']}: {row['label'] or row['box']} at {row['click']}" for row in rows)
        return seen(picture, said or "There is nothing to number.", {"marks": rows})

    async def computer_cursor_shape(self, sandbox: Sandbox = None) -> CallToolResult:
        """Where the pointer is and what shape it has: a hand over a link, an I-beam over text."""
        hands, view = await self._find(sandbox)
        cursor = await hands.sandbox.get_cursor()
        picture = None
        if cursor.data is not None:
            picture = Picture(cursor.data, cursor.width, cursor.height)
        x, y = view.to_picture(cursor.x, cursor.y)
        found = {"x": x, "y": y, "shape": cursor.name}
        return seen(picture, f"The pointer is at ({x}, {y}), its shape is {cursor.name or 'without a name'}.", found)

    async def computer_get_clipboard_picture(self, sandbox: Sandbox = None) -> CallToolResult:
        """The picture on the desktop's clipboard."""
        hands, _ = await self._find(sandbox)
        copied = await hands.sandbox.clipboard.get_picture()
        if copied is None:
            return line("The clipboard holds no picture.")
        return seen(await asyncio.to_thread(shown, copied))

    async def _find(self, sandbox: str | None) -> tuple[AsyncHands, View]:
        hands = await self._desks.find(sandbox)
        return hands, await hands.view()


def shown(copied: bytes) -> Picture:
    """A guest's picture, decoded within bounds and encoded anew, so that a model gets what is sure to be a PNG."""
    colours = decode(copied)
    height, width = colours.shape[:2]
    share = min(1.0, (MOST_SHOWN_PX / (width * height)) ** 0.5)
    _, data = cv2.imencode(".png", colours)
    size = max(1, int(width * share)), max(1, int(height * share))
    return fitted(data.tobytes(), size)


def to_screen(view: View, box: list[int] | None) -> Region | None:
    """A box of the picture as one of the screen. InvalidRequestError if not all inside of the picture."""
    if box is None:
        return None
    x, y, width, height = box
    wide, high = view.picture
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > wide or y + height > high:
        raise InvalidRequestError(
            f"{box} is not inside the screenshot", hint=f"it is {wide}×{high}; boxes are [x, y, width, height]"
        )
    return view.region_to_screen(x, y, x + width, y + height)


def to_picture(view: View, box: Region) -> list[int]:
    """A box of the screen as one of the picture."""
    x0, y0 = view.to_picture(box[0], box[1])
    x1, y1 = view.to_picture(box[0] + box[2] - 1, box[1] + box[3] - 1)
    return [x0, y0, x1 - x0 + 1, y1 - y0 + 1]


def placed(view: View, box: Region) -> dict[str, list[int]]:
    """A box as tools tell it, and where to click."""
    return {
        "box": to_picture(view, box),
        "click": [*view.to_picture(box[0] + box[2] // 2, box[1] + box[3] // 2)],
    }


def around(boxes: list[Region]) -> Region:
    """The box around boxes."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top


def unpacked(picture: str) -> bytes:
    """A picture that came as base64. InvalidRequestError."""
    try:
        return base64.b64decode(picture, validate=True)
    except ValueError as error:
        raise InvalidRequestError("the picture is not base64", hint="encode its bytes, without line ends") from error
