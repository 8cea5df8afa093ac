"""Work that a callback starts: kept, logged if it fails, cancelled at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from desktop_sandbox.errors import DesktopSandboxError

log = logging.getLogger("desktop_sandbox.stream")


class Jobs:
    """Tasks of a group that no failure of one of them ends."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` by itself."""
        task = self._tasks.create_task(self._guarded(work, name), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled before it began, it would be missed
        return task

    async def cancel(self) -> None:
        """End all of them."""
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=5)

    async def _guarded(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except DesktopSandboxError as error:
            log.warning("x %s: %s", name, error.message)
        except Exception:
            log.exception("x %s", name)
