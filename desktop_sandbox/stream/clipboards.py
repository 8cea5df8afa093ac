"""The clipboard between a desktop and the viewer that drives it. Views of others are not written to."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from desktop_sandbox.errors import ChannelError, DeadlineError, DesktopSandboxError
from desktop_sandbox.node.interface import Node
from desktop_sandbox.stream.desk import Desk
from desktop_sandbox.stream.jobs import Jobs

log = logging.getLogger("desktop_sandbox.stream")

WAIT_S = 60.0
AGAIN_S = 1.0
ECHO_S = 3.0
"""So long after a change the same text once more is a clipboard manager's doing."""
_NO_SERIAL = 0x7FFFFFFF
MAX_MESSAGE_BYTES = 256 << 10
"""A browser takes no longer message."""


class Known:
    """Tells what is news to who drives from what they have in their own clipboard already. Pure, time is passed in.

    A desktop's clipboard manager takes over what was copied, which is a change of its own, with the same text: told
    again, it would take the place of what the person has copied at home meanwhile.
    """

    def __init__(self) -> None:
        self._text: str | None = None
        self._until: float | None = None

    def has(self, text: str) -> None:
        """They put this into the desktop themselves: the change that does that is yet to come, whenever that is."""
        self._text, self._until = text, None

    def is_news(self, text: str, now: float) -> bool:
        """Whether to tell them of a change to this text."""
        if not text:
            return False
        echo = text == self._text and (self._until is None or now < self._until)
        if not echo or self._until is None:
            self._text, self._until = text, now + ECHO_S
        return not echo


class ClipboardWatch:
    """Tells what is copied in one desktop, from when it is begun; never what was in the clipboard before."""

    def __init__(self, node: Node, sandbox_id: str, copied: Callable[[str], None]) -> None:
        self._node = node
        self._sandbox = sandbox_id
        self._copied = copied
        self._known = Known()

    def knows(self, text: str) -> None:
        """The viewer put this there itself: it needs not be told."""
        self._known.has(text)

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
                if self._known.is_news(text, time.monotonic()):
                    self._copied(text)


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
