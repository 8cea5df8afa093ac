"""The cgroups of what the user runs: freeze and thaw them (cgroup v2, cgroup.freeze)."""

from __future__ import annotations

import asyncio
import os
import pwd
from contextlib import suppress
from typing import TYPE_CHECKING

from guest_image.agent.journal import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from guest_image.agent.config import AgentConfig


class UserCgroups:
    """The session's apps and the user's own systemd with all that it started."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._slice: str | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._before: Callable[[], None] | None = None

    def directories(self) -> list[str]:
        """Those that exist now. Never the X server's, nor the agent's."""
        candidates = [self._config.apps_cgroup]
        if self._slice is None:  # looked up once: a restored machine thaws before it does anything else
            with suppress(KeyError):
                uid = pwd.getpwnam(self._config.user).pw_uid
                self._slice = f"{self._config.cgroup_root}/user.slice/user-{uid}.slice"
        if self._slice is not None:
            candidates.append(self._slice)
        return [path for path in candidates if os.path.exists(f"{path}/cgroup.freeze")]

    def procs_file(self) -> str | None:
        """The file into which a new process writes 0 to move among the user's apps; None while there is none."""
        self.first_action_done()
        path = f"{self._config.apps_cgroup}/cgroup.procs"
        return path if os.path.exists(path) else None

    def thaw_soon(self, before: Callable[[], None], within_s: float) -> None:
        """Thaw in a moment, after `before`: all that slept wakes then, and would be in the way of a first action."""
        self._before = before
        self._soon = asyncio.get_running_loop().call_later(within_s, self.thaw)

    @property
    def waiting(self) -> bool:
        """Whether the thaw was put off."""
        return self._soon is not None

    def first_action_done(self) -> None:
        """Thaw now, if that was put off."""
        if self._soon is not None:
            self.thaw()

    def first_action_done_from(self, loop: asyncio.AbstractEventLoop) -> None:
        """The same from another thread; `loop` is the agent's."""
        if self._soon is not None:
            loop.call_soon_threadsafe(self.first_action_done)

    def thaw(self) -> None:
        """Let everything run again."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        before, self._before = self._before, None
        if before is not None:
            try:
                before()
            except Exception as error:  # whatever it is, the programs must run
                log(f"x before the thaw: {type(error).__name__}: {error}")
        for path in self.directories():
            with suppress(OSError):
                _write(f"{path}/cgroup.freeze", b"0")

    async def freeze(self, timeout_s: float) -> bool:
        """Freeze everything: True once it is. If it is not in time, everything runs again."""
        self.first_action_done()
        deadline = asyncio.get_running_loop().time() + timeout_s
        paths = self.directories()
        try:
            for path in paths:
                _write(f"{path}/cgroup.freeze", b"1")
            pause_s = 0.001
            while not all(_frozen(path) for path in paths):
                if asyncio.get_running_loop().time() >= deadline:
                    self.thaw()
                    return False
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, 0.02)
        except OSError:
            self.thaw()
            return False
        except asyncio.CancelledError:
            self.thaw()
            raise
        return True


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _frozen(path: str) -> bool:
    with open(f"{path}/cgroup.events", "rb") as file:
        return b"frozen 1" in file.read(4096)
