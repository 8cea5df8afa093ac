"""A benchmark's results as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from desktop_sandbox.bench.figures import Figure, as_json, ratio
from desktop_sandbox.bench.options import STDOUT

_WORDS = {True: ("ok", "green"), False: ("missed", "red"), None: ("", "")}


@dataclass
class Results:
    """All that one run found. `load` is the one-minute load average at begin and end."""

    template: str
    started_at: str
    quick: bool
    host: Mapping[str, Any]
    load: list[float]
    figures: list[Figure] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    def profile(self) -> dict[str, float]:
        """Median milliseconds of each stage of a create, in order."""
        names = list(dict.fromkeys(name for one in self.stages for name in one))
        return {name: round(statistics.median(one.get(name, 0.0) for one in self.stages), 2) for name in names}

    def as_json(self) -> dict[str, Any]:
        """The document that --json writes."""
        return {
            "version": 1,
            "started_at": self.started_at,
            "seconds": round(self.seconds, 1),
            "template": self.template,
            "quick": self.quick,
            "host": dict(self.host),
            "load_average": {"begin": self.load[0], "end": self.load[-1]},
            "figures": [as_json(figure, self.figures) for figure in self.figures],
            "profile_ms": self.profile() or None,
        }


def tell(results: Results, where: Path | None) -> None:
    """The tables, on stdout, and JSON in a file; only JSON, on stdout, where that is STDOUT."""
    text = json.dumps(results.as_json(), indent=2, ensure_ascii=False)
    if where == STDOUT:
        print(text)
        return
    print_results(results)
    if where is not None:
        where.write_text(text + "\n")


def print_results(results: Results) -> None:
    """The tables, on stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    host = results.host
    console.print(
        f"template {results.template}; {host['cores']} cores, {host['processor']}; {host['accelerator']},"
        f" QEMU {host['qemu']}; kernel {host['kernel']}; load {results.load[0]:.2f} at the begin,"
        f" {results.load[-1]:.2f} at the end; {results.seconds:.0f} s",
        markup=False,
    )
    console.print(_table(results.figures))
    profile = results.profile()
    if profile:
        console.print(_profile_table(profile))
    missed = [figure.label for figure in results.figures if figure.ok is False]
    if missed:
        console.print(f"missed: {'; '.join(missed)}", markup=False)
    if results.load[0] > host["cores"] / 2:
        console.print("this host was busy with other things: these figures are not its best", markup=False)


def _table(figures: Sequence[Figure]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("MEASURE")
    for name in ("P50", "P95", "N", "USUAL WAY", "TARGET"):
        table.add_column(name, justify="right")
    table.add_column("")
    for figure in figures:
        times = ratio(figure, figures)
        word, colour = _WORDS[figure.ok]
        table.add_row(
            figure.label,
            f"{shown(figure.p50)} {figure.unit}",
            "" if figure.p95 is None else shown(figure.p95),
            str(len(figure.samples)),
            "" if times is None else f"{shown(times)} × as long",
            "" if figure.target is None else f"≤ {shown(figure.target)}",
            Text(word, style=colour),
        )
    return table


def _profile_table(profile: Mapping[str, float]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("STAGE OF A CREATE")
    for name in ("P50", "SHARE"):
        table.add_column(name, justify="right")
    table.add_column("")
    together = sum(profile.values()) or 1.0
    for name, spent in profile.items():
        table.add_row(name, f"{spent:.1f} ms", f"{spent / together:.0%}", EXPLAINED.get(name, ""))
    table.add_row("sum", f"{together:.1f} ms", "", "")
    return table


EXPLAINED = {
    "record": "room checked, the sandbox written to the database",
    "template": "the template looked up, its memory at hand",
    "queue": "waited until others were made",
    "start": "QEMU started behind its wall, to its first QMP answer",
    "load": "device state loaded",
    "screen": "the machine's memory opened, its screen found",
    "resume": "virtual processors running",
    "hello": "the agent's first answer, counted from then",
    "identity": "clock, entropy and names; programs thawed",
    "resolution": "the screen at another size",
    "kept": "process written to the database",
    "request": "HTTP, SDK and what nothing else accounts for",
    "first action": "one left_click through the SDK",
}


def shown(value: float) -> str:
    """Three significant digits or so."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
