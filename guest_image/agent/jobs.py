"""Programs that outlive the request which started them: background commands and terminals, by id.

A job keeps its last output and how it ended. Whoever attaches gets what it wrote, and may write to it; nobody's going
ends it. Somebody attached who takes no output holds the program up, as a pipe would, but not longer than `STALL_S`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import termios
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from guest_image.agent.errors import OpError
from guest_image.agent.scrollback import Scrollback
from guest_image.agent.spawn import settle

if TYPE_CHECKING:
    from guest_image.agent.spawn import Child

MAX_RUNNING: Final = 64
MAX_KEPT: Final = 64
KEPT_S: Final = 600.0
STALL_S: Final = 30.0
_READ_BYTES: Final = 32 << 10


class Reader:
    """Somebody attached: how far it has read. `cut` is called if it takes nothing for too long."""

    def __init__(self, offset: int, cut: Any) -> None:
        self.offset = offset
        self.is_cut = False
        self._cut = cut

    def cut(self) -> None:
        """It holds the program up: let it go."""
        self.is_cut = True
        self._cut()


class Job:
    """One program. `terminal` is the master of its terminal or -1; `stdin` is where its input goes, -1 without any."""

    def __init__(
        self, name: str, command: list[str], user: str, child: Child, *, terminal: int, stdin: int, outputs: list[int]
    ) -> None:
        self.name = name
        self.command = command
        self.user = user
        self.child = child
        self.terminal = terminal
        self.is_terminal = terminal >= 0
        self.stdin = stdin
        self.outputs = outputs
        self.size = (0, 0)
        self.started_at = time.time()
        self.ended_at: float | None = None
        self.over_since = 0.0
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.timed_out = False
        self.kept = Scrollback()
        self.readers: set[Reader] = set()
        self.over = False
        self._news = asyncio.Event()
        self._read_on = asyncio.Event()
        self._writing = asyncio.Lock()
        for fd in {terminal, stdin, *outputs} - {-1}:
            os.set_blocking(fd, False)

    def describe(self) -> dict[str, Any]:
        """What is told of it; times in ns since the epoch, offsets in bytes of its output."""
        return {
            "job": self.name,
            "command": [part[:1000] for part in self.command[:50]],
            "user": self.user,
            "pid": self.child.pid,
            "terminal": self.is_terminal,
            "rows": self.size[0],
            "columns": self.size[1],
            "running": not self.over,
            "started_ns": int(self.started_at * 1e9),
            "ended_ns": None if self.ended_at is None else int(self.ended_at * 1e9),
            "exit_code": self.exit_code,
            "signal": self.signal,
            "timed_out": self.timed_out,
            "attached": len(self.readers),
            "start": self.kept.start,
            "end": self.kept.end,
        }

    # --- its life

    async def run(self, timeout_s: float | None, *, term_grace_s: float, drain_grace_s: float) -> None:
        """Move its output until it has ended; end it when its time is over. Never raises by itself."""
        try:
            async with asyncio.TaskGroup() as tasks:
                pumps = [tasks.create_task(self._pump(number, fd)) for number, fd in enumerate(self.outputs, 1)]
                if not await self.child.wait(timeout_s):
                    self.timed_out = True
                    await self.end(term_grace_s)
                await asyncio.wait(pumps, timeout=drain_grace_s)
                # what it wrote last is its own; who reads slowly holds this up, within STALL_S
                while any(not pump.done() and _holds(fd) for pump, fd in zip(pumps, self.outputs, strict=True)):
                    await asyncio.wait(pumps, timeout=drain_grace_s)
                for pump in pumps:
                    pump.cancel()
        finally:
            self._finish()

    def _finish(self) -> None:
        if self.child.exited.done():
            code = self.child.reap()
            self.exit_code, self.signal = (128 - code, -code) if code < 0 else (code, None)
        for fd in {self.terminal, self.stdin, *self.outputs} - {-1}:
            os.close(fd)
        self.terminal = self.stdin = -1
        self.outputs = []
        self.ended_at, self.over_since, self.over = time.time(), asyncio.get_running_loop().time(), True
        self._tell()

    async def end(self, grace_s: float) -> None:
        """End it and all of its session; a terminal is hung up first."""
        if self.terminal >= 0:
            self.child.kill_group(signal.SIGHUP)
            self.child.kill_group(signal.SIGCONT)
        await self.child.terminate(grace_s)

    def send_signal(self, number: int) -> None:
        """A signal to its process group; in a terminal to the group in the foreground."""
        if self.terminal >= 0 and not self.over:
            with suppress(OSError):
                group = os.tcgetpgrp(self.terminal)
                if group > 1:
                    os.killpg(group, number)
                    return
        self.child.kill_group(number)

    def resize(self, rows: int, columns: int) -> None:
        """The size of its terminal, in characters; programs in it are told."""
        if self.terminal < 0:
            raise OpError("invalid", f"{self.name} has no terminal, or has ended")
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.size = (rows, columns)

    # --- its output

    async def _pump(self, stream: int, fd: int) -> None:
        while True:
            await self._wait_for_readers()
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                await _readable(fd)
                continue
            except OSError:  # EIO: nobody has the terminal any more
                return
            if not data:
                return
            self.kept.add(stream, data)
            self._tell()

    async def _wait_for_readers(self) -> None:
        """Until nobody attached would lose what comes next."""
        room = self.kept.end + _READ_BYTES - self.kept.limit
        while late := [reader for reader in self.readers if reader.offset < room]:
            places = {reader: reader.offset for reader in late}
            self._read_on.clear()
            try:
                async with asyncio.timeout(STALL_S):
                    await self._read_on.wait()
            except TimeoutError:
                for reader, place in places.items():
                    if reader.offset == place:
                        self.readers.discard(reader)
                        reader.cut()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def next_piece(self, reader: Reader, most: int) -> tuple[int, bytes] | None:
        """What comes next for this reader: (stream, bytes), or None once it has ended and all was read."""
        while True:
            reader.offset = self.kept.nearest(reader.offset)
            found = self.kept.piece(reader.offset, most)
            if found is not None or self.over:
                return found
            await self._news.wait()

    def took(self, reader: Reader, count: int) -> None:
        """The reader has taken so many bytes."""
        reader.offset += count
        self._read_on.set()

    def leave(self, reader: Reader) -> None:
        """The reader goes."""
        self.readers.discard(reader)
        self._read_on.set()

    # --- its input

    async def write(self, data: bytes) -> None:
        """Write to it, waiting while it does not read. Nothing once it reads no more."""
        async with self._writing:
            view = memoryview(data)
            while view and self.stdin >= 0:
                try:
                    view = view[os.write(self.stdin, view) :]
                except BlockingIOError:
                    await _writable(self.stdin)
                except OSError:
                    return

    async def end_input(self) -> None:
        """It shall see the end of its input. A terminal has none: there the line's own character says so."""
        async with self._writing:
            if self.terminal < 0 and self.stdin >= 0:
                os.close(self.stdin)
                self.stdin = -1


