"""`python -m bench.gym`: resets and steps a second of Gymnasium environments with 1, 4 and 16 desktops.

A step is one click and the image after it (not waited for) at a quarter of the sides. Client, server,
machines and guests share this host's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from desktop_sandbox.bench.server import server
from desktop_sandbox.gym import DesktopVectorEnv, Task

CLICK = {"type": "click", "x": 700, "y": 500}


def rounds(work: Callable[[], object], seconds: float, least: int) -> list[float]:
    """How long each call took, for `seconds` and at least `least` of them."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(took) < least:
        began = time.monotonic()
        work()
        took.append(time.monotonic() - began)
    return took


def measure(count: int, options: argparse.Namespace, **place: Any) -> dict[str, Any]:
    """Figures of `count` desktops: the first reset, later resets, steps, and steps that wait for a still screen."""
    task = Task("bench", template=options.template)
    env = DesktopVectorEnv(count, task, scale=0.25, settle_ms=0, **place)
    try:
        began = time.monotonic()
        env.reset(seed=1)
        first_s = time.monotonic() - began
        batches = [[CLICK]] * count
        env.step(batches)
        steps = rounds(lambda: env.step(batches), options.seconds, 5)
        resets = rounds(env.reset, options.seconds, 3)
    finally:
        env.close()
    return {
        "desktops": count,
        "first_reset_s": round(first_s, 3),
        "reset_s": round(statistics.median(resets), 3),
        "resets_per_s": round(count * len(resets) / sum(resets), 2),
        "step_ms": round(statistics.median(steps) * 1000, 1),
        "steps_per_s": round(count * len(steps) / sum(steps), 1),
    }


def main() -> None:
    """Measure, print a table, and write JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--template", default="desktop")
    parser.add_argument("--desktops", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=8.0, help="how long resets and steps are each repeated")
    parser.add_argument("--url", help="a server that runs already, instead of one of our own")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    found = []
    with server(options.url) as place, Progress(transient=True) as progress:
        bar = progress.add_task("desktops", total=len(options.desktops))
        for count in options.desktops:
            progress.update(bar, description=f"{count} desktops")
            found.append(measure(count, options, **place.client))
            progress.advance(bar)
    table = Table(title=f"Gymnasium on {options.template}, {os.cpu_count()} cores, load {load:.2f} at the begin")
    for name in found[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in found:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=120).print(table)
    if options.json is not None:
        options.json.write_text(
            json.dumps({"template": options.template, "load": load, "figures": found}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
