"""The screen of a node without machines: pictures, actions, windows, the clipboard."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from actions import model
from actions.model import Action
from actions.validate import ActionValueError, check_on_screen
from desktop_sandbox import errors
from desktop_sandbox.node.batches import CANCELLED, stopped
from desktop_sandbox.node.facts import (
    BatchResult,
    SandboxInfo,
    Screenshot,
    ScreenshotSpec,
    ScreenSource,
)
from desktop_sandbox.node.halt import Halt
from desktop_sandbox.screen.encode import Cursor
from desktop_sandbox.screen.screenshot import check
from tests.fake_base import FakeBase, FakeSandbox

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
MEDIA = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "raw": "application/octet-stream"}


class FakeScreen(FakeBase):
    """A grey screen that notes what is done to it."""

    async def act(
        self,
        sandbox_id: str,
        actions: Sequence[Action],
        *,
        batch_id: str,
        screenshot: ScreenshotSpec | None = None,
        timeout_s: float | None = None,
        halt: Halt | None = None,
    ) -> BatchResult:
        try:
            async with (halt or Halt()).block():
                await self._enter("act")
        except TimeoutError:
            return BatchResult([], stopped(0, CANCELLED, "the batch was cancelled", None), {})
        box = self._sandbox(sandbox_id, running=True)
        if batch_id in box.batches:
            return box.batches[batch_id]
        if screenshot is not None:
            check(screenshot)
        try:
            check_on_screen(actions, *box.info.resolution)
        except ActionValueError as error:
            raise errors.InvalidActionError(error.message, hint=error.hint, index=error.index) from None
        results: list[dict[str, Any]] = []
        shots: dict[int, Screenshot] = {}
        failed = None
        for index, action in enumerate(actions):
            if isinstance(action, model.Type) and "unmappable" in action.text:
                failed = {
                    "index": index,
                    "code": "keymap",
                    "message": "no keycode",
                    "hint": "x",
                    "partial": {"typed": 2},
                }
                break
            box.acted.append(action)
            if isinstance(action, (model.Move, model.Click)) and action.x is not None and action.y is not None:
                box.pointer = (action.x, action.y)
            if isinstance(action, model.Screenshot):
                shots[index] = self._shot(ScreenshotSpec(format=action.format), box)
            if isinstance(action, model.CursorPosition):
                results.append({"x": box.pointer[0], "y": box.pointer[1]})
            elif isinstance(action, model.Type):
                results.append({"typed": len(action.text)})
            else:
                results.append({})
        final = None if screenshot is None else self._shot(screenshot, box)
        box.batches[batch_id] = result = BatchResult(results, failed, shots, final)
        return result

    def _shot(self, spec: ScreenshotSpec, box: FakeSandbox) -> Screenshot:
        width, height = spec.region[2:] if spec.region else box.info.resolution
        width, height = max(1, int(width * spec.scale)), max(1, int(height * spec.scale))
        data = bytes(width * height * 3) if spec.format == "raw" else PNG
        return Screenshot(data, MEDIA[spec.format], width, height, None if spec.stable_ms is None else True)

    async def screenshot(self, sandbox_id: str, spec: ScreenshotSpec, *, resume: bool = True) -> Screenshot:
        await self._enter("screenshot")
        return self._shot(spec, self._sandbox(sandbox_id, running=True))

    async def frame(self, sandbox_id: str, *, wake: bool = False) -> np.ndarray:
        await self._enter("frame")
        box = self._sandbox(sandbox_id, running=True)
        box.woken += wake
        if box.frame is None:
            width, height = box.info.resolution
            return np.full((height, width, 4), 128, np.uint8)
        return box.frame.copy()

    async def cursor(self, sandbox_id: str, *, name: bool = False) -> tuple[Cursor, str | None]:
        await self._enter("cursor")
        x, y = self._sandbox(sandbox_id, running=True).pointer
        arrow = np.zeros((3, 2, 4), np.uint8)
        arrow[0] = 255
        return Cursor(x, y, 1, 0, arrow), "left_ptr" if name else None

    async def set_resolution(self, sandbox_id: str, width: int, height: int) -> SandboxInfo:
        await self._enter("set_resolution")
        self._sandbox(sandbox_id, running=True)
        if width > 1920 or height > 1200:
            raise errors.InvalidRequestError(f"{width}×{height} is too large", hint="at most 1920×1200")
        return self._replace(sandbox_id, resolution=(width, height))

    async def launch(self, sandbox_id: str, argv: Sequence[str] | str, uri: str | None = None) -> int:
        await self._enter("launch")
        box = self._sandbox(sandbox_id, running=True)
        box.launched.append((argv, uri))
        return 1000 + len(box.launched)

    async def open(self, sandbox_id: str, target: str) -> None:
        await self._enter("open")
        self._sandbox(sandbox_id, running=True).launched.append(("open", target))

    async def windows(self, sandbox_id: str) -> list[dict[str, Any]]:
        await self._enter("windows")
        box = self._sandbox(sandbox_id, running=True)
        place: dict[str, Any] = {"pid": 7, "x": 1, "y": 2, "width": 300, "height": 200}
        place["states"] = []
        return [
            {"id": 0x200001, "title": "files", "class": "Thunar", "active": False, **place},
            *(
                {"id": 0x300001 + i, "title": str(argv), "class": str(argv).title(), "active": True, **place}
                for i, (argv, _) in enumerate(box.launched)
            ),
        ]

    async def screen_source(self, sandbox_id: str, *, fresh: bool = False) -> ScreenSource:
        await self._enter("screen_source")
        if self.replaced:
            self.replaced -= 1
            raise errors.ConflictError(f"{sandbox_id} was ended or replaced meanwhile", hint="look at it")
        width, height = self._sandbox(sandbox_id, running=True).info.resolution
        self.sources.append(fresh)
        return ScreenSource({"kind": "xwd", "width": width, "height": height}, os.open("/dev/null", os.O_RDONLY))

    async def press(self, sandbox_id: str, actions: Sequence[Action]) -> Mapping[str, Any] | None:
        await self._enter("press")
        self._sandbox(sandbox_id, running=True).pressed.extend(actions)
        return None

    async def get_clipboard(self, sandbox_id: str, *, resume: bool = True) -> str:
        await self._enter("get_clipboard")
        return self._sandbox(sandbox_id, running=True).clipboard

    async def set_clipboard(self, sandbox_id: str, text: str) -> None:
        await self._enter("set_clipboard")
        self.copy(sandbox_id, text)

    def copy(self, sandbox_id: str, text: str) -> None:
        """As if a program in the desktop copied it."""
        box = self._sandbox(sandbox_id, running=True)
        box.clipboard = text
        box.clipboard_serial += 1
        self._copied.set()
        self._copied = asyncio.Event()

    async def get_clipboard_picture(self, sandbox_id: str) -> bytes:
        await self._enter("get_clipboard_picture")
        return self._sandbox(sandbox_id, running=True).picture

    async def set_clipboard_picture(self, sandbox_id: str, picture: bytes) -> None:
        await self._enter("set_clipboard_picture")
        self._sandbox(sandbox_id, running=True).picture = picture

    async def clipboard_change(self, sandbox_id: str, after: int, wait_s: float) -> int:
        await self._enter("clipboard_change")
        box = self._sandbox(sandbox_id, running=True)
        if box.clipboard_serial == after:
            try:
                async with asyncio.timeout(wait_s):
                    await self._copied.wait()
            except TimeoutError:
                pass
        return box.clipboard_serial
