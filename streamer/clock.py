"""The streamer's one clock: monotonic seconds; pages see it as milliseconds."""

from __future__ import annotations

import time

now_s = time.monotonic


def to_ms(seconds: float) -> float:
    """Milliseconds, to a thousandth."""
    return round(seconds * 1000, 3)
