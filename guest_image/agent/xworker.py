"""One thread for one X connection, and a way out when X hangs.

The event loop never calls X itself. A job that is overdue is given up: its caller gets an error, its thread is
left to die with its connection, and the next job gets a new thread and a new connection.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from guest_image.agent.errors import OpError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class _Job:
    """A call waiting for its turn, or having it."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self.loop.create_future()
        self.begun = False
        self.dropped = False

    def finish(self, result: Any, error: BaseException | None) -> None:
        """Hand the outcome to the loop (from the worker's thread)."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(result)
        else:
            self.done.set_exception(error)
            self.done.exception()


class Turn:
    """One thread's time as the worker, with the connection that it made."""

    __slots__ = ("connection",)

    def __init__(self) -> None:
        self.connection: Any = None

    def do(self, connect: Callable[[], Any], work: Callable[[Any], _T]) -> _T:
        """`work(connection)`. Any error but an OpError, or one like it (`code`, `message`), costs the connection."""
        try:
            if self.connection is None:
                self.connection = connect()
            return work(self.connection)
        except BaseException as error:
            answer = _as_answer(error)
            if not isinstance(answer, OpError) or answer.code == "unavailable":
                self.end()
        raise answer  # out here, without the other's traceback: its frames would hold a broken connection's socket

    def end(self) -> None:
        """Close the connection, however broken it is."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()


class XWorker:
    """Runs functions of one X connection one after another; `connect` makes the connection, in the thread."""

    def __init__(self, name: str, connect: Callable[[], Any]) -> None:
        self._name = name
        self._connect = connect
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._turn: Turn | None = None

    async def call(self, work: Callable[[Any], _T], timeout_s: float | None) -> _T:
        """`work(connection)` in the thread: its result or error.

        OpError "deadline" if it is not done in `timeout_s`. A caller that is cancelled leaves the job running.
        """
        job = self._put(work)
        await asyncio.wait([job.done], timeout=timeout_s)
        if not job.done.done():
            job.dropped = True
            if job.begun:
                self.replace()
            raise OpError("deadline", f"the X server did not answer within {timeout_s} s")
        result: _T = job.done.result()
        return result

    def start(self, work: Callable[[Any], _T]) -> asyncio.Future[_T]:
        """`work(connection)` in the thread, as a future of its result or error; the caller watches the time."""
        return self._put(work).done

    def _put(self, work: Callable[[Any], Any]) -> _Job:
        job = _Job(work)
        self._jobs.put(job)
        if self._turn is None:
            self._start()
        return job

    def tidy(self, work: Callable[[Any], None]) -> None:
        """Call `work(connection)` some time, if there is a connection; whatever comes of it."""
        if self._turn is not None and self._turn.connection is not None:
            self._jobs.put(_Job(work))

    def replace(self) -> None:
        """Leave the present thread and its connection to themselves; a new thread takes what is waiting."""
        turn, self._turn = self._turn, None
        if turn is not None:
            _cut(turn.connection)
        if not self._jobs.empty():
            self._start()

    def close(self) -> None:
        """End the thread and its connection, as soon as its present job is over."""
        self._turn = None
        self._jobs.put(_Job(lambda _: None))

    def _start(self) -> None:
        self._turn = Turn()
        threading.Thread(target=self._work, args=(self._turn,), name=self._name, daemon=True).start()

    def _work(self, turn: Turn) -> None:
        while turn is self._turn:
            job = self._take(turn)
            if job is None or turn is not self._turn:
                if job is not None:
                    self._jobs.put(job)
                break
            if not job.dropped:
                job.begun = True
                try:
                    job.finish(turn.do(self._connect, job.work), None)
                except BaseException as answer:
                    job.finish(None, answer)
        turn.end()

    def _take(self, turn: Turn) -> _Job | None:
        """Wait for the next job; None if there will be none for this turn."""
        return self._jobs.get()


def _as_answer(error: BaseException) -> BaseException:
    """What the caller gets: an OpError wherever one can be made of it."""
    if isinstance(error, OpError):
        return error
    code, message = getattr(error, "code", None), getattr(error, "message", None)
    if isinstance(code, str) and isinstance(message, str):
        code = "unavailable" if code == "no_display" else code.replace("_", "-")
        return OpError(code, message, hint=getattr(error, "hint", None))
    if isinstance(error, OSError) or type(error).__module__.startswith("Xlib."):
        hint = "the desktop session may be starting again"
        return OpError("unavailable", f"the X server is not there: {type(error).__name__}: {error}", hint=hint)
    return error


def _cut(connection: Any) -> None:
    """Cut a connection, so that a thread that hangs on it gets an error."""
    for path in ("display.socket", "display.display.socket", "_connection.display.display.socket"):
        found = connection
        for name in path.split("."):
            found = getattr(found, name, None)
        if isinstance(found, socket.socket):
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)
