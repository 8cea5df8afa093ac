"""Starts and stops recordings, one at a time for each sandbox, also of desktops that nobody watches.

A recording ends when it is asked to, with its sandbox, at its largest size, or where the disk is nearly full. If the
media process dies, what was written stays, and a new recording goes on.
"""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desktop_sandbox.errors import CapacityError, ConflictError, DesktopSandboxError
from desktop_sandbox.stream.recordings import Recording, Recordings

if TYPE_CHECKING:
    from desktop_sandbox.stream.views import Views

log = logging.getLogger("desktop_sandbox.stream")

MAX_BYTES = 4 << 30
MIN_FREE_BYTES = 1 << 30
STOP_S = 20.0


@dataclass
class _Running:
    recording: Recording
    files: Recordings
    cursor: bool


class Recorder:
    """The recordings that are going on."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._running: dict[str, _Running] = {}
        self._starting: set[str] = set()
        self.max_bytes = MAX_BYTES
        self.begun = 0

    def is_running(self, sandbox_id: str) -> bool:
        """Whether this desktop is being recorded, or is about to be."""
        return sandbox_id in self._running or sandbox_id in self._starting

    @property
    def running(self) -> set[str]:
        """Desktops that are being recorded."""
        return set(self._running)

    @property
    def count(self) -> int:
        """How many are going on."""
        return len(self._running)

    async def start(self, sandbox_id: str, *, cursor: bool) -> Recording:
        """Begin a recording. ConflictError if there is one, CapacityError if the disk is nearly full."""
        if sandbox_id in self._running or sandbox_id in self._starting:
            raise ConflictError(f"{sandbox_id} is being recorded already", hint="stop that first: DELETE …/recording")
        self._starting.add(sandbox_id)
        try:
            return await self._start(sandbox_id, cursor=cursor)
        finally:
            self._starting.discard(sandbox_id)

    async def _start(self, sandbox_id: str, *, cursor: bool) -> Recording:
        files = await self.files(sandbox_id)
        link = await self._views.attached(sandbox_id)
        recording, descriptor = files.begin(cursor=cursor)
        running = self._running[sandbox_id] = _Running(recording, files, cursor)
        try:
            self._check_disk(running)
            await link.request("record.start", {"sandbox": sandbox_id, "cursor": cursor}, fd=descriptor)
        except BaseException:
            if self._running.get(sandbox_id) is running:
                del self._running[sandbox_id]
            files.remove(recording)
            raise
        finally:
            os.close(descriptor)
        self.begun += 1
        await self._views.node.note(sandbox_id, "recording", {"did": "started", "recording": recording.id})
        return recording

    async def stop(self, sandbox_id: str, reason: str = "stopped") -> Recording:
        """End the recording: its file is whole then. ConflictError if there is none."""
        running = self._running.get(sandbox_id)
        if running is None:
            raise ConflictError(f"{sandbox_id} is not being recorded", hint="POST …/recording starts one")
        link = self._views.supervisor.link_now()
        del self._running[sandbox_id]
        if link is None:
            return await self._broken(sandbox_id, running, "the media process ended")
        try:
            facts = await link.request("record.stop", {"sandbox": sandbox_id}, deadline_s=STOP_S)
        except DesktopSandboxError as error:
            return await self._broken(sandbox_id, running, error.message)
        done = running.files.finish(running.recording, "done", reason, facts)
        await self._note(sandbox_id, done)
        return done

    async def failed(self, sandbox_id: str, reason: str) -> None:
        """The media process says that it could not go on; what was written stays."""
        running = self._running.pop(sandbox_id, None)
        if running is not None:
            log.warning("%s x recording: %s", sandbox_id, reason)
            await self._broken(sandbox_id, running, reason)

    async def stop_if_running(self, sandbox_id: str, reason: str) -> None:
        """The same, where nobody asked."""
        if sandbox_id in self._running:
            try:
                await self.stop(sandbox_id, reason)
            except DesktopSandboxError as error:
                log.warning("%s x recording: %s", sandbox_id, error.message)

    async def stop_all(self, reason: str) -> None:
        """End all of them in order."""
        for sandbox_id in list(self._running):
            await self.stop_if_running(sandbox_id, reason)

    async def files(self, sandbox_id: str) -> Recordings:
        """The recordings of a sandbox, also of one that has ended."""
        return Recordings(await self._views.node.folder(sandbox_id))

    def running_id(self, sandbox_id: str) -> str | None:
        """Which recording of the sandbox is going on."""
        running = self._running.get(sandbox_id)
        return None if running is None else running.recording.id

    async def tidy(self) -> None:
        """End what has become too large."""
        for sandbox_id, running in list(self._running.items()):
            try:
                self._check_disk(running)
            except CapacityError as error:
                await self.stop_if_running(sandbox_id, error.message)
            except OSError as error:  # its folder went with the sandbox, say
                await self.stop_if_running(sandbox_id, f"its file cannot be looked at: {error}")

    async def resume(self) -> None:
        """The media process died: keep what there is, and go on in a new file."""
        broken, self._running = self._running, {}
        for sandbox_id, running in broken.items():
            await self._broken(sandbox_id, running, "the media process ended")
        for sandbox_id, running in broken.items():
            try:
                await self.start(sandbox_id, cursor=running.cursor)
            except DesktopSandboxError as error:  # a sandbox that has ended meanwhile, say: the others go on
                log.warning("%s x its recording does not go on: %s", sandbox_id, error.message)

    def _check_disk(self, running: _Running) -> None:
        path = running.files.path(running.recording.id)
        if running.files.size(running.recording.id) >= self.max_bytes:
            raise CapacityError(f"the recording reached its largest size of {self.max_bytes} bytes")
        free = shutil.disk_usage(path.parent).free
        if free < MIN_FREE_BYTES:
            raise CapacityError(
                f"{free >> 20} MiB are left on the disk", hint=f"recordings leave {MIN_FREE_BYTES >> 20} MiB free"
            )

    async def _broken(self, sandbox_id: str, running: _Running, reason: str) -> Recording:
        done = running.files.finish(running.recording, "broken", reason)
        await self._note(sandbox_id, done)
        return done

    async def _note(self, sandbox_id: str, done: Recording) -> None:
        facts = {"did": "ended", "recording": done.id, "state": done.state, "reason": done.reason}
        try:
            await self._views.node.note(sandbox_id, "recording", {**facts, "size_bytes": done.size_bytes})
        except DesktopSandboxError as error:
            log.debug("%s: %s", sandbox_id, error.message)
