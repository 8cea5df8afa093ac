"""Decides which requests for a keyframe are real. Pure; times are seconds, passed in.

A browser asks about once a second when no frame comes (libwebrtc does so while packets of any kind arrive), which on a
still screen is always. Such a request is ignored if the newest frame has arrived and nothing is missing.

Receiver reports count what was lost, not what was sent once more and came then. A receiver that asks for what it misses
(NACK) goes on asking each round trip: once it is silent, all has come, or it has given up. So a loss that it asked
about is taken for mended then, and requests are heard but seldom. One that it did not ask about sticks until a
keyframe, unless everything was sent twice: then there was nothing to ask for. As a keyframe may lose packets of its
own, requests are heard ever more seldom until the screen changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

DEBOUNCE_S = 0.5
SETTLE_S = 3.0  # a new viewer may need a second keyframe before its decoder runs
SLACK_S = 0.25
MENDED_S = 0.3  # and two round trips: who misses something still asks within that time
HOPELESS = 4  # so often asked for, a packet does not come any more; libwebrtc gives up after ten times
DOUBT_S, MOST_DOUBT_S = 8.0, 64.0  # so long after a request was not heard another is, although all seems mended
AGAIN_S = 1.0  # after one keyframe that was asked for; twice as long after each further one
MOST_AGAIN_S = 16.0
_MOST_ASKED = 4096


@dataclass
class Receipts:
    """What one WebRTC viewer has got, by its receiver reports. Sequence numbers are RTP's, 16 bits."""

    joined: float
    newest_seq: int | None = field(default=None, init=False)
    newest_at: float = field(default=0.0, init=False)
    seen_seq: int | None = field(default=None, init=False)
    rtt_s: float = field(default=0.0, init=False)
    repeats: bool = field(default=False, init=False)
    lost: bool = field(default=False, init=False)
    _asked_at: float = field(default=float("-inf"), init=False)
    _asked_since: bool = field(default=False, init=False)
    _maybe_unasked: bool = field(default=False, init=False)
    _gone: bool = field(default=False, init=False)
    _doubted_at: float | None = field(default=None, init=False)
    _doubts: int = field(default=0, init=False)
    _asked: dict[int, int] = field(default_factory=dict, init=False)
    _lost_total: int = field(default=0, init=False)
    _key_at: float = field(default=float("-inf"), init=False)
    _heard: bool = field(default=False, init=False)
    _in_a_row: int = field(default=0, init=False)

    def sent(self, seq: int, now: float, *, key: bool = False, changed: bool = True) -> None:
        """The last packet of a frame was sent; `changed`: it is another picture. A keyframe heals what was lost."""
        self.newest_seq, self.newest_at = seq, now
        if key:
            self.lost = self._gone = self._maybe_unasked = False
            self._doubted_at = None
            self._asked.clear()
            self._in_a_row += self._heard
            self._key_at, self._heard = now, False
        elif changed:
            self._in_a_row = self._doubts = 0

    def missing(self, seqs: Sequence[int], now: float, *, kept: bool) -> None:
        """The receiver asked for these packets once more; they were sent if all are `kept` still."""
        self._asked_at, self._asked_since, self._maybe_unasked = now, True, False
        for seq in seqs:
            self._asked[seq] = self._asked.get(seq, 0) + 1
            self._gone |= not kept or self._asked[seq] >= HOPELESS
        if len(self._asked) > _MOST_ASKED:
            self._gone = True
            self._asked.clear()

    def reported(self, highest_seq: int, fraction_lost: float, lost_total: int) -> None:
        """A receiver report came. Losses stick until they are healed: see the module."""
        self.seen_seq = highest_seq & 0xFFFF
        # the report may stand before the question, in the same packet even: the next report tells
        self._gone |= self._maybe_unasked
        self._maybe_unasked = False
        if fraction_lost > 0 or lost_total > self._lost_total:
            self.lost = True
            self._maybe_unasked = not self._asked_since and not self.repeats
        self._asked_since = False
        self._lost_total = lost_total

    def complete(self, now: float) -> bool:
        """Whether the newest frame has arrived and nothing is missing any more."""
        if self.newest_seq is None or self.seen_seq is None or self._gone or self._maybe_unasked:
            return False
        if self.lost and now - self._asked_at < MENDED_S + 2 * self.rtt_s:
            return False
        return (self.seen_seq - self.newest_seq) & 0xFFFF < 0x8000

    def needs_keyframe(self, now: float) -> bool:
        """Whether a request that comes now is to be heard."""
        if now - self.joined < SETTLE_S:
            return True
        if self.complete(now) and now - self.newest_at >= SLACK_S + self.rtt_s:
            return self.lost and self._doubtful(now)
        if self._in_a_row and now - self._key_at < min(MOST_AGAIN_S, AGAIN_S * 2 ** min(self._in_a_row - 1, 8)):
            return False
        self._heard = True
        return True

    def _doubtful(self, now: float) -> bool:
        """Whether to hear one who may have given up asking: after some time, and ever more seldom on a still screen."""
        if self._doubted_at is None:
            self._doubted_at = now
        if now - self._doubted_at < min(MOST_DOUBT_S, DOUBT_S * 2 ** min(self._doubts, 8)):
            return False
        self._doubts += 1
        self._doubted_at = None
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