class Jobs:
    """All jobs of one agent, the oldest first."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def find(self, name: str) -> Job | None:
        """The job of that id, if there is one."""
        self._forget_old()
        return self._jobs.get(name)

    def get(self, name: str) -> Job:
        """The job of that id. OpError "not-found"."""
        job = self.find(name)
        if job is None:
            raise OpError(
                "not-found",
                f"nothing runs here as {name!r:.80}",
                hint=f"what has ended is forgotten after {KEPT_S / 60:.0f} min, and when the guest's agent starts anew",
            )
        return job

    def all(self) -> list[Job]:
        """Those that run, and those that ended not long ago."""
        self._forget_old()
        return list(self._jobs.values())

    def check_room(self) -> None:
        """OpError "busy" where no more may be started."""
        if sum(not job.over for job in self._jobs.values()) >= MAX_RUNNING:
            raise OpError("busy", f"{MAX_RUNNING} background commands and terminals run", hint="end some of them")

    def add(self, job: Job) -> None:
        """Keep a job that has just been started."""
        self._jobs[job.name] = job
        self._forget_old()

    def _forget_old(self) -> None:
        now = asyncio.get_running_loop().time()
        ended = [job for job in self._jobs.values() if job.over]
        surplus = len(ended) - MAX_KEPT
        for at, job in enumerate(sorted(ended, key=lambda job: job.over_since)):
            if (at < surplus or now - job.over_since > KEPT_S) and not job.readers:
                del self._jobs[job.name]


def _holds(fd: int) -> bool:
    held = bytearray(4)
    with suppress(OSError):
        fcntl.ioctl(fd, termios.FIONREAD, held)
    return int.from_bytes(held, "little") > 0


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def _writable(fd: int) -> None:
    """On a descriptor of its own: the job may end, and close `fd`, meanwhile."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    own = os.dup(fd)
    try:
        loop.add_writer(own, settle, ready)
        try:
            await ready
        finally:
            loop.remove_writer(own)
    finally:
        os.close(own)
