"""Carries viewers' input to one guest: a worker sends what has come as soon as the guest has done what came before.

Nothing is sent twice but what lets go of keys and buttons, and nothing waits for anything but the guest: what piles up
meanwhile becomes one batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from actions.model import Action
from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.node.interface import Node
from desktop_sandbox.stream.ends import is_over
from desktop_sandbox.stream.input_queue import InputQueue

log = logging.getLogger("desktop_sandbox.stream")

_KEPT_TIMES = 256
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class Driver:
    """The input of one desktop. `failed` is told what the guest could not do, at most once for each batch."""

    def __init__(self, node: Node, sandbox_id: str, failed: Callable[[str, str], None]) -> None:
        self._node = node
        self._sandbox = sandbox_id
        self._failed = failed
        self._queue = InputQueue()
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._pressing = False
        self._first_at = 0.0
        self._pause_s = 0.0
        self.batches = 0
        self.seconds: list[float] = []
        """From the arrival of an event to the guest's answer, the newest few."""

    @property
    def dropped(self) -> int:
        """Events lost because the guest was too slow."""
        return self._queue.dropped

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent, or is on its way."""
        return not (self._queue or self._pressing)

    def feed(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take a viewer's events, in order."""
        if not self._queue:
            self._first_at = time.perf_counter()
        for event in events:
            if isinstance(event, Mapping):
                self._queue.add(event)
        if self._queue:
            self._news.set()

    def let_go(self, *, agent_too: bool) -> None:
        """Another one drives now: drop what waits, and release the viewer's keys and buttons.

        `agent_too`: what the agent may have left down, that is the buttons and modifiers.
        """
        self._queue.release()
        self._queue.forget()
        self._pause_s = 0.0
        self._hurry.set()
        if agent_too:
            self._queue.release_usual()
        if self._queue:
            self._news.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while batch := self._queue.take():
                self._pressing = True
                try:
                    await self._press(batch)
                finally:
                    self._pressing = False

    async def _press(self, batch: Sequence[Action]) -> None:
        """Have the guest do a batch. What would have let go of something, but was not done, comes first in the next."""
        began = self._first_at
        self._first_at = time.perf_counter()
        try:
            failed = await self._node.press(self._sandbox, batch)
        except DesktopSandboxError as error:
            self._failed(error.message, error.hint or "")
            if not is_over(error) and self._queue.put_back(batch):
                self._hurry.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s):
                        await self._hurry.wait()
                self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * self._pause_s))
            return
        self._pause_s = 0.0
        self.batches += 1
        self.seconds = [*self.seconds[-_KEPT_TIMES:], time.perf_counter() - began]
        if failed is not None:
            self._queue.put_back(batch[int(failed["index"]) + 1 :])
            self._failed(str(failed.get("message")), str(failed.get("hint") or ""))
