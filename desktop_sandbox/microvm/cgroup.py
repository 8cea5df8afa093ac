"""A cgroup (version 2) of its own for each machine: memory and process limits, and a kill that nothing escapes.

Where there is no unified hierarchy, or it is not ours, machines run without; `doctor` says so.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_MIB = 1024**2
# QEMU itself and its threads, beside the guest's RAM and its translated code
_OVERHEAD_MIB = 512
MAX_TASKS = 256
"""Threads of one machine: QEMU has up to 64 for requests to its disk alone, and ends where it cannot have one."""


class Cgroup:
    """Where the machines of one server live in the hierarchy; `None` parts of it simply do nothing."""

    def __init__(self, tag: str, root: Path = ROOT) -> None:
        self._parent = root / f"desktop-sandbox-{tag}"
        self.available = self._prepare(root)

    def _prepare(self, root: Path) -> bool:
        try:
            if "memory" not in (root / "cgroup.controllers").read_text().split():
                return False
            (root / "cgroup.subtree_control").write_text("+memory +pids")
            self._parent.mkdir(exist_ok=True)
            (self._parent / "cgroup.subtree_control").write_text("+memory +pids")
        except OSError:
            return False
        return True

    def enclose(self, machine_id: str, pid: int, memory_mib: int) -> bool:
        """Put a process into its own group with limits; whether that worked. `memory_mib`: RAM and translated code."""
        if not self.available:
            return False
        group = self._parent / machine_id
        try:
            group.mkdir(exist_ok=True)
            (group / "memory.max").write_text(str((memory_mib + _OVERHEAD_MIB) * _MIB))
            (group / "pids.max").write_text(str(MAX_TASKS))
            with contextlib.suppress(OSError):
                (group / "memory.swap.max").write_text("0")
            (group / "cgroup.procs").write_text(str(pid))
        except OSError:
            return False
        return True

    def remove(self, machine_id: str) -> None:
        """Remove the group of a machine that has ended."""
        with contextlib.suppress(OSError):
            (self._parent / machine_id).rmdir()

    def close(self) -> None:
        """Remove the server's own group if it is empty."""
        with contextlib.suppress(OSError):
            self._parent.rmdir()
