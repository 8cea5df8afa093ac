"""The clipboard between a desktop and the viewer that drives it. Views of others are not written to."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from desktop_sandbox.errors import ChannelError, DeadlineError, DesktopSandboxError
from desktop_sandbox.node.interface import Node
from desktop_sandbox.stream.desk import Desk
from desktop_sandbox.stream.jobs import Jobs

log = logging.getLogger("desktop_sandbox.stream")

WAIT_S = 60.0
AGAIN_S = 1.0
_NO_SERIAL = 0x7FFFFFFF
MAX_MESSAGE_BYTES = 256 << 10
"""A browser takes no longer message."""


class ClipboardWatch:
    """Tells what is copied in one desktop, from when it is begun; never what was in the clipboard before."""

    def __init__(self, node: Node, sandbox_id: str, copied: Callable[[str], None]) -> None:
        self._node = node
        self._sandbox = sandbox_id
        self._copied = copied
        self._known: str | None = None

    def knows(self, text: str) -> None:
        """The viewer put this there itself: it needs not be told."""
        self._known = text

    async def run(self) -> None:
        """Watch until cancelled, or until the guest turns out not to know how."""
        serial: int | None = None
        while True:
            try:
                if serial is None:
                    serial = await self._node.clipboard_change(self._sandbox, _NO_SERIAL, 0)
                changed = await self._node.clipboard_change(self._sandbox, serial, WAIT_S)
                if changed == serial:
                    continue
                serial = changed
                text = await self._node.get_clipboard(self._sandbox, resume=False)
            except (ChannelError, DeadlineError) as error:
                log.debug("clipboard of %s: %s", self._sandbox, error.message)
                if isinstance(error, ChannelError):
                    serial = None  # an agent that was started anew counts from the beginning
                await asyncio.sleep(AGAIN_S)
            except DesktopSandboxError as error:
                log.info("%s x its clipboard is not watched: %s", self._sandbox, error.message)
                return
            else:
                if text and text != self._known:
                    self._copied(text)
                self._known = None


class Clipboards:
    """The watches of all desktops that somebody drives, one for each."""

    def __init__(self, node: Node, jobs: Jobs) -> None:
        self._node = node
        self._jobs = jobs
        self._watches: dict[str, tuple[int, ClipboardWatch, asyncio.Task[None]]] = {}

    def knows(self, desk: Desk, text: str) -> None:
        """Who drives put this into the desktop's clipboard: it is no news."""
        watch = self._watches.get(desk.sandbox)
        if watch is not None:
            watch[1].knows(text)

    def follow(self, desk: Desk) -> None:
        """Have the viewer that drives, and only that one, told what is copied from now on."""
        viewer = desk.driver_viewer
        watch = self._watches.get(desk.sandbox)
        number = None if viewer is None else viewer.number
        if (None if watch is None else watch[0]) == number:
            return
        self.drop(desk.sandbox)
        if viewer is not None:
            driving = viewer

            def copied(text: str) -> None:
                desk.tell(driving, clipboard_message(text))

            found = ClipboardWatch(self._node, desk.sandbox, copied)
            task = self._jobs.start(found.run(), f"clipboard {desk.sandbox}")
            self._watches[desk.sandbox] = (viewer.number, found, task)

    def drop(self, sandbox_id: str) -> None:
        """Nobody drives any more."""
        watch = self._watches.pop(sandbox_id, None)
        if watch is not None:
            watch[2].cancel()


def clipboard_message(text: str) -> dict[str, Any]:
    """What a page is told of a text that was copied in its desktop: the text, or that it is too long."""
    message = {"t": "clipboard", "text": text}
    if len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_MESSAGE_BYTES:
        return message
    return {
        "t": "error",
        "code": "clipboard-too-long",
        "message": f"What was copied in the desktop is too long for this page: {len(text.encode()) >> 10} KiB of text.",
        "hint": "Save it to a file there and download that.",
    }
