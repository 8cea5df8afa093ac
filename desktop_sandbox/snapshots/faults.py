"""Places where a test lets the server die, to see what the next one finds. Nothing happens unless the environment
names one of them: DESKTOP_SANDBOX_DIE_AT=promote.renamed, or promote.renamed:2 for the second time it is passed.
"""

from __future__ import annotations

import os
import signal
from itertools import count

VARIABLE = "DESKTOP_SANDBOX_DIE_AT"
_place, _, _time = os.environ.get(VARIABLE, "").partition(":")
_passed = count(1)


def fault_point(name: str) -> None:
    """Die here (SIGKILL) if a test asked for it."""
    if name == _place and next(_passed) == int(_time or 1):
        os.kill(os.getpid(), signal.SIGKILL)
