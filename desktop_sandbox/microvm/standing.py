"""Which machines the host's processors serve first: those that somebody waits for, before those that only compute.

A desktop that was just restored computes for seconds what nobody asked for (timers that are late, a panel that draws).
While few desktops do, that costs nothing; among many it would keep the processors from those whose answer is awaited. A
machine that nobody waits for is therefore "nice": it gives way, is never starved, and has all that nobody else needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from desktop_sandbox.microvm.process import ProcessId

NICE = 19
"""Of a machine that nobody waits for: a seventieth of the weight of others, so that a hundred do not outweigh one."""
_LINGER_S = 0.1
_PATIENCE_S = 20.0
_ASIDE_S = 2.0


def may_give_way() -> bool:
    """Whether machines do: only root makes a process less nice again."""
    return os.geteuid() == 0


class Beginners:
    """Lets few machines begin at once, to start or to be told who they are: each is ready sooner than if all did.

    Where machines do not give way all begin at once: those that are ready would keep the others waiting. Those that
    have done their very first action stand aside for those that have not: nice as they are, what their programs then
    compute took a quarter of the time of sixteen.
    """

    def __init__(self, count: int | None = None, *, patience_s: float = _PATIENCE_S) -> None:
        self._slots = asyncio.Semaphore(count or ((os.cpu_count() or 1) + 1 if may_give_way() else 1_000_000))
        self._patience_s = patience_s
        self._acting = 0
        self._aside: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def first_action(self) -> Iterator[None]:
        """Somebody waits for a machine's very first action inside the block."""
        self._acting += 1
        try:
            yield
        finally:
            self._acting -= 1
            if self._acting == 0:
                going_on, self._aside = self._aside, []
                for go_on in going_on:
                    go_on()

    @property
    def crowded(self) -> bool:
        """Whether more first actions are awaited than processors are there."""
        return self._acting > (os.cpu_count() or 1)

    def stand_aside(self, go_on: Callable[[], None]) -> None:
        """Have `go_on` called once no first action is awaited any more, or two seconds later; maybe both."""
        self._aside.append(go_on)
        asyncio.get_running_loop().call_later(_ASIDE_S, go_on)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Begin inside the block. Nobody waits longer for it than a machine that hangs may take."""
        mine = True
        try:
            await asyncio.wait_for(self._slots.acquire(), self._patience_s)
        except TimeoutError:
            mine = False
        try:
            yield
        finally:
            if mine:
                self._slots.release()


class Standing:
    """Counts who waits for one machine, this QEMU process. Does nothing where it may not: without root.

    Belongs to one event loop.
    """

    def __init__(self, process: ProcessId, *, allowed: bool | None = None) -> None:
        self._process = process
        self._allowed = may_give_way() if allowed is None else allowed
        self._waiting = 0
        self._watched = False
        self._nice: int | None = None
        self._later: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """One more waits for it."""
        self._waiting += 1
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._set(0)

    def end(self) -> None:
        """One of them waits no more. When the last has gone, it gives way a moment later."""
        self._waiting -= 1
        if self._waiting == 0 and self._allowed:
            self._later = asyncio.get_running_loop().call_later(_LINGER_S, self._set, NICE)

    @property
    def watched(self) -> bool:
        """Whether somebody looks at it all the time: who does waits, too."""
        return self._watched

    @watched.setter
    def watched(self, watched: bool) -> None:
        if watched != self._watched:
            self._watched = watched
            self.begin() if watched else self.end()

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Somebody waits inside the block."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def close(self) -> None:
        """Leave it as it is from now on."""
        self._allowed = False
        if self._later is not None:
            self._later.cancel()

    def _set(self, nice: int) -> None:
        if self._allowed and nice != self._nice and self._process.alive():
            self._nice = nice
            set_nice(self._process.pid, nice)


def set_nice(pid: int, nice: int) -> None:
    """Make all threads of a process this nice, and its scheduler's autogroup, inside of which the threads' own is."""
    with contextlib.suppress(OSError):  # it has ended, or this kernel has no autogroups
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, int(thread), nice)
