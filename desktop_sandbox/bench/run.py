"""One run of the benchmark from its options to its report."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.bench.create import LIFETIME_S, CreateBench
from desktop_sandbox.bench.crowd import ROOMY, USUAL_CROWD, measure_crowd
from desktop_sandbox.bench.desk import DeskBench
from desktop_sandbox.bench.eyes import EyesBench
from desktop_sandbox.bench.host import host_facts, machine_pids, settle
from desktop_sandbox.bench.keyboard import KeyboardBench
from desktop_sandbox.bench.live import measure_live
from desktop_sandbox.bench.options import Counts, Options
from desktop_sandbox.bench.pool import POOL, measure_pool
from desktop_sandbox.bench.progress import Bar
from desktop_sandbox.bench.report import Results, tell
from desktop_sandbox.bench.server import Place, server
from desktop_sandbox.bench.siblings import Siblings
from desktop_sandbox.bench.snapshots import SnapshotBench
from desktop_sandbox.bench.soak import measure_soak
from desktop_sandbox.bench.steps import measure_steps
from desktop_sandbox.bench.usual import measure_usual

_ON_ONE = {"screenshot", "action", "typing", "eyes", "steps"}


def run(options: Options) -> int:
    """Measure all groups that are asked for, and tell as `tell` does; 0."""
    began = time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    with Bar(ticks_of(options)) as bar:
        bar.say("starting" if options.url is None else f"connecting to {options.url}")
        with server(options.url, ROOMY if "crowd" in options.groups else None) as place:
            _build(options.template, place, bar)
            load = os.getloadavg()[0]
            results = Results(options.template, started_at, options.quick, host_facts(place), [load])
            _measure(options, place, bar, results)
        if "pool" in options.groups and options.url is None:
            with server(None, POOL) as place:
                results.figures += measure_pool(place, options.template, options.counts, bar)
    results.load.append(os.getloadavg()[0])
    results.seconds = time.monotonic() - began
    tell(results, options.json)
    return 0


def _build(template: str, place: Place, bar: Bar) -> None:
    """Have the template built where it is not: minutes that are nobody's create."""
    with Host.connect(**place.client) as host:
        for step in host.build_template(template):
            if step.step != "done":
                bar.say(f"building the template: {step.step}", step.message)


def _measure(options: Options, place: Place, bar: Bar, results: Results) -> None:
    counts, template = options.counts, options.template
    if "create" in options.groups:
        create = CreateBench(place, template, counts, bar, profile=options.profile)
        results.figures += create.run()
        results.stages = create.stages
    if _ON_ONE & set(options.groups):
        _measure_desk(options, place, bar, results)
    if "snapshots" in options.groups:
        results.figures += SnapshotBench(place, template, counts, bar).run()
        if place.pid is not None:  # else the desktops are another host's, and nothing could be compared
            results.figures += measure_usual(template, counts, bar)
    if "live" in options.groups:
        results.figures += measure_live(place, template, counts, bar)
    if "crowd" in options.groups:
        results.figures += measure_crowd(place, template, counts, bar)
    if "soak" in options.groups:
        results.figures += measure_soak(place, template, counts, bar)
    if {"steps", "memory"} & set(options.groups):
        with Siblings(place, template, counts, bar).alive() as siblings:
            if "memory" in options.groups:
                results.figures += siblings.measure()
            if "steps" in options.groups:
                bar.say(f"steps on {counts.siblings} desktops")
                names = [sandbox.sandbox_id for sandbox in siblings.sandboxes]
                results.figures += measure_steps(place, names, counts.steps_s)
                bar.tick()


def _measure_desk(options: Options, place: Place, bar: Bar, results: Results) -> None:
    """What is measured on one desktop that has come to rest."""
    counts = options.counts
    with Sandbox.create(options.template, timeout=LIFETIME_S, **place.client) as sandbox:
        bar.say("a desktop comes to rest")
        settle(machine_pids(sandbox), counts.settle_s)
        bar.tick(2)
        desk = DeskBench(sandbox, counts, bar)
        if "screenshot" in options.groups:
            results.figures += desk.screenshots()
        if "action" in options.groups:
            results.figures += desk.actions(profile=options.profile)
        if "typing" in options.groups:
            results.figures += KeyboardBench(sandbox, counts, bar).run()
        if "eyes" in options.groups:
            results.figures += EyesBench(sandbox, counts, bar).run()
        if "steps" in options.groups:
            bar.say("steps on 1 desktop")
            results.figures += measure_steps(place, [sandbox.sandbox_id], counts.steps_s)
            bar.tick()


def ticks_of(options: Options) -> int:
    """How many ticks the bar gets from all groups that are asked for."""
    counts: Counts = options.counts
    groups = set(options.groups)
    ticks = counts.creates + 5 if "create" in groups else 0
    ticks += counts.usual * len(groups & {"screenshot", "action"})
    if groups & _ON_ONE:
        ticks += 2
    if groups & {"steps", "memory"}:
        ticks += counts.siblings
    if "snapshots" in groups:
        ticks += counts.saves + len(counts.forks)
        ticks += 1 + counts.usual_saves if options.url is None else 0
    if "pool" in groups and options.url is None:
        ticks += counts.creates
    if "live" in groups:
        ticks += len(counts.live)
    if "crowd" in groups:
        ticks += counts.crowd or USUAL_CROWD
    if "soak" in groups:
        ticks += counts.soak_pauses + counts.soak_creates
    return (
        ticks + 3 * ("typing" in groups) + 5 * ("eyes" in groups) + 2 * ("steps" in groups) + 4 * ("memory" in groups)
    )
