"""How long the stages of making a sandbox take, for `why` and the benchmark. Only measures; decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar


class Stopwatch:
    """Splits a stretch of time into named stages, one after another."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.stages_ms: dict[str, float] = {}

    def mark(self, stage: str) -> None:
        """End the stage `stage`, which began where the one before ended; the same name again adds up."""
        now = self._clock()
        spent_ms = (now - self._last) * 1000
        self.stages_ms[stage] = round(self.stages_ms.get(stage, 0.0) + spent_ms, 2)
        self._last = now


_running: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


def start_stopwatch() -> Stopwatch:
    """A stopwatch that the marks of this task, and of tasks and threads it starts, go to."""
    stopwatch = Stopwatch()
    _running.set(stopwatch)
    return stopwatch


def mark(stage: str) -> None:
    """End a stage on this task's stopwatch, if it has one."""
    stopwatch = _running.get()
    if stopwatch is not None:
        stopwatch.mark(stage)
