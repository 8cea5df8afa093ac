"""What the live view asks of a node: the screen's place, a person's input, the clipboard, and the event log."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from actions.model import Action
from desktop_sandbox.errors import GuestError, InvalidRequestError
from desktop_sandbox.node.core import NodeCore
from desktop_sandbox.node.facts import ScreenSource
from desktop_sandbox.screen.png import SIGNATURE

MAX_CLIPBOARD_BYTES = 1 << 20
MAX_PICTURE_BYTES = 16 << 20
_CLIPBOARD_S = 20.0
_PICTURE_S = 60.0


class Watching(NodeCore):
    """The part of a node that people who watch and drive need.

    What the live view does by itself does not bring back what was paused: a viewer that is left over would undo it.
    """

    async def screen_source(self, sandbox_id: str, *, fresh: bool = False) -> ScreenSource:
        """How to read the screen from outside."""
        return await (await self.live(sandbox_id, resume=False)).source(fresh=fresh)

    async def press(self, sandbox_id: str, actions: Sequence[Action]) -> Mapping[str, Any] | None:
        """Carry out a person's input at once; what failed, or None."""
        return await (await self.live(sandbox_id, resume=False)).press(actions)

    async def get_clipboard(self, sandbox_id: str, *, resume: bool = True) -> str:
        """The text in the desktop's clipboard."""
        data = await self._clipboard(sandbox_id, {}, MAX_CLIPBOARD_BYTES, resume=resume)
        return data.decode("utf-8", "replace")

    async def set_clipboard(self, sandbox_id: str, text: str) -> None:
        """Put text into the desktop's clipboard."""
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_CLIPBOARD_BYTES:
            raise InvalidRequestError(
                f"a text of {len(data)} bytes for the clipboard", hint=f"at most {MAX_CLIPBOARD_BYTES}; upload a file"
            )
        channel = (await (await self.live(sandbox_id)).guest()).channel
        await channel.request("clipboard.set", {}, timeout_s=_CLIPBOARD_S, stdin=_pieces(data))

    async def get_clipboard_picture(self, sandbox_id: str) -> bytes:
        """The picture in the desktop's clipboard as PNG, as some program in it wrote it; empty if there is none."""
        data = await self._clipboard(sandbox_id, {"form": "png"}, MAX_PICTURE_BYTES, resume=True)
        if data and not data.startswith(SIGNATURE):
            raise GuestError("what the clipboard holds as image/png is no PNG", hint="copy the picture again")
        return data

    async def set_clipboard_picture(self, sandbox_id: str, picture: bytes) -> None:
        """Put a PNG into the desktop's clipboard."""
        if not picture.startswith(SIGNATURE):
            raise InvalidRequestError("a picture for the clipboard that is no PNG", hint="save it as PNG")
        if len(picture) > MAX_PICTURE_BYTES:
            raise InvalidRequestError(
                f"a picture of {len(picture)} bytes for the clipboard",
                hint=f"at most {MAX_PICTURE_BYTES}; upload a file",
            )
        channel = (await (await self.live(sandbox_id)).guest()).channel
        await channel.request("clipboard.set", {"form": "png"}, timeout_s=_PICTURE_S, stdin=_pieces(picture))

    async def _clipboard(self, sandbox_id: str, params: dict[str, Any], most: int, *, resume: bool) -> bytes:
        channel = (await (await self.live(sandbox_id, resume=resume)).guest()).channel
        data = bytearray()
        async with channel.stream("clipboard.get", params, timeout_s=_PICTURE_S if params else _CLIPBOARD_S) as stream:
            async for _, piece in stream:
                data += piece
                if len(data) > most:
                    raise GuestError("the guest sent more than a clipboard may hold")
            await stream.result()
        return bytes(data)

    async def clipboard_change(self, sandbox_id: str, after: int, wait_s: float) -> int:
        """A number that is another one whenever the clipboard has changed."""
        channel = (await (await self.live(sandbox_id, resume=False)).guest()).channel
        params = {"after": after, "wait_ms": int(wait_s * 1000)}
        answer = await channel.request("clipboard.watch", params, timeout_s=wait_s + _CLIPBOARD_S)
        serial = answer.get("serial") if isinstance(answer, dict) else None
        if type(serial) is not int:
            raise GuestError("the agent answered clipboard.watch with what makes no sense")
        return serial

    async def note(self, sandbox_id: str, kind: str, data: Mapping[str, Any]) -> None:
        """Write something into the sandbox's event log."""
        await self.store.note(sandbox_id, kind, data, now=time.time())

    async def folder(self, sandbox_id: str) -> Path:
        """The sandbox's folder on this host."""
        record = await self.store.get(sandbox_id)
        return Path(record.directory) if record.directory else self._directory(sandbox_id)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 64 << 10):
        yield data[start : start + (64 << 10)]
