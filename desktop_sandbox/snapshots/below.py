"""Which pages of the memory below a machine are not its template's, kept in the machine's folder.

Only children of a fork that share a base (see `shared_base`) have any. A checkpoint is what differs from the template,
whatever the machine maps: these pages and those that it wrote.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.machine import Machine
from desktop_sandbox.microvm.private_pages import PAGE, Runs, private_runs, united

BELOW = "below.bin"
_RUN_BYTES = 16


def note_below(directory: Path, runs: Runs | None) -> None:
    """Keep them in the folder of a machine that is about to start; None: it maps the template's own memory."""
    path = directory / BELOW
    if runs is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(runs.astype("<u8").tobytes())


def own_runs(machine: Machine) -> Runs:
    """The pages of a machine that differ, or may, from its template's (blocking).

    Raises MachineError if it has ended, or its folder does not say what lies below it.
    """
    own = private_runs(machine.ram())
    path = machine.directory / BELOW
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return own
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}", hint="it cannot be saved any more") from error
    return united(own, read_runs(path, content, machine.shape.ram_bytes))


def read_runs(path: Path, content: bytes, ram_bytes: int) -> Runs:
    """What `note_below` wrote. MachineError if it cannot have: part of a file, or pages outside of RAM."""
    if len(content) % _RUN_BYTES == 0:
        runs = np.frombuffer(content, "<u8").reshape(-1, 2).astype(np.uint64)
        pages = np.uint64(ram_bytes // PAGE)
        if ((runs[:, 0] < pages) & (runs[:, 1] <= pages - np.minimum(runs[:, 0], pages))).all():
            return runs
    raise MachineError(f"{path} does not fit the machine's memory", hint="it cannot be saved any more")
