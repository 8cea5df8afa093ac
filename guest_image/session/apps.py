"""Starts the session's programs in their cgroup, and starts those again that end, less and less eagerly."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from guest_image.session.config import AppConfig

_HEALTHY_AFTER_S = 60.0
_LONGEST_DELAY_S = 60.0


def restart_delay_s(lived_s: float, failures: int) -> float:
    """Seconds until a program that ended is started again: none after a healthy life, then doubling up to a minute.

    `failures`: how often in a row it has ended early before.
    """
    if lived_s >= _HEALTHY_AFTER_S:
        return 0.0
    return float(min(_LONGEST_DELAY_S, 0.5 * 2 ** min(failures, 16)))


@dataclass
class _Child:
    app: AppConfig
    process: subprocess.Popen[bytes]
    started: float
    failures: int


@dataclass(frozen=True)
class _Pending:
    app: AppConfig
    due: float
    failures: int


class Supervisor:
    """The programs of the session. `now`: a monotonic clock in seconds."""

    def __init__(
        self,
        environment: Mapping[str, str],
        enter: Callable[[], None],
        home: Path,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = dict(environment)
        self._enter = enter
        self._home = home
        self._now = now
        self._children: dict[int, _Child] = {}
        self._pending: list[_Pending] = []

    def start(self, app: AppConfig, failures: int = 0) -> None:
        """Start a program; one that cannot be started is tried again like one that ended."""
        try:
            process = subprocess.Popen(
                app.argv,
                env=self._environment,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._before_exec,  # noqa: PLW1509  (this process has one thread)
            )
        except OSError as error:
            print(f"x {app.argv[0]} cannot be started: {error}", flush=True)
            self._later(app, 0.0, failures)
            return
        print(f"= {app.argv[0]} started, pid {process.pid}", flush=True)
        self._children[process.pid] = _Child(app, process, self._now(), failures)

    def _before_exec(self) -> None:
        self._enter()
        Path("/proc/self/oom_score_adj").write_text("0")
        resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))  # the session's own, for the X server
        os.umask(0o022)

    def start_later(self, app: AppConfig, delay_s: float) -> None:
        """Start a program in a while; once, however often it is asked for meanwhile."""
        if all(item.app is not app for item in self._pending):
            self._pending.append(_Pending(app, self._now() + delay_s, 0))

    def reap(self) -> None:
        """Take notice of programs that ended (after SIGCHLD)."""
        for pid, child in list(self._children.items()):
            code = child.process.poll()
            if code is None:
                continue
            del self._children[pid]
            lived = self._now() - child.started
            print(f"x {child.app.argv[0]} ended with {code} after {lived:.0f} s", flush=True)
            if child.app.restart:
                self._later(child.app, lived, child.failures)

    def _later(self, app: AppConfig, lived_s: float, failures: int) -> None:
        delay = restart_delay_s(lived_s, failures)
        failures = 0 if lived_s >= _HEALTHY_AFTER_S else failures + 1
        self._pending.append(_Pending(app, self._now() + delay, failures))

    def run_due(self) -> float | None:
        """Start what is due. Returns seconds until the next one is, or None where none waits."""
        now = self._now()
        due = [item for item in self._pending if item.due <= now]
        self._pending = [item for item in self._pending if item.due > now]
        for item in due:
            self.start(item.app, item.failures)
        return min((max(0.0, item.due - now) for item in self._pending), default=None)
