"""One jailed QEMU process: start it, know it again after the server died, see it end, kill it and be sure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.cgroup import MAX_TASKS
from desktop_sandbox.microvm.host import process_start_time
from desktop_sandbox.microvm.jail import Jail

_MAX_FILES = 1024
_JAIL_S = 10.0
_MARGIN_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class ProcessId:
    """A pid together with its start time (clock ticks since boot) and the boot: names one process for good."""

    pid: int
    start_time: int
    boot: str

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return process_start_time(self.pid) == self.start_time


class Process:
    """A running QEMU, started by this server or by one before it."""

    def __init__(self, identity: ProcessId, child: subprocess.Popen[bytes] | None = None) -> None:
        self.identity = identity
        self._child = child
        try:
            self._pidfd = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            raise _gone(identity) from None
        # the pid may have been taken by another process between the look and the opening
        if not identity.alive():
            os.close(self._pidfd)
            raise _gone(identity)

    def __repr__(self) -> str:
        return f"<Process {self.identity.pid}>"

    @property
    def pid(self) -> int:
        """QEMU's pid as the host sees it."""
        return self.identity.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.identity.alive()

    def stop(self) -> None:
        """Stop all of it at once (SIGSTOP). It answers nothing until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on, should it be stopped."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def wait(self) -> None:
        """Return when it has ended."""
        if self._pidfd < 0:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        descriptor = os.dup(self._pidfd)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def kill(self, timeout_s: float = 10.0) -> None:
        """End it and return when it is gone. Safe to call again. Raises MachineError if it will not go."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        try:
            async with asyncio.timeout(timeout_s):
                await self.wait()
        except TimeoutError:
            raise MachineError(
                f"process {self.pid} did not end {timeout_s:.0f} s after SIGKILL",
                hint="look for it in state D with ps",
            ) from None
        self.close()

    def close(self) -> None:
        """Let go of the process without ending it; reaps the jail's own process if that has ended."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._child is not None and not self.alive():
            # bubblewrap's outer process ends with the one inside
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(5)


def _gone(identity: ProcessId) -> MachineError:
    return MachineError(f"the machine's process {identity.pid} is gone")


def start_process(
    argv: Sequence[str],
    jail: Jail,
    *,
    uid: int,
    inherit: Sequence[int],
    log: Path,
    boot: str,
    readable: Sequence[tuple[str, str]] = (),
    file_limit_bytes: int,
) -> Process:
    """Start QEMU behind the wall (blocking, some ms). `inherit`: the descriptors it gets; stderr goes to `log`.

    `file_limit_bytes`: a file that it writes may become no larger; it ends when it tries.
    """
    info_read, info_write = os.pipe()
    try:
        wrapped = jail.wrap(argv, uid=uid, info_fd=info_write, readable=readable)
        with log.open("ab") as stderr:
            child = subprocess.Popen(
                wrapped,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(*inherit, info_write),
                start_new_session=True,
                env={},
            )
        os.close(info_write)
        info_write = -1
        pid = _read_pid(info_read, child, log)
    finally:
        os.close(info_read)
        if info_write >= 0:
            os.close(info_write)
    started = process_start_time(pid)
    if started is None:
        raise MachineError("QEMU ended at once", hint=_tail(log), log=str(log))
    process = Process(ProcessId(pid, started, boot), child)
    for what, limit in _limits(file_limit_bytes, own_uid=jail.privileged):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, what, (limit, limit))
    return process


def file_limit(disk_bytes: int, ram_bytes: int) -> int:
    """How large a file may become that QEMU writes: an overlay with all of its disk in it, and once its memory."""
    return disk_bytes + disk_bytes // 32 + ram_bytes + _MARGIN_BYTES


def _limits(file_limit_bytes: int, *, own_uid: bool) -> list[tuple[int, int]]:
    """Resources and how much of each a machine gets.

    Not memory, which its cgroup bounds: a limit of address space counts what is reserved and never used (threads'
    stacks and arenas, translated code), and QEMU ends where it has no more.

    `own_uid`: nothing but this machine runs under its uid; else all that the server's user runs would count.
    """
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MAX_FILES),
        (resource.RLIMIT_FSIZE, file_limit_bytes),
    ]
    return [*limits, (resource.RLIMIT_NPROC, MAX_TASKS)] if own_uid else limits


def _read_pid(info: int, child: subprocess.Popen[bytes], log: Path) -> int:
    """What the jail says of the process in it. MachineError where it says nothing in time; it has then ended."""
    text = _read_all(info, time.monotonic() + _JAIL_S)
    with contextlib.suppress(ValueError, KeyError):
        if text is not None:
            return int(json.loads(text)["child-pid"])
    how = f"within {_JAIL_S:g} s"
    with contextlib.suppress(subprocess.TimeoutExpired):
        if text is not None:
            how = f"(exit {child.wait(5)})"
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)  # its session is its own
        child.wait(5)
    raise MachineError(f"the jail did not start {how}", hint=_tail(log), log=str(log))


def _read_all(pipe: int, deadline: float) -> bytes | None:
    """All of a pipe, until its other end is closed; None where that does not come by `deadline` (monotonic)."""
    text, waiting = b"", select.poll()
    waiting.register(pipe, select.POLLIN)
    while (left_s := deadline - time.monotonic()) > 0:
        if waiting.poll(left_s * 1000):
            chunk = os.read(pipe, 4096)
            if not chunk:
                return text
            text += chunk
    return None


def _tail(log: Path, size: int = 800) -> str:
    try:
        return log.read_bytes()[-size:].decode(errors="replace").strip() or "its log is empty"
    except OSError:
        return "its log cannot be read"
