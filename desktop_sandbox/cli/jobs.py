"""Commands for what runs in the background of a desktop."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import typer

from desktop_sandbox.cli.desktop import connected
from desktop_sandbox.cli.output import ago, print_json, print_table, shown
from desktop_sandbox.errors import DesktopSandboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desktop_sandbox.sdk._sync.background import BackgroundCommand
    from desktop_sandbox.sdk.reach import JobInfo


def start(
    sandbox_id: str,
    command: Sequence[str],
    *,
    stdin: bool,
    user: str,
    cwd: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Start one and print its id."""
    line = command[0] if len(command) == 1 else list(command)
    with (
        connected(sandbox_id) as desktop,
        desktop.commands.start(line, stdin=stdin, user=user, cwd=cwd, timeout=timeout or None) as made,
    ):
        if as_json:
            print_json(made.info)
        else:
            print(made.id)
            print(f"desktop-sandbox jobs attach {sandbox_id} {made.id} shows its output", file=sys.stderr)


def ls(sandbox_id: str, *, as_json: bool) -> None:
    """List them."""
    with connected(sandbox_id) as desktop:
        found = desktop.commands.list()
    if as_json:
        print_json(found)
    else:
        table(found, empty="nothing runs in the background")


def table(jobs: Sequence[JobInfo], *, empty: str) -> None:
    """Terminals or commands as a table."""
    rows = [
        (
            shown(job.id),
            "running" if job.running else f"ended: {job.exit_code}",
            ago(job.started_at),
            shown(job.user),
            shown(" ".join(job.command))[:80],
        )
        for job in jobs
    ]
    print_table(("ID", "STATE", "STARTED", "USER", "COMMAND"), rows, empty=empty)


def attach(sandbox_id: str, job_id: str, *, stdin: bool, after: int | None) -> int:
    """Print its output until it ends: its exit code (124 for a timeout, as timeout(1))."""
    outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    with connected(sandbox_id) as desktop, desktop.commands.connect(job_id, after=after) as command:
        if stdin:
            threading.Thread(target=_feed, args=(command,), daemon=True).start()
        try:
            for piece in command:
                outputs[piece.stream].write(piece.data)
                outputs[piece.stream].flush()
        except KeyboardInterrupt:
            print(f"\nit runs on: desktop-sandbox jobs attach {sandbox_id} {job_id}", file=sys.stderr)
            return 130
        info = command.info
    return 124 if info.timed_out else 1 if info.exit_code is None else info.exit_code


def _feed(command: BackgroundCommand) -> None:
    with contextlib.suppress(DesktopSandboxError, OSError, ValueError):
        while data := os.read(sys.stdin.fileno(), 65536):
            command.send_stdin(data)
        command.close_stdin()


def send_signal(sandbox_id: str, job_id: str, wanted: str, *, as_json: bool) -> None:
    """Send a signal by name or number."""
    name = wanted.upper()
    number = int(name) if name.isdigit() else getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
    if not isinstance(number, int) or not 0 < number <= 64:
        raise typer.BadParameter(f"{wanted!r} is no signal; INT, HUP, USR1 … or 1 to 64")
    with connected(sandbox_id) as desktop:
        desktop.commands.send_signal(job_id, int(number))
    if as_json:
        print_json({"signalled": job_id, "signal": int(number)})


def kill(sandbox_id: str, job_id: str, *, as_json: bool) -> None:
    """End it."""
    with connected(sandbox_id) as desktop:
        desktop.commands.kill(job_id)
    if as_json:
        print_json({"killed": job_id})
