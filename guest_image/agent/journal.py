"""What the agent has to say goes to the journal, a line at a time."""

from __future__ import annotations

import sys


def log(line: str) -> None:
    """One line to the journal."""
    print(line, file=sys.stderr, flush=True)
