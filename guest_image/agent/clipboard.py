"""The clipboard for the agent's event loop: a thread and an X connection of its own, so that whoever hangs over a paste
holds up no action. Started when it is asked for first; where X hangs, the thread is left behind and another made."""

from __future__ import annotations

import asyncio
import os
import queue
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.selection_limits import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER_S = 3.0
"""How long another program may take to hand over what it copied."""
_IDLE_S = 5.0


class Clipboard:
    """Called from the agent's loop only. `serial` grows with every change of the clipboard's owner."""

    def __init__(self, display_name: str, timeout_s: float) -> None:
        self._display_name = display_name
        self._timeout_s = timeout_s
        self._thread: _Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self.serial = 0

    async def get(self, form: str = TEXT) -> bytes:
        """The text in the clipboard as UTF-8, or its picture as PNG; empty if there is none.

        OpError "deadline" if its owner does not hand it over, "too-large", "unavailable" without an X server.
        """
        data: bytes = await self._call(lambda selections, done: selections.read(done, form), OWNER_S)
        return data

    async def set(self, data: bytes, form: str = TEXT) -> None:
        """Put UTF-8 text or a PNG into the clipboard, and where the middle button pastes from."""

        def own(selections: Any, done: Callable[[Any], None]) -> None:
            selections.own(data, form)
            done(None)

        await self._call(own, self._timeout_s)

    async def changed(self, after: int, timeout_s: float) -> int:
        """Wait until `serial` is not `after`; the serial, also where the time is over first."""
        await self._call(lambda _, done: done(None), self._timeout_s)  # the thread is there and watches
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.serial == after:
                    await self._news.wait()
        return self.serial

    def close(self) -> None:
        """End the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.end()

    async def _call(self, job: Any, timeout_s: float) -> Any:
        loop = self._loop = asyncio.get_running_loop()
        if self._thread is None or self._thread.ended:
            self._thread = _Thread(self._display_name, self._tell)
        thread = self._thread
        outcome: asyncio.Future[Any] = loop.create_future()

        def settle(value: Any) -> None:
            if not outcome.done():
                outcome.set_result(value)

        def done(value: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, value)

        thread.put(job, done)
        await asyncio.wait([outcome], timeout=timeout_s)
        if not outcome.done():
            # is it X that hangs, or only the clipboard's owner?
            if thread.stuck:
                thread.end()
                self._thread = None
                raise OpError("deadline", f"the X server did not answer within {timeout_s} s")
            thread.put(lambda selections, _: selections.give_up(OpError("deadline", "given up")), lambda _: None)
            raise OpError(
                "deadline",
                f"the program that owns the clipboard did not hand it over within {timeout_s} s",
                hint="it hangs or is very busy; copy again, or try later",
            )
        value = outcome.result()
        if isinstance(value, OpError):
            raise value
        return value

    def _tell(self) -> None:
        """In the thread: the clipboard changed."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._bump)

    def _bump(self) -> None:
        self.serial += 1
        self._news.set()
        self._news = asyncio.Event()


class _Thread:
    """One thread with its connection, until X goes away or `end`."""

    def __init__(self, display_name: str, changed: Callable[[], None]) -> None:
        self._display_name = display_name
        self._changed = changed
        self._jobs: queue.SimpleQueue[tuple[Any, Callable[[Any], None]]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._ending = False
        self._lock = threading.Lock()
        self.ended = False
        self.stuck = False
        self._selections: Any = None
        threading.Thread(target=self._run, name="clipboard", daemon=True).start()

    def put(self, job: Any, done: Callable[[Any], None]) -> None:
        """Do `job(selections, done)` soon; `done` gets an OpError where that is not possible."""
        with self._lock:
            if not self.ended:
                self._jobs.put((job, done))
                self._ring()
                return
        done(OpError("unavailable", "the clipboard's connection to X is gone", hint="try again"))

    def end(self) -> None:
        """End soon; a thread that hangs gets an error from its connection."""
        self._ending = True
        with self._lock:
            if not self.ended:
                self._ring()
        if self.stuck and self._selections is not None:
            with suppress(OSError):
                self._selections.display.display.socket.shutdown(2)

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        error = OpError("unavailable", "the clipboard's connection to X is gone", hint="try again")
        try:
            self._serve()
        except Exception as problem:
            hint = "the desktop session may be starting again"
            error = OpError("unavailable", f"no clipboard: {type(problem).__name__}: {problem}", hint=hint)
        finally:
            with self._lock:
                self.ended = True
                os.close(self._wake_read)
                os.close(self._wake_write)
            while not self._jobs.empty():
                self._jobs.get()[1](error)
            if self._selections is not None:
                with suppress(Exception):
                    self._selections.close()

    def _serve(self) -> None:
        from guest_image.agent.x.selections import Selections

        self.stuck = True
        selections = self._selections = Selections(self._display_name, self._changed)
        while not self._ending:
            self.stuck = True
            while not self._jobs.empty():
                job, done = self._jobs.get()
                try:
                    job(selections, done)
                except OpError as problem:
                    done(problem)
                except BaseException as problem:
                    done(OpError("unavailable", f"the X server is not there: {problem}"))
                    raise
            selections.handle()
            self.stuck = False
            select.select([self._wake_read, selections.display.fileno()], [], [], _IDLE_S)
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
