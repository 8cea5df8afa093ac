"""Keeps one media process: starts it when it is needed first, notices its end, starts it again with growing pauses.
One that says nothing for too long is killed.

Its end touches no sandbox: viewers reconnect, and what must go on (recordings) is begun anew by the listener.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from desktop_sandbox import errors
from desktop_sandbox.errors import StreamerError
from desktop_sandbox.microvm.wall import end_process
from desktop_sandbox.stream.launch import Launch
from desktop_sandbox.stream.link import StreamerLink

log = logging.getLogger("desktop_sandbox.stream")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 30.0
"""A process that lived so long may start again without a pause."""
CONFIGURE_S = 20.0
PING_S = 6.0
MOST_MISSED = 3
"""A process that hangs says nothing for so many pings; one on a busy host is only late."""


def pause_s(failures: int) -> float:
    """How long to wait before another start after so many in a row that came to nothing: doubling, bounded."""
    return 0.0 if failures <= 0 else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))


class Supervisor:
    """The media process of one server. `lost` is called when one ended, `fresh` is awaited when another is up."""

    def __init__(
        self,
        launch: Launch,
        settings: Mapping[str, Any],
        *,
        event: Callable[[dict[str, Any]], None],
        binary: Callable[[int, bytes], None],
        lost: Callable[[], None],
        tasks: asyncio.TaskGroup,
        fresh: Callable[[], Awaitable[None]],
        ping_s: float = PING_S,
    ) -> None:
        self._launch = launch
        self._settings = settings
        self._event = event
        self._binary = binary
        self._on_lost = lost
        self._fresh = fresh
        self._tasks = tasks
        self._ping_s = ping_s
        self._link: StreamerLink | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._failures = 0
        self._started_at = 0.0
        self._not_before = 0.0
        self._closed = False
        self._jobs: set[asyncio.Task[None]] = set()
        self.restarts = 0

    @property
    def running(self) -> bool:
        """Whether there is a media process that can be asked."""
        return self._link is not None and self._link.open

    @property
    def pid(self) -> int | None:
        """The process (of the wall around it), for those who look."""
        return self._child.pid if self._child is not None else None

    async def link(self) -> StreamerLink:
        """The connection to a running media process, started if need be. StreamerError if it does not come up."""
        async with self._starting:
            if self._link is not None and self._link.open:
                return self._link
            if self._closed:
                raise StreamerError("the server is stopping")
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            try:
                return await self._start()
            except errors.DesktopSandboxError as error:
                self._failed()
                raise StreamerError(
                    f"the media process did not start: {error.message}",
                    hint=error.hint or "streamer.log in DESKTOP_SANDBOX_HOME says why",
                ) from error

    def link_now(self) -> StreamerLink | None:
        """The connection if there is one; starts nothing."""
        return self._link if self.running else None

    async def aclose(self) -> None:
        """End the process."""
        self._closed = True
        for job in self._jobs:
            job.cancel()
        link, self._link = self._link, None
        if link is not None:
            link.close()
        await self._reap()

    async def _start(self) -> StreamerLink:
        await self._reap()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._child = await asyncio.to_thread(self._launch, theirs)
            except BaseException:
                ours.close()
                raise
        link = StreamerLink(ours, event=self._event, binary=self._binary, lost=lambda: self._lost(link))
        self._started_at = time.monotonic()
        try:
            await link.request("configure", self._settings, deadline_s=CONFIGURE_S)
        except BaseException:
            link.close()
            raise
        self._link = link
        self._begin(self._watch(link))
        log.info("media process = running, pid %s", self.pid)
        return link

    def _lost(self, link: StreamerLink) -> None:
        if self._link is not link:
            return
        self._link = None
        if self._closed:
            return
        self.restarts += 1
        if time.monotonic() - self._started_at >= STEADY_S:
            self._failures = 0
            self._not_before = 0.0
        self._failed()
        self._on_lost()
        self._begin(self._again())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        job = self._tasks.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _watch(self, link: StreamerLink) -> None:
        """Ask for a sign of life now and then; without any the process is killed, and its end told as any other."""
        missed = heard = 0
        while missed < MOST_MISSED:
            await asyncio.sleep(self._ping_s)
            if not link.open:
                return
            missed = 0 if link.heard > heard else missed + 1
            heard = link.heard
            link.ask("ping", {})
        log.error("media process x says nothing for %.0f s: killed", missed * self._ping_s)
        async with self._starting:  # the next one needs its ports
            link.close()
            try:
                await self._reap()
            except Exception:  # one that cannot even be killed must not end the server
                log.exception("the media process that hangs")

    def _failed(self) -> None:
        self._failures += 1
        self._not_before = time.monotonic() + pause_s(self._failures)

    async def _again(self) -> None:
        """Have the listener go on with what must; it starts the process only if there is something."""
        try:
            await self._fresh()
        except errors.DesktopSandboxError as error:
            log.warning("x media process: %s", error.message)
        except Exception:
            log.exception("after the media process ended")

    async def _reap(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            code = await asyncio.to_thread(end_process, child)
            log.log(logging.DEBUG if self._closed else logging.WARNING, "media process = ended, exit code %d", code)
