"""Notices that the desktop session came up again, without polling (inotify on its folder)."""

from __future__ import annotations

import asyncio
import ctypes
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from guest_image.agent.state_page import LAYOUT_BYTES, PID_OFFSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from guest_image.agent.config import AgentConfig

_CLOSE_WRITE, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x80, 0x100, 0x200
_SETTLE_S = 0.05


class SessionWatch:
    """Calls `event("session", state=…)` when the state page or the framebuffer appears, is replaced or goes."""

    def __init__(self, config: AgentConfig, event: Callable[..., None]) -> None:
        self._config = config
        self._event = event
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._watching = False
        self._seen = self._identity()
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._changed)
        self._add()

    def _add(self) -> None:
        """Watch the folder; while it is not there yet, its parent."""
        for path in (self._config.session_dir, os.path.dirname(self._config.session_dir)):
            mask = _CLOSE_WRITE | _MOVED_TO | _CREATE | _DELETE
            if self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask) >= 0:
                self._watching = path == self._config.session_dir
                return

    def _changed(self) -> None:
        with suppress(OSError):
            os.read(self._fd, 1 << 16)
        if not self._watching:
            self._add()
        if self._timer is None:
            self._timer = self._loop.call_later(_SETTLE_S, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._identity()
        if now != self._seen:
            self._seen = now
            self._event("session", state="started" if now is not None else "stopped")

    def _identity(self) -> tuple[int, ...] | None:
        try:
            screen = os.stat(self._config.framebuffer)
            with open(self._config.state_page, "rb", buffering=0) as file:
                page, number = os.fstat(file.fileno()), file.read(LAYOUT_BYTES) or b""
        except OSError:
            return None
        pid = int.from_bytes(number[PID_OFFSET:LAYOUT_BYTES], "little")
        return (screen.st_ino, screen.st_size, page.st_ino, pid)

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
