"""Decides which requests for a keyframe are real. Pure; times are seconds, passed in.

A browser asks about once a second when no frame comes (libwebrtc does so while packets of any kind arrive), which on a
still screen is always. Such a request is ignored if the newest frame has arrived and nothing was lost. Where a keyframe
loses packets of its own, retransmission heals it and no report says so: then requests are heard ever more seldom, until
the screen changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DEBOUNCE_S = 0.5
SETTLE_S = 3.0  # a new viewer may need a second keyframe before its decoder runs
SLACK_S = 0.25
FOLLOWS_S = 1.0  # frames that only make a still screen crisp come within this time of a keyframe
AGAIN_S = 1.0  # after one keyframe that was asked for; twice as long after each further one
MOST_AGAIN_S = 16.0


@dataclass
class Receipts:
    """What one WebRTC viewer has got, by its receiver reports. Sequence numbers are RTP's, 16 bits."""

    joined: float
    newest_seq: int | None = field(default=None, init=False)
    newest_at: float = field(default=0.0, init=False)
    seen_seq: int | None = field(default=None, init=False)
    rtt_s: float = field(default=0.0, init=False)
    lost: bool = field(default=False, init=False)
    _lost_total: int = field(default=0, init=False)
    _key_at: float = field(default=float("-inf"), init=False)
    _heard: bool = field(default=False, init=False)
    _in_a_row: int = field(default=0, init=False)

    def sent(self, seq: int, now: float, *, key: bool = False) -> None:
        """The last packet of a frame was sent. A keyframe heals what was lost before it."""
        self.newest_seq, self.newest_at = seq, now
        if key:
            self.lost = False
            self._in_a_row += self._heard
            self._key_at, self._heard = now, False
        elif now - self._key_at > FOLLOWS_S:
            self._in_a_row = 0

    def reported(self, highest_seq: int, fraction_lost: float, lost_total: int) -> None:
        """A receiver report came. Losses stick until a keyframe is sent, since only then they are surely healed."""
        self.seen_seq = highest_seq & 0xFFFF
        if fraction_lost > 0 or lost_total > self._lost_total:
            self.lost = True
        self._lost_total = lost_total

    @property
    def complete(self) -> bool:
        """Whether the newest frame has arrived and nothing was lost since the last keyframe."""
        if self.lost or self.newest_seq is None or self.seen_seq is None:
            return False
        return (self.seen_seq - self.newest_seq) & 0xFFFF < 0x8000

    def needs_keyframe(self, now: float) -> bool:
        """Whether a request that comes now is to be heard."""
        if now - self.joined < SETTLE_S:
            return True
        if self.complete and now - self.newest_at >= SLACK_S + self.rtt_s:
            return False
        if self._in_a_row and now - self._key_at < min(MOST_AGAIN_S, AGAIN_S * 2 ** (self._in_a_row - 1)):
            return False
        self._heard = True
        return True


@dataclass
class KeyframeGate:
    """Lets an encoder make a keyframe at most every DEBOUNCE_S; a request in between is kept."""

    _last: float = field(default=float("-inf"), init=False)
    _wanted: bool = field(default=False, init=False)

    @property
    def wanted(self) -> bool:
        """Whether a request waits."""
        return self._wanted

    def request(self) -> None:
        """Somebody needs a keyframe."""
        self._wanted = True

    def due(self, now: float) -> bool:
        """Whether the next frame should be a keyframe."""
        return self._wanted and now - self._last >= DEBOUNCE_S

    def made(self, now: float) -> None:
        """A keyframe was made, asked for or not."""
        self._last, self._wanted = now, False
