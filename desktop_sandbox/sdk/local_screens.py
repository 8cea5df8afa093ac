"""Screens of sandboxes on this very host, read straight out of their memory: a raw screenshot without a server.

Works for the user who runs the server (and root), on the server's host; everybody else is none the wiser, since
`raw` then says None and the picture comes over HTTP.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from desktop_sandbox.errors import DesktopSandboxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from desktop_sandbox.screen.machine_screen import MachineScreen

_ANSWER_S = 5.0
_AGAIN_S = 1.0
_MAX_ANSWER_BYTES = 8 << 20


class LocalScreens:
    """Screens by sandbox id, behind the server's door (`door` says where). May be used from several threads."""

    def __init__(self, door: Callable[[], Path]) -> None:
        self._door = door
        self._screens: dict[str, _Screen | None] = {}
        self._not_before: dict[str, float] = {}
        self._lock = threading.Lock()

    def raw(self, sandbox_id: str, region: tuple[int, int, int, int] | None, *, cursor: bool) -> bytes | None:
        """RGB rows of the screen now, or of a region that lies within it; None where it cannot be read from here."""
        screen = self._find(sandbox_id)
        if screen is None:
            return None
        try:
            return screen.raw(region, cursor=cursor)
        except (DesktopSandboxError, OSError, ValueError):  # another machine, another layout, none at all
            with self._lock:
                if self._screens.get(sandbox_id) is screen:
                    self._screens[sandbox_id] = None
                    self._not_before[sandbox_id] = time.monotonic() + _AGAIN_S
            return None

    def forget(self, sandbox_id: str) -> None:
        """The sandbox is no longer of interest."""
        with self._lock:
            self._screens.pop(sandbox_id, None)
            self._not_before.pop(sandbox_id, None)

    def close(self) -> None:
        """Let go of all memory."""
        with self._lock:
            self._screens.clear()
            self._not_before.clear()

    def _find(self, sandbox_id: str) -> _Screen | None:
        screen = self._screens.get(sandbox_id)
        if screen is not None:
            return screen
        with self._lock:
            if self._not_before.get(sandbox_id, 0.0) > time.monotonic():
                return None
            try:
                screen = _ask(self._door(), sandbox_id)
            except (DesktopSandboxError, OSError, ValueError, KeyError, TypeError):
                screen = None
            self._screens[sandbox_id] = screen
            if screen is None:
                self._not_before[sandbox_id] = time.monotonic() + _AGAIN_S
            return screen


class _Screen:
    """One machine's screen."""

    def __init__(self, screen: MachineScreen) -> None:
        self._screen = screen

    def raw(self, region: tuple[int, int, int, int] | None, *, cursor: bool) -> bytes:
        from desktop_sandbox.node.facts import ScreenshotSpec
        from desktop_sandbox.screen.screenshot import check, snap

        spec = ScreenshotSpec(format="raw", region=region, cursor=cursor)
        check(spec)
        return snap(self._screen, spec).data


def _ask(path: Path, sandbox_id: str) -> _Screen | None:
    """Ask the server for the machine's memory; None if it has no such sandbox. OSError without a server there."""
    from desktop_sandbox.screen.machine_screen import MachineScreen
    from desktop_sandbox.screen.memory import Descriptor, GuestMemory

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(_ANSWER_S)
        door.connect(str(path))
        door.sendall(f"{sandbox_id}\n".encode())
        text, fds, _, _ = socket.recv_fds(door, 1, 1)
        try:
            while piece := door.recv(1 << 16):
                text += piece
                if len(text) > _MAX_ANSWER_BYTES:
                    raise ValueError("an endless answer")
            facts = json.loads(text)
            if not facts or not fds:
                return None
            mem = Descriptor(fds.pop())
            memory = GuestMemory(mem, facts["host_base"], facts["ram_bytes"], facts["below_4g_bytes"], pid=facts["pid"])
            return _Screen(MachineScreen.from_wire(memory, facts["display"]))
        finally:
            for fd in fds:
                os.close(fd)
