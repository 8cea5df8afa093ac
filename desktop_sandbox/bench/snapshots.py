"""A desktop as a value: checkpoint, roll back, pause and resume, fork. What was saved for it is removed in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.bench.create import FIRST_CLICK, LIFETIME_S
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.host import machine_pids, memory_mb, settle
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.server import Place

CLICK = {"type": "click", "x": FIRST_CLICK[0], "y": FIRST_CLICK[1]}
FEW = 16
"""Forks into more are done once: they take long."""
CROWD_S = 300.0
"""How long a child's first click may take: 64 of them share what processors there are."""


class SnapshotBench:
    """Times what is done to one desktop that has come to rest."""

    def __init__(self, place: Place, template: str, counts: Counts, bar: Bar) -> None:
        self._place = place
        self._template = template
        self._counts = counts
        self._bar = bar

    def run(self) -> list[Figure]:
        """Measure."""
        place = self._place
        with (
            Host.connect(**place.client) as host,
            Sandbox.create(self._template, timeout=LIFETIME_S, **place.client) as desktop,
        ):
            self._bar.say("a desktop comes to rest")
            desktop.left_click(*FIRST_CLICK)
            settle(machine_pids(desktop), self._counts.settle_s)
            try:
                return [*self._saves(desktop), *self._forks(desktop)]
            finally:
                for snapshot in reversed([one for one in host.snapshots() if one.sandbox_id == desktop.sandbox_id]):
                    host.delete_snapshot(snapshot)

    def _saves(self, desktop: Sandbox) -> list[Figure]:
        stopped: list[float] = []
        whole: list[float] = []
        back: list[float] = []
        paused: list[float] = []
        resumed: list[float] = []
        for turn in range(self._counts.saves):
            self._bar.say("checkpoint, roll back, pause, resume", f"{turn + 1} of {self._counts.saves}")
            desktop.left_click(*FIRST_CLICK)
            began = time.perf_counter()
            snapshot = desktop.checkpoint()
            whole.append((time.perf_counter() - began) * 1000)
            stopped.append(snapshot.stopped_ms)
            back.append(took_ms(lambda kept=snapshot: desktop.rollback(kept)))  # type: ignore[misc]
            paused.append(took_ms(desktop.pause))
            resumed.append(took_ms(lambda: (desktop.resume(), desktop.get_cursor_position())))
            self._bar.tick()
        return [
            Figure("checkpoint.stopped", "checkpoint: the desktop stands still", "ms", stopped, "usual.savevm"),
            Figure("checkpoint.done", "checkpoint: the call", "ms", whole),
            Figure("rollback", "rollback: the call", "ms", back, "usual.loadvm"),
            Figure("pause", "pause: the call", "ms", paused, "usual.migrate"),
            Figure("resume", "resume → first answer", "ms", resumed, "usual.incoming"),
        ]

    def _forks(self, desktop: Sandbox) -> list[Figure]:
        figures: list[Figure] = []
        for count in self._counts.forks:
            turns = self._counts.fork_turns if count <= FEW else 1
            made: list[float] = []
            acted: list[float] = []
            memory: list[float] = []
            for turn in range(turns):
                self._bar.say(f"fork into {count}", f"{turn + 1} of {turns}")
                settle(machine_pids(desktop), self._counts.settle_s)
                self._fork(desktop, count, made, acted, memory)
            self._bar.tick()
            figures += [
                Figure(f"fork.{count}.made", f"fork into {count}: the call", "ms", made),
                Figure(f"fork.{count}.acted", f"fork into {count} → all have clicked", "ms", acted),
            ]
            if memory:
                figures.append(
                    Figure(f"fork.{count}.memory", f"fork into {count}: memory of each, after its click", "MB", memory)
                )
        return figures

    def _fork(self, desktop: Sandbox, count: int, made: list[float], acted: list[float], memory: list[float]) -> None:
        began = time.perf_counter()
        children = desktop.fork(count, timeout=LIFETIME_S)
        try:
            made.append((time.perf_counter() - began) * 1000)
            with ThreadPoolExecutor(count) as threads:
                list(threads.map(lambda child: child.act([CLICK], timeout=CROWD_S), children))
            acted.append((time.perf_counter() - began) * 1000)
            pids = [machine_pids(child) for child in children]
            if all(pids):
                memory.append(sum(memory_mb(each) for each in pids) / count)
        finally:
            for child in children:
                child.kill()


def took_ms(call: Callable[[], object]) -> float:
    """How long a call takes, in milliseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000
