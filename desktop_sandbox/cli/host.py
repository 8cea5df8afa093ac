"""Commands about a server's host: templates, and the doctor."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from desktop_sandbox import Host
from desktop_sandbox.cli.building import build_steps
from desktop_sandbox.cli.output import ago, jsonable, print_json, print_table, size

if TYPE_CHECKING:
    from desktop_sandbox.sdk.models import BuildStep


def doctor(*, as_json: bool) -> int:
    """Show what this host can do; 1 if something is missing that is needed."""
    from desktop_sandbox.doctor import report

    findings = report()
    if as_json:
        print_json([{"name": f.name, "ok": f.ok, "message": f.message, "hint": f.hint} for f in findings])
    else:
        from rich.console import Console
        from rich.markup import escape

        console = Console(highlight=False)
        marks = {True: "[green]ok  [/]", False: "[red]no  [/]", None: "[yellow]note[/]"}
        for finding in findings:
            console.print(
                f"{marks[finding.ok]} [bold]{escape(finding.name)}[/]: {escape(finding.message)}", soft_wrap=True
            )
            if finding.hint and finding.ok is not True:
                console.print(f"     hint: {escape(finding.hint)}", soft_wrap=True)
    return 1 if any(finding.ok is False for finding in findings) else 0


def template_ls(*, as_json: bool) -> None:
    """List templates."""
    with Host.connect() as host:
        found = host.templates()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            info.name,
            info.state + (f": {info.why}" if info.why else ""),
            "×".join(map(str, info.resolution or ())),
            size(info.size_bytes),
            ago(info.created_at) if info.created_at else "",
            (info.digest or "")[:12],
            info.promoted_from or "",
        )
        for info in found
    ]
    print_table(("TEMPLATE", "STATE", "SCREEN", "SIZE", "BUILT", "DIGEST", "PROMOTED FROM"), rows, empty="no recipes")


def template_build(name: str, *, rebuild: bool, as_json: bool) -> None:
    """Build a template."""
    steps = build_steps(name, rebuild=rebuild)
    if as_json:
        for step in steps:
            print(json.dumps(jsonable(step)), flush=True)
        print(json.dumps({"template": name}))
    else:
        show_progress(name, steps)


def template_rm(name: str, *, as_json: bool) -> None:
    """Remove a template."""
    with Host.connect() as host:
        host.remove_template(name)
    if as_json:
        print_json({"removed": name})
    else:
        print(f"template {name} removed", file=sys.stderr)


def show_progress(name: str, steps: Iterable[BuildStep]) -> None:
    """Follow a build with a progress bar on stderr (plain lines where that is no terminal)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    started = time.monotonic()
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        last = ""
        for step in steps:
            if step.step != last:
                last = step.step
                print(f"template {name}: {step.step}", file=sys.stderr, flush=True)
    else:
        columns = (
            TextColumn("template [bold]{task.fields[template]}[/]"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("starting", total=1.0, template=name)
            for step in steps:
                progress.update(task, description=step.message or step.step)
                if step.fraction is not None:
                    progress.update(task, completed=step.fraction)
    print(f"template {name} is ready ({time.monotonic() - started:.1f} s)", file=sys.stderr)
