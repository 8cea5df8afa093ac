"""Places where a test lets the server die, or has it wait while something else dies, to see what is found afterwards.

Nothing happens unless the environment names one of them: DESKTOP_SANDBOX_DIE_AT=promote.renamed, or promote.renamed:2
for the second time it is passed; @/path for a file that names one, or none as long as it is not there. Where that file
says save.captured=waits, it is renamed to /path.reached there, and the server stands still until that is removed.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

VARIABLE = "DESKTOP_SANDBOX_DIE_AT"
WAITS = "waits"
REACHED = ".reached"
_WAITS_S = 30.0
_passed: Counter[str] = Counter()


def fault_point(name: str) -> None:
    """Die here (SIGKILL), or wait, if a test asked for that."""
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return
    file = Path(wanted[1:]) if wanted.startswith("@") else None
    if file is not None:
        try:
            wanted = file.read_text()
        except FileNotFoundError:
            return
    place, _, times = wanted.partition(":")
    place, _, what = place.partition("=")
    if name != place:
        return
    _passed[wanted] += 1
    if _passed[wanted] < int(times or 1):
        return
    if file is None or what != WAITS:
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        _passed[wanted] = 0
        _wait(file, file.with_name(file.name + REACHED))


def _wait(file: Path, reached: Path) -> None:
    file.rename(reached)
    deadline = time.monotonic() + _WAITS_S
    while reached.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
