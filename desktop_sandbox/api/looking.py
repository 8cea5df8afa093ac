"""What the routes for eyes share: waiting on a node's frames, moments that are kept, pictures, the reader of text.

Every wait has a deadline, and ends when the client goes away.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
from starlette.requests import Request

from desktop_sandbox.api import desktop_models
from desktop_sandbox.errors import DesktopSandboxError, InvalidRequestError
from desktop_sandbox.screen.regions import Rect, check_inside
from desktop_sandbox.screen.screenshot import check, paint
from desktop_sandbox.vision.moments import Moments, pack
from desktop_sandbox.vision.pictures import Colours, decode
from desktop_sandbox.vision.reading import Reader
from desktop_sandbox.vision.waiting import Look, Settled, Watch, until_stable
from desktop_sandbox.vision.words import Word

if TYPE_CHECKING:
    from desktop_sandbox.api import eyes_models
    from desktop_sandbox.node.facts import Screenshot, ScreenshotSpec
    from desktop_sandbox.node.interface import Node
    from desktop_sandbox.screen.framebuffer import Frame

T = TypeVar("T")
GONE = 499
"""The status of an answer that nobody waits for any more."""


class ClientGoneError(DesktopSandboxError):
    """The client went away before there was an answer."""

    slug = "client-gone"
    status = GONE


class Eyes:
    """Looks at a node's desktops."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._moments = Moments()
        self._reader = Reader()
        self._finding = asyncio.Semaphore(1)

    def look(self, sandbox_id: str, *, wake: bool) -> Look:
        """Frames of one desktop."""
        return lambda: self.node.frame(sandbox_id, wake=wake)

    async def keep(self, sandbox_id: str, frame: Frame) -> str:
        """Keep a frame for some minutes; its name."""
        packed = await asyncio.to_thread(pack, frame)
        return self._moments.keep(sandbox_id, packed, time.monotonic())

    async def kept(self, sandbox_id: str, moment: str | None) -> Frame | None:
        """The frame that was kept under a name; None for None. NotFoundError."""
        if moment is None:
            return None
        await self.node.get(sandbox_id)
        packed = self._moments.find(sandbox_id, moment, time.monotonic())
        return await asyncio.to_thread(packed.frame)

    async def changes(self, sandbox_id: str, settled: Settled) -> dict[str, Any]:
        """What came of a wait, as the API shows it."""
        return {
            "changed": bool(settled.regions),
            "regions": list(settled.regions),
            "moment": await self.keep(sandbox_id, settled.frame),
            "stable": settled.stable,
            "moving": list(settled.moving),
        }

    async def picture(
        self, sandbox_id: str, frame: Frame, spec: ScreenshotSpec, *, stable: bool | None = None
    ) -> Screenshot:
        """A screenshot out of a frame that was looked at already; the frame is drawn on."""
        cursor = (await self.node.cursor(sandbox_id))[0] if spec.cursor else None
        return await asyncio.to_thread(paint, frame, cursor, spec, stable=stable)

    async def part(self, sandbox_id: str, region: Rect | None) -> tuple[Colours, Rect]:
        """The colours of a region of the screen now, and where it lies. InvalidRequestError if not all inside."""
        return await asyncio.to_thread(cut, await self.node.frame(sandbox_id), region)

    async def kept_screenshot(self, sandbox_id: str, spec: ScreenshotSpec) -> tuple[Screenshot, str]:
        """A screenshot, and the name under which what it shows is kept."""
        check(spec)
        stable: bool | None = None
        if spec.stable_ms is None:
            frame = await self.node.frame(sandbox_id)
        else:
            look = self.look(sandbox_id, wake=False)
            plain = Watch(blinking=False)
            quiet_s, timeout_s = spec.stable_ms / 1000, spec.deadline_ms / 1000
            settled = await until_stable(look, plain, quiet_s=quiet_s, timeout_s=timeout_s)
            frame, stable = settled.frame, settled.stable
        name = await self.keep(sandbox_id, frame)
        return await self.picture(sandbox_id, frame, spec, stable=stable), name

    async def find(self, work: Callable[[], T]) -> T:
        """Do heavy work in a thread, one at a time."""
        async with self._finding:
            return await asyncio.to_thread(work)

    async def words(self, part: Colours, region: Rect, wish: eyes_models.ReadText) -> list[Word]:
        """The words in a part of the screen that are certain enough."""
        found = await self._reader.read(part, region, language=wish.language)
        return [word for word in found if word.confidence >= wish.min_confidence]


