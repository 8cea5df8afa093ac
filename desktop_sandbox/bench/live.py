"""How many desktops can be awake, each acted on once a second, while an action's p95 stays under a limit."""

from __future__ import annotations

import asyncio
import contextlib
import time

from desktop_sandbox import AsyncSandbox, CapacityError, Sandbox
from desktop_sandbox.bench.create import FIRST_CLICK, LIFETIME_S
from desktop_sandbox.bench.figures import Figure, quantile
from desktop_sandbox.bench.host import machine_pids, settle
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.server import Place

LIMIT_MS = 50.0
_EVERY_S = 1.0


def measure_live(place: Place, template: str, counts: Counts, bar: Bar) -> list[Figure]:
    """Clicks on ever more desktops, none of which may stand still, until their p95 is above the limit."""
    figures: list[Figure] = []
    most = 0
    with contextlib.ExitStack() as stack:
        desktops: list[Sandbox] = []
        for many in counts.live:
            try:
                while len(desktops) < many:
                    bar.say("awake desktops", f"{len(desktops) + 1} of {many}")
                    one = Sandbox.create(template, timeout=4 * LIFETIME_S, freeze_after=0, **place.client)
                    desktops.append(stack.enter_context(one))
            except CapacityError as error:
                bar.say("awake desktops: no more fit", error.message)
                break
            settle(machine_pids(desktops[-1]), counts.settle_s)
            bar.say("a click a second in each", f"{many} desktops")
            took = asyncio.run(_all(place, [one.sandbox_id for one in desktops], counts.steps_s))
            bar.tick()
            name = "1 awake desktop" if many == 1 else f"each of {many} awake desktops"
            figures.append(Figure(f"live.{many}.click", f"a click a second in {name}", "ms", took))
            if quantile(took, 0.95) > LIMIT_MS:
                break
            most = many
    figures.append(
        Figure("live.count", f"desktops awake at once, a click's p95 under {LIMIT_MS:g} ms", "desktops", [most])
    )
    return figures


async def _all(place: Place, sandbox_ids: list[str], seconds: float) -> list[float]:
    took: list[float] = []
    async with contextlib.AsyncExitStack() as stack:
        desktops = []
        for sandbox_id in sandbox_ids:
            desktops.append(await AsyncSandbox.connect(sandbox_id, **place.client))
            stack.push_async_callback(desktops[-1].aclose)
        for desktop in desktops:
            await desktop.left_click(*FIRST_CLICK)

        async def work(desktop: AsyncSandbox, first: float) -> None:
            await asyncio.sleep(first)
            deadline = time.perf_counter() + seconds
            while (began := time.perf_counter()) < deadline:
                await desktop.left_click(*FIRST_CLICK)
                took.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(max(0.0, _EVERY_S - (time.perf_counter() - began)))

        async with asyncio.TaskGroup() as tasks:
            for number, desktop in enumerate(desktops):
                tasks.create_task(work(desktop, number * _EVERY_S / len(desktops)))
    return took
