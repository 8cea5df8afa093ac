"""How many desktops fit: made one after another until the host refuses or there are enough; then all are asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from desktop_sandbox import CapacityError, DesktopSandboxError, Host, Sandbox
from desktop_sandbox.bench.create import FIRST_CLICK, LIFETIME_S
from desktop_sandbox.bench.figures import Figure
from desktop_sandbox.bench.host import machine_pids, memory_mb
from desktop_sandbox.bench.options import Counts
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.server import Place

USUAL_CROWD = 150
ROOMY = {"DESKTOP_SANDBOX_MAX_SANDBOXES": "100000"}
"""Settings of a server that refuses for want of room only."""
_FREEZE_AFTER_S = 2.0
_ALL_FROZEN_S = 240.0


@dataclass(frozen=True)
class Standing:
    """How a crowd stands: so many still, in memory, and so many gone to disk, since memory was short."""

    frozen: int
    away: int


def measure_crowd(place: Place, template: str, counts: Counts, bar: Bar) -> list[Figure]:
    """How many stood until the host refused, memory of each (PSS) then, and how long each takes to answer."""
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(Host.connect(**place.client))
        before = host.usage()["memory"]["available_mib"]
        crowd: list[Sandbox] = []
        created: list[float] = []

        def make() -> None:
            bar.say("a crowd", f"{len(crowd) + 1} of {counts.crowd or 'as many as fit'}")
            began = time.perf_counter()
            one = _create(place, template)
            created.append((time.perf_counter() - began) * 1000)
            crowd.append(stack.enter_context(one))
            bar.tick(len(crowd) <= (counts.crowd or USUAL_CROWD))

        refused = fill(make, lambda: _stand_still(host, crowd, bar), counts.crowd)
        if refused is not None:
            bar.say(f"a crowd: no more fit: {refused}")
        standing = _stand_still(host, crowd, bar)
        here = [pids for one in crowd if (pids := machine_pids(one))]
        memory = [memory_mb(pids) for pids in here]
        taken = (before - host.usage()["memory"]["available_mib"]) * 1024**2 / 1e6
        answered, silent = _ask_all(crowd, bar)
        until = "until the host refused" if refused is not None else "until there were enough"
        return [
            Figure("crowd.count", f"desktops at once, {until}", "desktops", [len(crowd)]),
            Figure("crowd.frozen", "… of them standing still in memory", "desktops", [standing.frozen]),
            Figure("crowd.away", "… of them on disk, since memory was short", "desktops", [standing.away]),
            Figure("crowd.create", "create while there are ever more: the call", "ms", created),
            *([Figure("crowd.memory", "memory of each (PSS), standing still", "MB", memory)] if memory else []),
            Figure("crowd.taken", "what the host has less for each", "MB", [taken / len(crowd)]),
            *(
                [Figure("crowd.answered", "a click in one that stood still, in turn", "ms", answered)]
                if answered
                else []
            ),
            Figure("crowd.silent", "… of them that did not answer", "desktops", [silent]),
        ]


def fill(make: Callable[[], object], stand_still: Callable[[], Standing], most: int | None) -> str | None:
    """Make desktops until there are `most`, or there is no room even when all stand still: then what the host said.

    Room is kept for those that have just begun, so there may be some once all stand still. But where desktops have
    gone to disk by then, those made of their room would be no crowd. Raises CapacityError where not even one fits.
    """
    made = 0
    while most is None or made < most:
        try:
            make()
        except CapacityError as error:
            if made == 0:
                raise
            if stand_still().away:
                return error.message
            try:
                make()
            except CapacityError as still:
                return still.message
        made += 1
    return None


def _create(place: Place, template: str) -> Sandbox:
    return Sandbox.create(
        template,
        timeout=4 * LIFETIME_S,
        freeze_after=_FREEZE_AFTER_S,
        **place.client,
    )


def _stand_still(host: Host, crowd: Sequence[Sandbox], bar: Bar) -> Standing:
    """Wait until all that are in memory stand still, for some minutes at most; how they stand then."""
    deadline = time.monotonic() + _ALL_FROZEN_S
    while True:
        now = host.usage()["sandboxes"]
        away = max(0, len(crowd) - int(now["running"]))
        frozen = int(now["frozen"])
        bar.say("until they stand still", f"{frozen} of {len(crowd)}, {away} on disk")
        if frozen + away >= len(crowd) or time.monotonic() > deadline:
            return Standing(frozen, away)
        time.sleep(1)


def _ask_all(crowd: Sequence[Sandbox], bar: Bar) -> tuple[list[float], int]:
    """Milliseconds of a click in each in turn, and how many did not answer."""
    answered: list[float] = []
    for number, one in enumerate(crowd):
        bar.say("all answer in turn", f"{number + 1} of {len(crowd)}")
        began = time.perf_counter()
        try:
            one.left_click(*FIRST_CLICK)
        except DesktopSandboxError as error:
            bar.say(f"one of the crowd does not answer: {error.message}")
        else:
            answered.append((time.perf_counter() - began) * 1000)
    return answered, len(crowd) - len(answered)
