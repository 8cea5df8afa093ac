"""Pixels of scrolling against steps of the wheel: one is 120 pixels, as in the desktop's browser (measured). Pure."""

from __future__ import annotations

PX_PER_STEP = 120
MOST_STEPS = 1000


def steps_of(pixels: int) -> int:
    """Steps of the wheel for so many pixels: the nearest number, but never none for some, and at most 1000."""
    sign = 1 if pixels > 0 else -1
    nearest = (2 * abs(pixels) + PX_PER_STEP) // (2 * PX_PER_STEP)
    return sign * min(max(1, nearest), MOST_STEPS) if pixels else 0
