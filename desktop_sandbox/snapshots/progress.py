"""Progress of long work, as one stream of (step, fraction, message) for a bar, a log or an API's stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """Where the work is: the step's name, the whole work's fraction from 0 to 1, and a line for a person."""

    step: str
    fraction: float
    message: str = ""


Report = Callable[[Step], None]


def scaled(report: Report, low: float, high: float) -> Report:
    """A report that maps its own 0..1 to `low`..`high` of a larger work."""
    return lambda step: report(Step(step.step, low + (high - low) * min(1.0, max(0.0, step.fraction)), step.message))
