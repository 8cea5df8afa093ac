"""Processes of our own programs that need not import everything anew: a second of a core for each server.

A process of this module's imports a program's modules once, and forks for each start, as multiprocessing's forkserver
does; the child then runs the program's module as `python -m` would. Who waits for the child is a process of its own
between them, which ends with the child's exit code sent back.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MODULES = {
    "desktop_sandbox.cli": ("desktop_sandbox.cli.app", "desktop_sandbox.cli.serve"),
    "streamer": ("streamer.service", "streamer.control"),
}
_MESSAGE_BYTES = 1 << 18
_MOST_FDS = 16
_OUT_OF_THE_WAY = 500  # descriptors that nobody asks for begin here


class PreloadedProcess:
    """What tests need of a subprocess.Popen."""

    def __init__(self, module: str, pid: int, status: socket.socket) -> None:
        self.args = ["-m", module]
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """See Popen."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """See Popen."""
        if self.returncode is None:
            ready, _, _ = select.select([self._status], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._status.recv(16).decode())
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """See Popen."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """See Popen."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """See Popen."""
        self.send_signal(signal.SIGTERM)


def start(
    module: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    output: int | None = None,
    pass_fds: Sequence[int] = (),
) -> PreloadedProcess:
    """Run `python -m module arguments` from the project's root; both outputs go to one descriptor if one is given."""
    request = {"arguments": arguments, "env": dict(os.environ if env is None else env), "fds": list(pass_fds)}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    outputs = (1, 2) if output is None else (output, output)
    with theirs:
        fds = [theirs.fileno(), *outputs, *pass_fds]
        socket.send_fds(_preloaded(module), [json.dumps(request).encode()], fds)
    return PreloadedProcess(module, int(ours.recv(16).decode()), ours)


@functools.cache
def _preloaded(module: str) -> socket.socket:
    """The process that forks for a module; ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MESSAGE_BYTES)
    with theirs:
        command = [sys.executable, "-m", "tests.preloaded", module, str(theirs.fileno())]
        subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    return ours


def _serve(module: str, requests: socket.socket) -> bool:
    """Fork for each request; True in a child, which has become what was asked for."""
    for name in MODULES[module]:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, fds, _, _ = socket.recv_fds(requests, _MESSAGE_BYTES, _MOST_FDS)
        if not data:
            return False
        if os.fork() == 0:
            requests.close()
            return _become(module, json.loads(data), fds)
        for fd in fds:
            os.close(fd)


def _become(module: str, request: dict[str, Any], fds: list[int]) -> bool:
    """True in the program's process; the one that waits for it ends here."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status, *rest = fds
    child = os.fork()
    if child:
        os.write(status, str(child).encode())
        for fd in rest:
            os.close(fd)
        _, code = os.waitpid(child, 0)
        os.write(status, str(os.waitstatus_to_exitcode(code)).encode())
        os._exit(0)
    os.close(status)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for fd in rest]
    os.closerange(3, _OUT_OF_THE_WAY)
    for fd, wanted in zip(high, (1, 2, *request["fds"]), strict=True):
        os.dup2(fd, wanted)
        os.close(fd)
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = [module, *request["arguments"]]
    return True


if __name__ == "__main__":
    MODULE = sys.argv[1]
    if _serve(MODULE, socket.socket(fileno=int(sys.argv[2]))):
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
