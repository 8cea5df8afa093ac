"""What a sandbox's network log says of one connection or lookup, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What became of a connection. OPEN: it was let through and goes on."""

    OPEN = "open"
    ALLOWED = "allowed"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class LogEntry:
    """One connection (`kind` tcp) or lookup (dns). `time`: seconds since the epoch, when it began.

    `address` and `port`: where the guest wanted to go; `name`: what it called that, if it is known; `rule`: the rule
    of the policy that decided; `sent_bytes` by the guest. An entry of the same `number` that comes later says it anew.
    """

    number: int
    time: float
    kind: str
    outcome: Outcome
    name: str | None = None
    address: str | None = None
    port: int | None = None
    reason: str = ""
    rule: str | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    seconds: float = 0.0

    def json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **asdict(self),
            "outcome": str(self.outcome),
            "time": round(self.time, 3),
            "seconds": round(self.seconds, 3),
        }


def parse_entry(data: Mapping[str, Any]) -> LogEntry:
    """A log entry out of JSON. Raises ValueError, TypeError or KeyError for anything else."""
    return LogEntry(**{**data, "outcome": Outcome(data["outcome"])})


def newest(entries: Iterable[LogEntry], limit: int) -> list[LogEntry]:
    """The last `limit` connections in the order of their beginning, each as it was said last."""
    latest: dict[tuple[int, float], LogEntry] = {}
    for entry in entries:
        latest[(entry.number, entry.time)] = entry
    return sorted(latest.values(), key=lambda entry: (entry.time, entry.number))[-limit:]


@dataclass
class Counters:
    """Sums of one sandbox since its gateway began with it."""

    connections: int = 0
    refused: int = 0
    failed: int = 0
    lookups: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    open: int = 0

    def json(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)

    def plus(self, other: Counters) -> Counters:
        """Both together; `open` of the latter."""
        sums = {name: value + getattr(other, name) for name, value in asdict(self).items()}
        return Counters(**{**sums, "open": other.open})
