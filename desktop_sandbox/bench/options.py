"""The options of `desktop-sandbox bench`, and how often each thing is measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

GROUPS = (
    "create", "screenshot", "action", "typing", "eyes", "steps", "memory", "snapshots", "pool", "live", "crowd", "soak",
)  # fmt: skip
LONG = ("live", "crowd", "soak")
"""Measured only where they are asked for: they take minutes and much of the host's memory."""
STDOUT = Path("-")
"""In place of a file: JSON, and nothing else, goes to stdout."""


@dataclass(frozen=True)
class Counts:
    """How often, how many, how long."""

    creates: int = 10
    at_once: int = 20
    looks: int = 60
    usual: int = 12
    """Calls of scrot and of xdotool, which take far longer."""
    steps_s: float = 8.0
    siblings: int = 8
    idle_s: float = 30.0
    settle_s: float = 25.0
    saves: int = 10
    usual_saves: int = 3
    """Of QEMU's own ways to save a machine, which take seconds."""
    forks: Sequence[int] = (1, 4, 16, 64)
    fork_turns: int = 5
    live: Sequence[int] = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)
    crowd: int | None = None
    """At most so many; None: until the host refuses."""
    soak_pauses: int = 100
    soak_creates: int = 1000
    soak_forks: int = 500


QUICK = Counts(
    creates=3, at_once=4, looks=10, usual=2, steps_s=2.0, siblings=2, idle_s=3.0, settle_s=6.0, saves=2, usual_saves=1,
    forks=(2,), fork_turns=1, live=(1, 2), crowd=4, soak_pauses=4, soak_creates=4, soak_forks=4,
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What a run of the benchmark is to do. `url` None: with a server of its own."""

    template: str
    counts: Counts
    groups: Sequence[str]
    url: str | None
    json: Path | None
    profile: bool
    quick: bool = False


def parse(argv: Sequence[str]) -> Options:
    """Read the command line. Ends the program with exit code 2 where it is wrong, 0 after --help."""
    parser = argparse.ArgumentParser(
        prog="desktop-sandbox bench",
        description="Measure desktops through the SDK, side by side with scrot and xdotool in the same guest.",
    )
    parser.add_argument("--template", default="desktop", help="what to create desktops from (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few samples: to see that it works, not to quote")
    parser.add_argument("--only", action="append", choices=GROUPS, help="measure only this; repeatable")
    parser.add_argument(
        "--profile", action="store_true", help="split a create and an action into what they are made of"
    )
    parser.add_argument(
        "--crowd", type=_positive, metavar="N", help="end the crowd at N desktops (default: when the host refuses more)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=STDOUT,
        metavar="FILE",
        help="write all samples there, too; without FILE print them alone",
    )
    parser.add_argument("--url", help="measure a server that runs already (default: start one, and end it)")
    found = parser.parse_args(list(argv))
    wanted = found.only or [group for group in GROUPS if group not in LONG]
    groups = [group for group in GROUPS if group in wanted]
    if found.profile and not {"create", "action"} & set(groups):
        parser.error("--profile is about creates and actions: add --only create or --only action")
    if found.crowd is not None and "crowd" not in groups:
        parser.error("--crowd is about the crowd: add --only crowd")
    counts = QUICK if found.quick else Counts()
    counts = counts if found.crowd is None else replace(counts, crowd=found.crowd)
    return Options(found.template, counts, groups, found.url, found.json, found.profile, quick=found.quick)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)
