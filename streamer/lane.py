"""A lane: one encoder of one desktop, and the decision what it encodes when. Used by the capture thread.

Viewers that want the same codec share a lane, and so its packets. The event loop speaks to it only by setting the plain
attributes of LaneOrders, which the thread reads at its next look. Frames are dropped here, before they are encoded,
never after.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from streamer.bitrate import START_BPS
from streamer.cadence import Refinement
from streamer.clock import now_s
from streamer.encoder import Encoder, h264_encoder, jpeg, vp8_encoder
from streamer.keyframes import KeyframeGate
from streamer.packets import EncodedFrame
from streamer.picture import Picture
from streamer.rolling import Rolling

_REOPEN_S = 5.0  # a codec whose bitrate is fixed gets a new encoder at most so often
_FAR_OFF = (0.7, 1.5)


@dataclass(frozen=True)
class LaneKey:
    """What a lane makes. `owner`: the one viewer it is for, if it is not shared."""

    codec: str
    cursor: bool = False
    owner: int | None = None


@dataclass
class LaneOrders:
    """What the event loop wants of a lane; each attribute is set in one step."""

    bps: int = START_BPS
    refine_bps: int = START_BPS
    paused: bool = False
    ask_key: bool = False


@dataclass
class LaneFigures:
    """What a lane did; written by the thread, read by the loop."""

    encoded: int = 0
    dropped: int = 0
    keyframes: int = 0
    encode_ms: Rolling = field(default_factory=Rolling)
    sent_bits: Rolling = field(default_factory=Rolling)

    @property
    def counts(self) -> Counter[str]:
        """The totals."""
        return Counter(encoded=self.encoded, dropped=self.dropped, keyframes=self.keyframes)


class Step(Protocol):
    """Something that takes part in the capture thread's looks."""

    @property
    def burnt(self) -> bool:
        """Whether the cursor is drawn into its pictures."""
        ...

    def step(self, picture: Picture, changed: bool, now: float) -> EncodedFrame | None:
        """A look was taken; a frame if one is due."""
        ...

    def skip(self, changed: bool) -> None:
        """There is no time for this look."""
        ...


class Lane:
    """One encoder and its state."""

    def __init__(self, key: LaneKey, fps: int) -> None:
        self.key = key
        self.orders = LaneOrders()
        self.figures = LaneFigures()
        self._fps = fps
        self._encoder: Encoder | None = None
        self._opened_at = 0.0
        self._size = (0, 0)
        self._dirty = True
        self._gate = KeyframeGate()
        self._refinement = Refinement()
        self._seq = 0

    def __repr__(self) -> str:
        return f"<Lane {self.key.codec} {self._size[0]}x{self._size[1]} {self.orders.bps // 1000} kbit/s>"

    @property
    def burnt(self) -> bool:
        """See Step."""
        return self.key.cursor

    def skip(self, changed: bool) -> None:
        """See Step."""
        if changed:
            self._dirty = True
            self.figures.dropped += 1

    def step(self, picture: Picture, changed: bool, now: float) -> EncodedFrame | None:
        """See Step."""
        if self.orders.ask_key:
            self.orders.ask_key = False
            self._gate.request()
        if self.orders.paused:
            self.skip(changed)
            return None
        changed = changed or self._dirty
        if self.key.codec == "jpeg":
            return self._jpeg(picture, now) if changed or self._gate.due(now) else None
        key = self._gate.due(now) or self._must_reopen(picture, now)
        if not (changed or key or self._refinement.due(now)):
            return None
        return self._encode(picture, changed, key, now)

    def _must_reopen(self, picture: Picture, now: float) -> bool:
        if self._encoder is None or picture.size != self._size:
            self._encoder = None
            return True
        fixed = self._encoder.fixed_bps
        if fixed is None or now - self._opened_at < _REOPEN_S:
            return False
        if not _FAR_OFF[0] <= self.orders.bps / fixed <= _FAR_OFF[1]:
            self._encoder = None
            return True
        return False

    def _encode(self, picture: Picture, changed: bool, key: bool, now: float) -> EncodedFrame:
        started = now_s()
        encoder = self._encoder or self._open(picture, now)
        bps = self.orders.bps if changed else self.orders.refine_bps
        captured = picture.captured_s if changed else now
        try:
            data = encoder.encode(picture.planes(cursor=self.burnt), now, bps, key=key)
        except BaseException:
            self._encoder = None
            raise
        self._dirty = False
        if changed or key:
            self._refinement.changed(now, sharp=encoder.sharpest)
        else:
            self._refinement.encoded(len(data), bps / 8 / self._fps, now, sharp=encoder.sharpest)
        return self._made(encoder.codec, key, data, captured, started, changed=changed)

    def _open(self, picture: Picture, now: float) -> Encoder:
        width, height = self._size = picture.size
        self._opened_at = now
        if self.key.codec == "vp8":
            self._encoder = vp8_encoder(width, height, self._fps, self.orders.bps)
        else:
            self._encoder = h264_encoder(width, height, self._fps)
        return self._encoder

    def _jpeg(self, picture: Picture, now: float) -> EncodedFrame:
        started = now_s()
        self._size = picture.size
        data = jpeg(picture.pixels(cursor=self.burnt))
        self._dirty = False
        return self._made("jpeg", True, data, picture.captured_s, started)

    def _made(
        self, codec: str, key: bool, data: bytes, captured: float, started: float, *, changed: bool = True
    ) -> EncodedFrame:
        done = now_s()
        if key:
            self._gate.made(done)
            self.figures.keyframes += 1
        self.figures.encoded += 1
        self.figures.encode_ms.add((done - started) * 1000, done)
        self.figures.sent_bits.add(8 * len(data), done)
        self._seq = (self._seq + 1) & 0xFFFFFFFF
        return EncodedFrame(codec, self._seq, key, data, *self._size, captured, done, changed)
