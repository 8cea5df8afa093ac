"""The figures that pages and the server are shown (docs/streaming.md, section 4). Pure; times are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streamer.capture import CaptureFigures
from streamer.clock import to_ms
from streamer.lane import Lane
from streamer.rolling import Rolling


@dataclass
class ViewerFigures:
    """What one viewer got."""

    sent: int = 0
    dropped: int = 0
    repeated: int = 0
    sent_ms: Rolling = field(default_factory=Rolling)
    bits: Rolling = field(default_factory=Rolling)
    loss: float = 0.0
    rtt_s: float | None = None
    rtp_time: int | None = None
    captured_s: float = 0.0


def rounded(value: float | None, digits: int = 2) -> float | None:
    """For people to read."""
    return None if value is None else round(value, digits)


def stats(
    capture: CaptureFigures, lane: Lane | None, viewer: ViewerFigures, viewers: int, transport: str, now: float
) -> dict[str, Any]:
    """One viewer's stats object, without `t`."""
    found: dict[str, Any] = {
        "frames": {
            "captured": capture.captured,
            "encoded": lane.figures.encoded if lane else 0,
            "sent": viewer.sent,
            "dropped": viewer.dropped + (lane.figures.dropped if lane else 0),
        },
        "fps": viewer.sent_ms.count(now),
        "ms": {
            "captured": rounded(capture.capture_ms.median(now)),
            "encoded": rounded(lane.figures.encode_ms.median(now)) if lane else None,
            "sent": rounded(viewer.sent_ms.median(now)),
        },
        "bitrate_kbps": round(viewer.bits.sum(now) / 1000),
        "target_kbps": lane.orders.bps // 1000 if lane else 0,
        "keyframes": lane.figures.keyframes if lane else 0,
        "repeated": viewer.repeated,
        "loss": rounded(viewer.loss, 4),
        "rtt_ms": rounded(None if viewer.rtt_s is None else viewer.rtt_s * 1000),
        "viewers": viewers,
        "transport": transport,
        "codec": lane.key.codec if lane else None,
    }
    if viewer.rtp_time is not None:
        found["clock"] = {"rtp": viewer.rtp_time, "captured": to_ms(viewer.captured_s)}
    return found
