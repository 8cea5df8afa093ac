"""The few things a Port needs of an event loop, for a thread that also blocks in X: descriptors, timers, a doorbell.

asyncio would do the same with ten times the work, and an emulated machine feels that at every click. Handlers must not
raise. All but `call_soon_threadsafe` belongs to the reactor's own thread.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """A call that is due at a time; `cancel` takes it back."""

    __slots__ = ("call", "cancelled")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        """It will not be called."""
        self.cancelled = True


class Reactor:
    """Watches descriptors by epoll; speaks the part of asyncio's loop interface that Port uses."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._writers: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._soon: deque[Callable[[], None]] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.add_reader(self._bell, self._rung)

    def time(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def add_reader(self, fd: int, call: Callable[[], None]) -> None:
        """Call whenever the descriptor can be read."""
        self._readers[fd] = call
        self._watch(fd)

    def remove_reader(self, fd: int) -> None:
        """No longer."""
        if self._readers.pop(fd, None) is not None:
            self._watch(fd)

    def add_writer(self, fd: int, call: Callable[[], None]) -> None:
        """Call whenever the descriptor can be written."""
        self._writers[fd] = call
        self._watch(fd)

    def remove_writer(self, fd: int) -> None:
        """No longer."""
        if self._writers.pop(fd, None) is not None:
            self._watch(fd)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call once, after so many seconds."""
        timer = Timer(call)
        heapq.heappush(self._timers, (self.time() + delay_s, next(self._order), timer))
        return timer

    def call_soon_threadsafe(self, call: Callable[..., None], *args: Any) -> None:
        """Call in the reactor's thread, soon; from any thread."""
        self._soon.append((lambda: call(*args)) if args else call)
        with suppress(OSError):
            os.eventfd_write(self._bell, 1)

    def run_once(self) -> None:
        """Wait until something happens, and handle it."""
        for fd, events in self._epoll.poll(self._patience()):
            if events & ~select.EPOLLOUT and fd in self._readers:
                self._readers[fd]()
            if events & ~select.EPOLLIN and fd in self._writers:
                self._writers[fd]()
        while self._timers and self._timers[0][0] <= self.time():
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                timer.call()

    def close(self) -> None:
        """Let go of everything that is the reactor's own."""
        self._readers.clear()
        self._writers.clear()
        self._epoll.close()
        bell, self._bell = self._bell, -1
        if bell >= 0:
            os.close(bell)

    def _rung(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        while self._soon:
            self._soon.popleft()()

    def _patience(self) -> float | None:
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - self.time()) if self._timers else None

    def _watch(self, fd: int) -> None:
        wanted = (select.EPOLLIN if fd in self._readers else 0) | (select.EPOLLOUT if fd in self._writers else 0)
        with suppress(FileNotFoundError):
            self._epoll.unregister(fd)
        if wanted:
            self._epoll.register(fd, wanted)
