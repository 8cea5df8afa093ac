"""A network as the bench makes it: delay and loss, by name. Pure."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """`delay_ms` of a round trip, half of it each way; `loss`: the share of packets lost, each way."""

    delay_ms: float = 0.0
    loss: float = 0.0

    def __str__(self) -> str:
        return f"{self.delay_ms:g} ms, {100 * self.loss:g} %"


def network(text: str) -> Network:
    """From `DELAY/LOSS`, in ms and percent, for argparse."""
    try:
        delay_ms, loss = (float(part) for part in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no DELAY/LOSS, for example 20/1") from None
    if not (0 <= delay_ms <= 2000 and 0 <= loss <= 50):
        raise argparse.ArgumentTypeError(f"{text!r}: delay is 0 to 2000 ms, loss 0 to 50 %")
    return Network(delay_ms, loss / 100)
