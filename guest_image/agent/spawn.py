"""Start a program as some user among the user's apps, and know when it ends.

A forked child moves itself into the cgroup, drops its rights and execs; it may be frozen while it does, so nothing
here waits for it except on the event loop. Ends are seen through a pidfd, and a child is reaped only when its
process group has been dealt with, so that the group's number cannot mean another one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from guest_image.agent.errors import OpError, from_os_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guest_image.agent.accounts import Account

_STAGES: Final = ("start", "cgroup", "user", "cwd", "exec")


class Child:
    """A started program, leader of its own session and process group."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(pid)
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._status: int | None = None

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        if not self.exited.done():
            self.exited.set_result(None)

    async def wait(self, timeout_s: float | None) -> bool:
        """True once it has ended, False if it has not within `timeout_s`."""
        await asyncio.wait([self.exited], timeout=timeout_s)
        return self.exited.done()

    def kill_group(self, number: int) -> None:
        """Send a signal to it and everything in its group. Nothing once it is reaped."""
        if self._status is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def terminate(self, grace_s: float) -> None:
        """End it, its group, and other groups of its session: asked first, then without asking."""
        self.kill_group(signal.SIGTERM)
        await self.wait(grace_s)
        for group in _groups_of_session(self.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        self.kill_group(signal.SIGKILL)
        await self.wait(5.0)

    def reap(self) -> int:
        """How it ended, as exit code (0 or more) or signal (negative). Only once it has ended."""
        if self._status is None:
            _, status = os.waitpid(self.pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
            os.close(self._pidfd)
        return self._status

    async def reap_later(self) -> None:
        """Wait for its end, however long, and reap it."""
        await self.wait(None)
        self.reap()


def _groups_of_session(sid: int) -> set[int]:
    groups = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read(1024).rpartition(b")")[2].split()
                if int(fields[3]) == sid:
                    groups.add(int(fields[2]))
    return groups


async def spawn(
    argv: Sequence[str],
    *,
    account: Account,
    env: Mapping[str, str],
    cwd: str,
    files: tuple[int, int, int],
    procs_file: str | None,
    terminal: bool = False,
) -> Child:
    """Start `argv` with `files` as stdin, stdout, stderr (the caller keeps and closes them).

    With `terminal` they are a terminal, which becomes the one that controls the new session.

    OpError "not-found" or "permission" if the program or `cwd` is not there or not allowed.
    """
    errors, errors_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    cgroup = -1
    try:
        if procs_file is not None:
            with suppress(OSError):
                cgroup = os.open(procs_file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            pid = os.fork()
        except OSError as error:
            raise OpError("busy", f"no process could be started: {error.strerror}") from error
        if pid == 0:
            _become(argv, account, env, cwd, files, cgroup, errors_in, terminal=terminal)
        child = Child(pid)
        os.close(errors_in)
        errors_in = -1
        try:
            report = await _report(errors)
        except asyncio.CancelledError:
            child.kill_group(signal.SIGKILL)
            await child.wait(5.0)
            if child.exited.done():
                child.reap()
            raise
    finally:
        for fd in (errors, errors_in, cgroup):
            if fd >= 0:
                os.close(fd)
    if report:
        await child.wait(5.0)
        child.reap()
        stage, number = _STAGES[report[0]], int.from_bytes(report[1:5], "big")
        what = f"cannot run {argv[0]!r:.200}" if stage == "exec" else f"{stage} for {argv[0]!r:.200}"
        if stage == "cwd":
            what = f"cannot run in folder {cwd!r:.200}"
        raise from_os_error(OSError(number, os.strerror(number)), what)
    return child


def settle(done: asyncio.Future[None]) -> None:
    """Set a future, if nobody has yet."""
    if not done.done():
        done.set_result(None)


async def _report(fd: int) -> bytes:
    """What the child says before exec: nothing if all went well."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
    return os.read(fd, 16)


def _become(
    argv: Sequence[str],
    account: Account,
    env: Mapping[str, str],
    cwd: str,
    files: tuple[int, int, int],
    cgroup: int,
    errors: int,
    *,
    terminal: bool,
) -> None:
    """In the child: never returns."""
    stage = 0
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        _reset_priority()
        stage = 1
        if cgroup >= 0:
            with suppress(OSError):
                os.write(cgroup, b"0")
        safe = [os.dup(fd) if fd < 3 else fd for fd in files]
        for target, fd in enumerate(safe):
            os.dup2(fd, target, inheritable=True)
        if terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        stage = 2
        if os.geteuid() == 0:
            os.setgroups(account.groups)
            os.setresgid(account.gid, account.gid, account.gid)
            os.setresuid(account.uid, account.uid, account.uid)
        os.umask(0o022)
        stage = 3
        os.chdir(cwd)
        stage = 4
        os.execvpe(argv[0], list(argv), env)  # noqa: S606
    except OSError as error:
        os.write(errors, bytes((stage,)) + (error.errno or 0).to_bytes(4, "big"))
    finally:
        os._exit(127)


def _reset_priority() -> None:
    """The agent is the last to be killed and the first to run; what it starts is not."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    with suppress(OSError):
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, b"0")
        os.close(fd)
