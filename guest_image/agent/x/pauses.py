"""Waiting that a cancel can end."""

from __future__ import annotations

import time
from collections.abc import Callable

from guest_image.agent.x.failure import ActionFailed

_SLICE_S = 0.05


def pause_until(moment: float, cancelled: Callable[[], bool], what: str) -> None:
    """Sleep until `moment` (time.monotonic, seconds); ActionFailed "cancelled" when `cancelled` says so."""
    while True:
        if cancelled():
            raise ActionFailed("cancelled", f"{what} was cancelled")
        left = moment - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _SLICE_S))
