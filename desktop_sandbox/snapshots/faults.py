"""Places where a test lets the server die, to see what the next one finds. Nothing happens unless the environment
names one of them: DESKTOP_SANDBOX_DIE_AT=promote.renamed, or promote.renamed:2 for the second time it is passed;
@/path for a file that names one, or none as long as it is not there.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

VARIABLE = "DESKTOP_SANDBOX_DIE_AT"
_passed: Counter[str] = Counter()


def fault_point(name: str) -> None:
    """Die here (SIGKILL) if a test asked for it."""
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return
    if wanted.startswith("@"):
        try:
            wanted = Path(wanted[1:]).read_text()
        except FileNotFoundError:
            return
    place, _, time = wanted.partition(":")
    if name == place:
        _passed[wanted] += 1
        if _passed[wanted] == int(time or 1):
            os.kill(os.getpid(), signal.SIGKILL)
