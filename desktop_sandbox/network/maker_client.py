"""The server's side of the maker: namespaces made ahead, so that a create finds one ready."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import socket
import subprocess
import sys
import threading
from collections import deque

from desktop_sandbox.errors import ConfigurationError, MachineError
from desktop_sandbox.network.namespace import Namespace

log = logging.getLogger("desktop_sandbox.network")

READY = 4
_ANSWER_S = 15.0
_CALM_S = 0.5
_PIDFD_GETFD = 438


class MakerClient:
    """Makes namespaces through a maker process, started again if it dies."""

    def __init__(self, *, once: bool = False) -> None:
        self._once = once
        self._asking = threading.Lock()
        self._link: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._ready: deque[Namespace] = deque()
        self._closed = False

    def start(self) -> None:
        """Start the process (blocking). Raises ConfigurationError that says what this host lacks."""
        with self._asking:
            self._start()

    def _start(self) -> None:
        self._end()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            argv = [sys.executable, "-m", "desktop_sandbox.network.maker", str(theirs.fileno())]
            self._child = subprocess.Popen(
                [*argv, "once"] if self._once else argv,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),), start_new_session=True, cwd="/", env=_environment(),
            )  # fmt: skip
        ours.settimeout(_ANSWER_S)
        self._link = ours
        try:
            said = ours.recv(4096).decode(errors="replace")
        except OSError as error:
            said = f"x {error}"
        if said != "ready":
            self._end()
            raise ConfigurationError(
                f"sandboxes get no network: {said.removeprefix('x ') or 'the process that makes namespaces ended'}",
                hint="run as root, or allow user namespaces and open /dev/net/tun to this user; apt install nftables",
            )

    def ready(self) -> Namespace | None:
        """One that was made ahead, if there is one."""
        return self._ready.popleft() if self._ready else None

    def make(self) -> Namespace:
        """Make one (blocking, some ms)."""
        tap, listener, names = self._ask(b"make", (), 3)
        return Namespace(tap, listener, names)

    def sockets_beside(self, pid: int, tap: int) -> tuple[int, int]:
        """New sockets in the namespace of the tap that process `pid` has open as descriptor `tap`."""
        copy = descriptor_of(pid, tap)
        # an ordinary user's maker, in its own user namespace, has no rights over what the one before it made
        asked = self if os.geteuid() == 0 else MakerClient(once=True)
        try:
            listener, names = asked._ask(b"sockets", (copy,), 2)
        finally:
            os.close(copy)
            if asked is not self:
                asked.close()
        return listener, names

    def fill(self) -> None:
        """Make ahead what is missing (blocking). Raises as `make`."""
        while len(self._ready) < READY and not self._closed:
            made = self.make()
            if self._closed:
                made.close()
                return
            self._ready.append(made)

    async def keep_full(self, low: asyncio.Event) -> None:
        """Fill up whenever `low` is set, until cancelled."""
        while True:
            await low.wait()
            if self._ready:
                await asyncio.sleep(_CALM_S)  # who took one is about to need the processors
            low.clear()
            try:
                await asyncio.to_thread(self.fill)
            except (ConfigurationError, MachineError) as error:
                log.warning("x %s", error)

    def _ask(self, message: bytes, descriptors: tuple[int, ...], count: int) -> list[int]:
        with self._asking:
            if self._closed:
                raise MachineError("the server is stopping")
            if self._child is None or self._child.poll() is not None:
                self._start()
            assert self._link is not None
            try:
                socket.send_fds(self._link, [message], descriptors)
                said, got, _, _ = socket.recv_fds(self._link, 4096, 3)
            except OSError as error:
                self._end()
                raise MachineError(f"the process that makes network namespaces: {error}") from error
            if said != b"ok" or len(got) != count:
                for descriptor in got:
                    os.close(descriptor)
                if not said:
                    self._end()
                text = said.decode(errors="replace").removeprefix("x ")
                raise MachineError(
                    f"no network namespace: {text or 'its maker ended'}", hint='see "desktop-sandbox doctor"'
                )
            return got

    def _end(self) -> None:
        link, self._link = self._link, None
        child, self._child = self._child, None
        if link is not None:
            link.close()
        if child is not None:
            try:
                child.wait(2)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(2)

    def close(self) -> None:
        """End the process, and what was made ahead. Blocking."""
        self._closed = True
        with self._asking:
            self._end()
        while self._ready:
            self._ready.pop().close()


def _environment() -> dict[str, str]:
    kept = ("PATH", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "HOME")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    # the project may be run from its folder, which is not the child's
    found["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return found


def descriptor_of(pid: int, number: int) -> int:
    """A copy of another process's descriptor (pidfd_getfd(2)). Raises OSError without the right to look into it."""
    pidfd = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        copy = int(libc.syscall(_PIDFD_GETFD, pidfd, number, 0))
        if copy < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        os.set_inheritable(copy, False)
        return copy
    finally:
        os.close(pidfd)
