"""The thread that looks at one desktop, finds out whether it changed, and lets the lanes encode.

It runs only while there is a lane. What it finds it posts to the event loop; it never waits for it: if the loop lags
behind, looks are skipped. Whatever goes wrong with the source ends up as `stale`, and the last picture stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.screen.encode import Cursor
from desktop_sandbox.screen.framebuffer import Frame
from streamer.cadence import Cadence
from streamer.clock import now_s
from streamer.damage import differs
from streamer.lane import Step
from streamer.packets import EncodedFrame
from streamer.picture import Picture
from streamer.rolling import Rolling
from streamer.sources import Pointer, Source

_log = logging.getLogger(__name__)
_MOST_UNHANDLED = 3


class Listener(Protocol):
    """What the capture thread tells, in the event loop."""

    def frame(self, lane: Step, frame: EncodedFrame) -> None:
        """A lane made a frame."""
        ...

    def pointer(self, pointer: Pointer, cursor: Cursor | None) -> None:
        """The pointer moved; with a cursor: its picture changed too."""
        ...

    def resized(self, width: int, height: int) -> None:
        """The screen has another size (of what is encoded)."""
        ...

    def failed(self, lane: Step, why: str) -> None:
        """A lane cannot go on."""
        ...

    def stale(self, why: str) -> None:
        """The source cannot be read any more."""
        ...


@dataclass
class CaptureFigures:
    """What the thread did."""

    captured: int = 0
    capture_ms: Rolling = field(default_factory=Rolling)


class Capture:
    """One desktop's capture. All methods are the event loop's; none waits for the thread."""

    def __init__(self, name: str, source: Source, fps: int, listener: Listener) -> None:
        self.figures = CaptureFigures()
        self._name = name
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._cadence = Cadence(1 / fps)
        self._lock = threading.Lock()
        self._alarm = threading.Lock()  # held: the thread may sleep. A condition's wait costs twice as much of a core
        self._alarm.acquire()
        self._running = False
        self._thread: threading.Thread | None = None
        self._woken = self._hot = False
        self._lanes: tuple[Step, ...] = ()
        self._source: Source | None = source
        self._next_source: Source | None = None
        self._closed = False
        self._posted = self._handled = 0
        self._picture: Picture | None = None
        self._frame: Frame | None = None
        self._spare: Frame | None = None
        self._turn = 0
        self._pointer: Pointer | None = None
        self._cursor: Cursor | None = None
        self._size = (0, 0)

    @property
    def running(self) -> bool:
        """Whether the thread runs."""
        return self._running

    def set_lanes(self, lanes: Sequence[Step]) -> None:
        """The lanes to serve from now on; the thread begins with the first and ends with the last."""
        with self._lock:
            self._lanes = tuple(lanes)
            self._wake()
            if lanes and not self._running and not self._closed:
                self._running = True
                self._thread = threading.Thread(target=self._run, name=f"capture {self._name}", daemon=True)
                self._thread.start()

    def wake(self, *, hot: bool = False) -> None:
        """Look soon; `hot`: again and again for a moment, until what a key or a click does is there."""
        with self._lock:
            self._hot = self._hot or hot
            self._wake()

    def replace(self, source: Source) -> None:
        """Read from another source from now on."""
        with self._lock:
            unused, self._next_source = self._next_source, source
            if not self._running:
                self._take_source()
            self._wake()
        if unused is not None:
            unused.close()

    def close(self) -> None:
        """End the thread and let go of the source, soon."""
        with self._lock:
            self._closed, self._lanes = True, ()
            self._wake()
            if not self._running:
                self._drop_sources()

    def join(self, timeout_s: float) -> None:
        """Wait for the closed thread's end; blocks. A process must not end while a thread is inside an encoder."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _wake(self) -> None:
        self._woken = True
        if self._alarm.locked():
            self._alarm.release()

    def _take_source(self) -> None:
        if self._next_source is not None:
            old, self._source, self._next_source = self._source, self._next_source, None
            if old is not None:
                old.close()

    def _drop_sources(self) -> None:
        self._take_source()
        if self._source is not None:
            self._source.close()
            self._source = None

    def _run(self) -> None:
        while (lanes := self._await_turn()) is not None:
            try:
                self._look(lanes)
            except Exception as error:  # one desktop's trouble must stay its own
                known = isinstance(error, DesktopSandboxError)
                _log.log(logging.INFO if known else logging.ERROR, "x %s: %s", self._name, error, exc_info=not known)
                self._give_up(str(error))

    def _await_turn(self) -> tuple[Step, ...] | None:
        """Wait until a look is due, and for whom; None once there is nobody to look for: the thread has ended then."""
        while True:
            with self._lock:
                if not self._lanes:
                    self._running = False
                    if self._closed:
                        self._drop_sources()
                    return None
                now = now_s()
                if self._woken:
                    self._cadence.wake(now, hot=self._hot)
                    self._woken = self._hot = False
                pause = self._cadence.wait_s(now)
                if pause <= 0:
                    self._take_source()
                    return self._lanes
            self._alarm.acquire(timeout=pause)

    def _look(self, lanes: tuple[Step, ...]) -> None:
        started = now_s()
        self._cadence.looked(started)
        moved = self._look_at_pointer()
        changed = self._look_at_screen(started)
        if changed:
            self._cadence.changed(started)
        picture = self._picture
        if picture is None or not (changed or moved or self._cadence.turn(started)):
            return
        if moved:
            picture = self._picture = picture.under(self._cursor, started)
        busy = self._posted - self._handled >= _MOST_UNHANDLED
        for lane in lanes:
            news = changed or (moved and lane.burnt)
            if busy:
                lane.skip(news)
            else:
                self._serve(lane, picture, news, started)

    def _serve(self, lane: Step, picture: Picture, changed: bool, now: float) -> None:
        try:
            frame = lane.step(picture, changed, now)
        except Exception as error:  # an encoder's or a file's trouble is not the desktop's
            _log.exception("x %s: %r", self._name, lane)
            self._post(self._listener.failed, lane, f"{type(error).__name__}: {error}")
            return
        if frame is not None:
            self._posted += 1
            self._post(self._deliver, lane, frame)

    def _look_at_pointer(self) -> bool:
        """Whether the cursor moved or changed, which is told at once."""
        pointer = self._source.pointer() if self._source is not None else None
        if self._source is None or pointer is None or pointer is self._pointer or pointer == self._pointer:
            return False
        news = self._pointer is None or pointer.serial != self._pointer.serial
        self._pointer, self._cursor = pointer, self._source.cursor()
        self._post(self._listener.pointer, pointer, self._cursor if news else None)
        return True

    def _look_at_screen(self, started: float) -> bool:
        """Whether the screen changed; then the picture is a new one."""
        if self._source is None:
            return False
        frame = self._frame
        if frame is not None and not self._cadence.whole(started) and self._sampled_same(self._source, frame, started):
            return False
        seen = self._source.read(self._spare)
        captured = now_s()
        self.figures.captured += 1
        self.figures.capture_ms.add((captured - started) * 1000, captured)
        if not differs(frame, seen):
            self._spare = seen
            return False
        self._frame, self._spare = seen, frame
        self._picture = Picture(seen, self._cursor, captured)
        if self._picture.size != self._size:
            self._size = self._picture.size
            self._post(self._listener.resized, *self._size)
        return True

    def _sampled_same(self, source: Source, frame: Frame, started: float) -> bool:
        samples = self._cadence.samples(started)
        self._turn -= self._turn % samples  # only four turns that begin with such a one are evenly spread
        for _ in range(samples):
            if not source.same_rows(frame, self._turn):
                return False
            self._turn += 1
        return True

    def _give_up(self, why: str) -> None:
        with self._lock:
            broken, self._source = self._source, None
        if broken is not None:
            broken.close()
            self._post(self._listener.stale, why)

    def _deliver(self, lane: Step, frame: EncodedFrame) -> None:
        self._handled += 1
        self._listener.frame(lane, frame)

    def _post(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the process with it
            self._loop.call_soon_threadsafe(call, *arguments)
