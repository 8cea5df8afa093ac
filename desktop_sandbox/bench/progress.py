"""Shows a person how far a benchmark is: a bar on stderr, or plain lines where that is no terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


class Bar:
    """One bar over the whole benchmark, in ticks of roughly equal worth."""

    def __init__(self, ticks: int) -> None:
        console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("bench"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        # drawn four times a second at most: a bar must not be what is measured
        self._progress = Progress(
            *columns, console=console, transient=True, refresh_per_second=4, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", total=ticks)
        self._last = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, what: str, detail: str = "") -> None:
        """What is measured now; details are for the bar only."""
        self._progress.update(self._task, description=f"{what}, {detail}" if detail else what)
        if self._progress.disable and what != self._last:
            print(f"bench: {what}", file=sys.stderr, flush=True)
        self._last = what

    def tick(self, ticks: float = 1) -> None:
        """A piece of the work is done."""
        self._progress.advance(self._task, ticks)
