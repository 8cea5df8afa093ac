"""How many desktops fit: made one after another until there is no room or there are enough; all answer afterwards."""

from __future__ import annotations

import contextlib
import time

from desktop_sandbox import CapacityError, Host, Sandbox
from desktop_sandbox.bench.create import FIRST_CLICK, LIFETIME_S
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.host import machine_pids, memory_mb
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.server import Place

_FREEZE_AFTER_S = 2.0
_ALL_FROZEN_S = 240.0


def measure_crowd(place: Place, template: str, counts: Counts, bar: Bar) -> list[Figure]:
    """Memory of each (PSS) while all stand still, and how long each takes to answer then."""
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(Host.connect(**place.client))
        before = host.usage()["memory"]["available_mib"]
        crowd: list[Sandbox] = []
        created: list[float] = []
        for turn in range(counts.crowd):
            bar.say("a crowd", f"{turn + 1} of {counts.crowd}")
            began = time.perf_counter()
            try:
                one = _create(place, template)
            except CapacityError:
                # room is kept for those that have just begun: there may be some once all stand still
                _wait_until_frozen(host, len(crowd), bar)
                began = time.perf_counter()
                try:
                    one = _create(place, template)
                except CapacityError as error:
                    bar.say("a crowd: no more fit", error.message)
                    break
            created.append((time.perf_counter() - began) * 1000)
            crowd.append(stack.enter_context(one))
            bar.tick()
        frozen = _wait_until_frozen(host, len(crowd), bar)
        memory = [memory_mb(machine_pids(one)) for one in crowd]
        taken = (before - host.usage()["memory"]["available_mib"]) * 1024**2 / 1e6
        answered: list[float] = []
        for number, one in enumerate(crowd):
            bar.say("all answer in turn", f"{number + 1} of {len(crowd)}")
            began = time.perf_counter()
            one.left_click(*FIRST_CLICK)
            answered.append((time.perf_counter() - began) * 1000)
        return [
            Figure("crowd.count", "desktops at once", "desktops", [len(crowd)]),
            Figure("crowd.frozen", "… of them standing still", "desktops", [frozen]),
            Figure("crowd.create", "create while there are ever more: the call", "ms", created),
            Figure("crowd.memory", "memory of each (PSS), standing still", "MB", memory),
            Figure("crowd.taken", "what the host has less for each", "MB", [taken / len(crowd)]),
            Figure("crowd.answered", "a click in one that stood still, in turn", "ms", answered),
        ]


def _create(place: Place, template: str) -> Sandbox:
    return Sandbox.create(
        template,
        timeout=4 * LIFETIME_S,
        freeze_after=_FREEZE_AFTER_S,
        **place.client,
    )


def _wait_until_frozen(host: Host, count: int, bar: Bar) -> int:
    deadline = time.monotonic() + _ALL_FROZEN_S
    while True:
        frozen = int(host.usage()["sandboxes"]["frozen"])
        bar.say("until they stand still", f"{frozen} of {count}")
        if frozen >= count or time.monotonic() > deadline:
            return frozen
        time.sleep(1)
