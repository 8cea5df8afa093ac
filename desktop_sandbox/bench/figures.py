"""What a measurement yields: samples, their quantiles, and the target beside them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# what the design asks for, on two cores under emulation, by the figure's key
AT_MOST: dict[str, float] = {
    "create.one": 250.0,
    "screenshot.raw": 1.0,
    "screenshot.jpeg": 6.0,
    "screenshot.png": 12.0,
    "action.click": 5.0,
    "action.move": 5.0,
    "typing.plain": 1000 / 150,
    "typing.mapped": 1000 / 50,
    "memory.further": 120.0,
    "checkpoint.stopped": 60.0,
    "rollback": 300.0,
    "resume": 500.0,
    "fork.16.acted": 4000.0,
    "pool.acted": 50.0,
}


@dataclass(frozen=True)
class Figure:
    """One measured figure: its samples in `unit`, and the key of the usual way it stands against."""

    key: str
    label: str
    unit: str
    samples: Sequence[float]
    against: str | None = None

    @property
    def p50(self) -> float:
        """The median."""
        return quantile(self.samples, 0.5)

    @property
    def p95(self) -> float | None:
        """The 95th percentile; None of fewer than five samples."""
        return quantile(self.samples, 0.95) if len(self.samples) >= 5 else None

    @property
    def target(self) -> float | None:
        """What the median may be at most; None where nothing was asked for."""
        return AT_MOST.get(self.key)

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.p50 <= self.target


def quantile(samples: Sequence[float], share: float) -> float:
    """The sample below which `share` (0 to 1) of them lie, interpolated linearly (Hyndman and Fan's type 7)."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def ratio(figure: Figure, figures: Sequence[Figure]) -> float | None:
    """How many times longer the usual way takes; None where there is none, or it was not measured."""
    usual = next((other for other in figures if other.key == figure.against), None)
    return None if usual is None or figure.p50 <= 0 else usual.p50 / figure.p50


def as_json(figure: Figure, figures: Sequence[Figure]) -> dict[str, Any]:
    """A figure as the JSON file has it."""
    times = ratio(figure, figures)
    return {
        **asdict(figure),
        "samples": [round(sample, 4) for sample in figure.samples],
        "p50": round(figure.p50, 4),
        "p95": None if figure.p95 is None else round(figure.p95, 4),
        "n": len(figure.samples),
        "ratio": None if times is None else round(times, 2),
        "target": figure.target,
        "ok": figure.ok,
    }
