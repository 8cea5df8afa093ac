"""From the call to the first action done: one desktop after another, and many at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from desktop_sandbox import AsyncSandbox, Sandbox
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.server import Place

FIRST_CLICK = (640, 400)
LIFETIME_S = 1800.0


class CreateBench:
    """Times creates, and keeps their stages where they are asked for."""

    def __init__(self, place: Place, template: str, counts: Counts, bar: Bar, *, profile: bool) -> None:
        self._place = place
        self._template = template
        self._counts = counts
        self._bar = bar
        self._profile = profile
        self.stages: list[dict[str, float]] = []

    def run(self) -> list[Figure]:
        """Measure; the first create, which loads the template's memory, is not counted."""
        self._bar.say("a first desktop (not counted)")
        self._create()
        self.stages.clear()
        self._bar.tick()
        one: list[float] = []
        for turn in range(self._counts.creates):
            self._bar.say("create to first action", f"{turn + 1} of {self._counts.creates}")
            one.append(self._create())
            self._bar.tick()
        self._bar.say(f"{self._counts.at_once} creates at once")
        each, together = asyncio.run(self._at_once())
        self._bar.tick(4)
        many = self._counts.at_once
        return [
            Figure("create.one", "create → first action done, one after another", "ms", one, "usual.boot"),
            Figure("create.at_once.each", f"create → first action done, {many} at once: each", "ms", each),
            Figure("create.at_once.all", f"create → first action done, {many} at once: all", "ms", [together]),
        ]

    def _create(self) -> float:
        began = time.perf_counter()
        with Sandbox.create(self._template, timeout=LIFETIME_S, **self._place.client) as sandbox:
            created = time.perf_counter()
            sandbox.left_click(*FIRST_CLICK)
            acted = time.perf_counter()
            if self._profile:
                self.stages.append(stages(sandbox.why(), (created - began) * 1000, (acted - created) * 1000))
        return (acted - began) * 1000

    async def _at_once(self) -> tuple[list[float], float]:
        """Milliseconds of each, and until all were done."""
        made: list[AsyncSandbox] = []
        took: list[float] = []

        async def one() -> None:
            began = time.perf_counter()
            sandbox = await AsyncSandbox.create(self._template, timeout=LIFETIME_S, **self._place.client)
            made.append(sandbox)
            await sandbox.left_click(*FIRST_CLICK)
            took.append((time.perf_counter() - began) * 1000)

        began = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._counts.at_once):
                    tasks.create_task(one())
            together = (time.perf_counter() - began) * 1000
        finally:
            await asyncio.gather(*(sandbox.kill() for sandbox in made))
        return took, together


def stages(why: dict[str, Any], create_ms: float, action_ms: float) -> dict[str, float]:
    """One create's time by stage, in milliseconds; what neither server nor guest accounts for is `request`."""
    noted: dict[str, float] = {}
    for event in why["events"]:
        noted |= event["data"].get("stages_ms", {})
    return {**noted, "request": max(0.0, create_ms - sum(noted.values())), "first action": action_ms}