class ActWatch:
    """Looks at the screen before a batch and after it, once it has settled."""

    def __init__(
        self, eyes: Eyes, sandbox_id: str, wish: desktop_models.ChangeOptions | bool, picture: ScreenshotSpec | None
    ) -> None:
        self._eyes = eyes
        self._sandbox = sandbox_id
        self._wish = desktop_models.ChangeOptions() if isinstance(wish, bool) else wish
        self._picture = picture
        self._before: Frame | None = None

    async def begin(self) -> None:
        """Look before anything is done. InvalidRequestError for a picture or region that no such screen has."""
        if self._picture is not None:
            check(self._picture)
        frame = await self._eyes.node.frame(self._sandbox)
        if self._wish.region is not None:
            check_inside(self._wish.region, frame.shape[1], frame.shape[0])
        if self._picture is not None and self._picture.region is not None:
            check_inside(self._picture.region, frame.shape[1], frame.shape[0])
        self._before = frame

    async def end(self) -> tuple[Screenshot | None, dict[str, Any]]:
        """Wait until the screen has settled: the picture of then, if one is wanted, and what changed."""
        wish = self._wish
        settled = await until_stable(
            self._eyes.look(self._sandbox, wake=False),
            watch_of(wish, blinking=True),
            quiet_s=wish.quiet_ms / 1000,
            timeout_s=wish.timeout,
            before=self._before,
            reaction_s=wish.reaction_ms / 1000,
        )
        found = await self._eyes.changes(self._sandbox, settled)
        if self._picture is None:
            return None, found
        return (
            await self._eyes.picture(self._sandbox, settled.frame, self._picture, stable=settled.stable),
            found,
        )


def cut(frame: Frame, region: Rect | None) -> tuple[Colours, Rect]:
    """A region's colours, blue green red, and the region (None: all of the frame)."""
    height, width = frame.shape[:2]
    x, y, wide, high = region = region or (0, 0, width, height)
    check_inside(region, width, height)
    return np.asarray(cv2.cvtColor(frame[y : y + high, x : x + wide], cv2.COLOR_BGRA2BGR), np.uint8), region


def brought(text: str) -> Colours:
    """A picture that came as base64. Blocks for some ms. InvalidRequestError."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidRequestError("the picture is not base64", hint="encode its bytes, without line ends") from error
    return decode(data)


def framed(picture: Colours, width: int, height: int) -> Frame:
    """A picture of the whole screen as a frame. InvalidRequestError for another size."""
    if picture.shape[:2] != (height, width):
        raise InvalidRequestError(
            f"the picture has {picture.shape[1]} x {picture.shape[0]} pixels, the screen {width} x {height}",
            hint="compare a screenshot of the whole screen at scale 1",
        )
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA), np.uint8)


def watch_of(wish: eyes_models.Watch | desktop_models.ChangeOptions, *, blinking: bool = False) -> Watch:
    """Which changes count."""
    return Watch(within=wish.region, ignore=wish.ignore, blinking=blinking)


async def while_there(request: Request, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` comes to; it is cancelled when the client goes away, with ClientGoneError, which nobody reads."""
    outcome: list[T] = []
    failure: list[DesktopSandboxError] = []

    async def doing() -> None:
        try:
            outcome.append(await work())
        except DesktopSandboxError as error:
            failure.append(error)

    async with asyncio.TaskGroup() as tasks:
        job, left = tasks.create_task(doing()), tasks.create_task(_left(request))
        await asyncio.wait((job, left), return_when=asyncio.FIRST_COMPLETED)
        job.cancel()
        left.cancel()
    if failure:
        raise failure[0]
    if not outcome:
        raise ClientGoneError("the client went away", hint="ask again")
    return outcome[0]


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
