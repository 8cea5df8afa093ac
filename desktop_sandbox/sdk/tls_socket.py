"""A TLS connection that one thread may read while others write, as websockets' synchronous client does.

OpenSSL allows no two calls at a time into one connection. Python's ssl does not see to that: before 3.13.4 the process
may end by it (the abort was seen with 3.11), some later ones wait for each other for ever. So: nothing here blocks
inside of OpenSSL; who must wait waits for the socket, outside of the lock.
"""

from __future__ import annotations

import errno
import functools
import os
import select
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def context() -> ssl.SSLContext:
    """ssl.create_default_context(), whose sockets are such ones."""
    made = ssl.create_default_context()
    made.sslsocket_class = SharedTlsSocket
    return made


class SharedTlsSocket(ssl.SSLSocket):
    """See the module. Made by an SSLContext whose `sslsocket_class` this is; shared from its handshake on."""

    _turn: threading.Lock | None = None
    _limit_s: float | None = None
    _shut = False
    _writing: threading.Lock

    def do_handshake(self, block: bool = False) -> None:
        """See SSLSocket; one thread's work still."""
        super().do_handshake(block)
        self._limit_s = super().gettimeout()
        super().settimeout(0)
        self._writing = threading.Lock()
        self._turn = threading.Lock()

    def settimeout(self, value: float | None) -> None:
        """See socket: how long calls that begin from now on may wait; None: for ever."""
        if self._turn is None:
            super().settimeout(value)
        else:
            self._limit_s = value

    def gettimeout(self) -> float | None:
        """See socket."""
        return super().gettimeout() if self._turn is None else self._limit_s

    def shutdown(self, how: int) -> None:
        """See socket. Nothing is received from then on: it would come as it is on the wire."""
        if self._turn is None:
            return super().shutdown(how)
        with self._turn:
            self._shut = True
            return super().shutdown(how)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """See socket: up to `buflen` bytes; empty at the end. TimeoutError, OSError."""
        return self._in_turn(lambda: b"" if self._shut else ssl.SSLSocket.recv(self, buflen, flags))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """See socket. TimeoutError, OSError."""
        # what was begun must be gone on with: OpenSSL would take another's bytes for the rest of it
        with self._writing, memoryview(data).cast("B") as rest:
            done = 0
            while done < len(rest):
                done += self._in_turn(functools.partial(ssl.SSLSocket.send, self, rest[done:], flags))

    def _in_turn(self, work: Callable[[], T]) -> T:
        """Do what does not block, as often as it takes; the time limit is for each time."""
        if self._turn is None:
            return work()
        deadline = None if self._limit_s is None else time.monotonic() + self._limit_s
        while True:
            try:
                with self._turn:
                    return work()
            except ssl.SSLWantReadError:
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
            self._await(event, deadline)

    def _await(self, event: int, deadline: float | None) -> None:
        ready = select.poll()
        number = self.fileno()
        if number < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        ready.register(number, event)
        left_s = None if deadline is None else deadline - time.monotonic()
        if (left_s is not None and left_s <= 0) or not ready.poll(None if left_s is None else left_s * 1000):
            raise TimeoutError("timed out")
