"""Desktop steps: one action and one look at the screen, as an agent's loop does them, on one desktop and on many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from desktop_sandbox import AsyncSandbox
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.server import Place


def measure_steps(place: Place, sandbox_ids: Sequence[str], seconds: float) -> list[Figure]:
    """Steps a second on all these desktops together, and milliseconds of each step."""
    took, elapsed_s = asyncio.run(_all(place, sandbox_ids, seconds))
    many = len(sandbox_ids)
    name = "1 desktop" if many == 1 else f"{many} desktops"
    return [
        Figure(
            f"steps.{many}.rate", f"click and JPEG screenshot, {name}: steps a second", "/s", [len(took) / elapsed_s]
        ),
        Figure(f"steps.{many}.step", f"click and JPEG screenshot, {name}: each step", "ms", took),
    ]


async def _all(place: Place, sandbox_ids: Sequence[str], seconds: float) -> tuple[list[float], float]:
    took: list[float] = []
    desktops = [await AsyncSandbox.connect(sandbox_id, **place.client) for sandbox_id in sandbox_ids]

    async def step(desktop: AsyncSandbox, turn: int) -> None:
        await desktop.left_click(300 + turn * 37 % 600, 250 + turn * 53 % 400)
        await desktop.screenshot(format="jpeg", quality=80)

    async def work(desktop: AsyncSandbox, deadline: float) -> None:
        turn = 0
        while time.perf_counter() < deadline:
            began = time.perf_counter()
            await step(desktop, turn)
            took.append((time.perf_counter() - began) * 1000)
            turn += 1

    try:
        await asyncio.gather(*(step(desktop, 0) for desktop in desktops))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for desktop in desktops:
                tasks.create_task(work(desktop, began + seconds))
        return took, time.perf_counter() - began
    finally:
        for desktop in desktops:
            await desktop.aclose()
