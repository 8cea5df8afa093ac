"""Where episodes begin: one snapshot for each task, made when it is first needed, shared by an environment's desktops.

Knows nothing of Gymnasium. Snapshots that it made are removed by `close`; those it was given are not its own.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.errors import ConflictError, DesktopSandboxError, NotFoundError
from desktop_sandbox.gym.tasks import Task

PREPARE_S = 1800.0


@dataclass(frozen=True)
class Server:
    """Which server is meant, as in `Sandbox.create`; None: as the environment says."""

    url: str | None = None
    api_key: str | None = None


@dataclass
class Starts:
    """The snapshots that tasks begin from; may be used by several threads."""

    server: Server
    resolution: tuple[int, int] | None
    _made: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, task: Task) -> str:
        """The id of the snapshot that this task begins from: its own, or one that is made now."""
        if task.snapshot is not None and task.setup is None:
            return task.snapshot
        with self._lock:
            if task.name not in self._made:
                self._made[task.name] = self._make(task)
            return self._made[task.name]

    def _make(self, task: Task) -> str:
        with Sandbox.create(
            task.template,
            resolution=self.resolution,
            timeout=PREPARE_S,
            snapshot=task.snapshot,
            metadata={"gym": f"setup of {task.name}"},
            url=self.server.url,
            api_key=self.server.api_key,
        ) as desktop:
            if task.setup is not None:
                task.setup(desktop)
            return desktop.checkpoint(f"start of {task.name}"[:200], tags=["gym"]).snapshot_id

    def close(self) -> None:
        """Remove the snapshots that were made here; what somebody still rests on stays."""
        with self._lock, Host.connect(url=self.server.url, api_key=self.server.api_key) as host:
            for snapshot in self._made.values():
                with contextlib.suppress(NotFoundError, ConflictError):
                    host.delete_snapshot(snapshot)
            self._made.clear()


@dataclass
class Seat:
    """One desktop that episodes run on, one after another: the same sandbox is rolled back, as long as there is one."""

    starts: Starts
    timeout_s: float | None
    desktop: Sandbox | None = None

    def begin(self, snapshot: str) -> Sandbox:
        """The desktop at a snapshot: rolled back in place, or a new one where there is none any more."""
        if self.desktop is not None:
            try:
                self.desktop.rollback(snapshot)
                if self.timeout_s is not None:
                    self.desktop.set_timeout(self.timeout_s)
            except (NotFoundError, ConflictError):
                self.close()
        if self.desktop is None:
            server = self.starts.server
            self.desktop = Sandbox.create(
                timeout=self.timeout_s,
                snapshot=snapshot,
                metadata={"gym": "episodes"},
                url=server.url,
                api_key=server.api_key,
            )
        wanted = self.starts.resolution
        if wanted is not None and self.desktop.get_screen_size() != wanted:
            self.desktop.set_screen_size(*wanted)
        return self.desktop

    def close(self) -> None:
        """End the desktop; nothing happens if it has ended already."""
        desktop, self.desktop = self.desktop, None
        if desktop is not None:
            with contextlib.suppress(DesktopSandboxError):
                desktop.kill()
            desktop.close()
