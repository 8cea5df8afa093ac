"""What each further desktop costs: memory (PSS) and idle processor time of several siblings from one template."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from desktop_sandbox import Sandbox
from desktop_sandbox.bench.create import FIRST_CLICK, LIFETIME_S
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.host import cpu_s, machine_pids, memory_mb
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.server import Place


class Siblings:
    """Several desktops alive at once; made, measured and ended by `with`."""

    def __init__(self, place: Place, template: str, counts: Counts, bar: Bar) -> None:
        self._place = place
        self._template = template
        self._counts = counts
        self._bar = bar
        self._stack = contextlib.ExitStack()
        self.sandboxes: list[Sandbox] = []
        self._pids: list[list[int]] = []
        self._alone_mb = 0.0

    @contextlib.contextmanager
    def alive(self) -> Iterator[Siblings]:
        """Make them, one after another; end them at the block's end."""
        with self._stack:
            for turn in range(self._counts.siblings):
                self._bar.say("siblings", f"{turn + 1} of {self._counts.siblings}")
                self._add()
                if turn == 0:
                    self._alone_mb = memory_mb(self._pids[0])
                self._bar.tick()
            yield self

    def _add(self) -> None:
        sandbox = Sandbox.create(self._template, timeout=LIFETIME_S, **self._place.client)
        self.sandboxes.append(self._stack.enter_context(sandbox))
        self._pids.append(machine_pids(sandbox))

    def measure(self) -> list[Figure]:
        """Memory right after create, after some idle time, and after a first click and look; idle processor share.

        Empty where the machines' processes are on another host.
        """
        if not all(self._pids):
            self._bar.say("memory is left out: the machines run on another host")
            return []
        fresh = self._further_mb()
        before, began = [cpu_s(pids) for pids in self._pids], time.monotonic()
        self._bar.say(f"{self._counts.siblings} desktops idle for {self._counts.idle_s:.0f} s")
        for _ in range(4):
            time.sleep(self._counts.idle_s / 4)
            self._bar.tick()
        elapsed_s = time.monotonic() - began
        shares = [(cpu_s(pids) - was) / elapsed_s * 100 for pids, was in zip(self._pids, before, strict=True)]
        idle = self._further_mb()
        for sandbox in self.sandboxes:
            sandbox.left_click(*FIRST_CLICK)
            sandbox.screenshot()
        used = self._further_mb()
        after = f"after {self._counts.idle_s:.0f} s of idleness"
        return [
            Figure("memory.first", "memory of one desktop alone, right after create", "MB", [self._alone_mb]),
            Figure("memory.further", "memory for each further desktop, right after create", "MB", [fresh]),
            Figure("memory.further.idle", f"memory for each further desktop, {after}", "MB", [idle]),
            Figure(
                "memory.further.used", "memory for each further desktop, after a click and a screenshot", "MB", [used]
            ),
            Figure("cpu.idle", "processor share of an idle desktop, from its create on", "% of a core", shares),
        ]

    def _further_mb(self) -> float:
        """What all of them take together, less what one took alone, for each of the others."""
        together = sum(memory_mb(pids) for pids in self._pids)
        return (together - self._alone_mb) / max(1, len(self._pids) - 1)
