"""Create from the warm pool: from the call to the first action done, when a desktop stands ready."""

from __future__ import annotations

import time

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.bench.create import FIRST_CLICK, LIFETIME_S
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.server import Place
from desktop_sandbox.errors import ServerError

POOL = {"DESKTOP_SANDBOX_WARM_POOL": "2"}
_READY_S = 120.0


def measure_pool(place: Place, template: str, counts: Counts, bar: Bar) -> list[Figure]:
    """Each create waits first until one stands ready. Raises ServerError where none comes."""
    call: list[float] = []
    acted: list[float] = []

    def make() -> Sandbox:
        return Sandbox.create(template, timeout=LIFETIME_S, **place.client)

    with Host.connect(**place.client) as host:
        make().kill()
        for turn in range(counts.creates):
            bar.say("create from the warm pool", f"{turn + 1} of {counts.creates}")
            _wait(host)
            began = time.perf_counter()
            with make() as sandbox:
                call.append((time.perf_counter() - began) * 1000)
                sandbox.left_click(*FIRST_CLICK)
                acted.append((time.perf_counter() - began) * 1000)
            bar.tick()
    return [
        Figure("pool.create", "create from the warm pool: the call", "ms", call),
        Figure("pool.acted", "create from the warm pool → first action done", "ms", acted),
    ]


def _wait(host: Host) -> None:
    deadline = time.monotonic() + _READY_S
    while host.usage()["sandboxes"]["ready"] == 0:
        if time.monotonic() > deadline:
            raise ServerError(f"no desktop stands ready after {_READY_S:.0f} s", hint="is there memory to spare?")
        time.sleep(0.2)
