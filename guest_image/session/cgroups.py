"""The session's two cgroups: `display` (session and X server) and `apps` (all the rest, which may be frozen)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")


class SessionCgroups:
    """Makes the two groups below the one that systemd delegated, and moves this process into `display`."""

    def __init__(self, top: Path | None = None) -> None:
        self.top = top if top is not None else own_cgroup(Path("/proc/self/cgroup").read_text())
        self.apps = self.top / "apps"
        display = self.top / "display"
        display.mkdir(exist_ok=True)
        self.apps.mkdir(exist_ok=True)
        (display / "cgroup.procs").write_text("0")
        self._prefer(display)

    def _prefer(self, display: Path) -> None:
        """Let the X server go before the apps it serves, so that what is done to the desktop is done at once."""
        with contextlib.suppress(OSError):
            (self.top / "cgroup.subtree_control").write_text("+cpu")
            (display / "cpu.weight").write_text("10000")

    def enter_apps(self) -> None:
        """Move the calling process into `apps` (between fork and exec)."""
        descriptor = os.open(self.apps / "cgroup.procs", os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)


def own_cgroup(text: str) -> Path:
    """The cgroup v2 directory that /proc/self/cgroup names; the session's own if it sits in `display` already."""
    line = next(line for line in text.splitlines() if line.startswith("0::"))
    path = _MOUNT / line.removeprefix("0::").lstrip("/")
    return path.parent if path.name == "display" else path
