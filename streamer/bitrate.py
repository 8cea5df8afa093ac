"""Decides how many bits a second an encoder may spend, from what its viewers report. Pure; times are seconds.

Loss, round trip and REMB can only lower it; without them it grows. Each is believed as far as it goes. Loss counts over
so many packets that one of them is no tenth. A long round trip is a queue of ours only if it lasts and we send much;
else it is a busy host or somebody else. REMB of a screen that mostly stands still is a guess from what little came (a
browser believes in one and a half times of that), so it counts only where something else shows trouble, and by steps.

Where a path loses single packets and no queue is to blame, pictures of motion are sent twice (FrameSender): a lost
packet would hold up the next ones for a round trip. Both together keep to the rate. Where round trips are long, so is
what sharpens a picture that stands still.

The slowest viewer decides, unless it is far slower than the others: then it is named, to be given an encoder of its
own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median_high

MIN_BPS = 300_000
START_BPS = 12_000_000
MAX_BPS = 16_000_000  # for motion: more is not seen, and costs time in every packet
SHARPEN_BPS = 40_000_000  # for the frames after it
OUTLIER = 0.25  # of the median: slower than that does not hold back the others

_LOSS_HIGH, _LOSS_LOW = 0.10, 0.02
_LOSS_PACKETS = 100  # so many packets tell a share of loss
_LOSSY_SHARE, _LOSSY_PACKETS = 0.003, 1.5  # who lost that lately gets all twice …
_LATELY_PACKETS = 1000  # … where what is that long ago counts half
_FAR_RTT_S = 0.04
_QUEUE_S = 0.04  # so much more than the usual round trip is a queue …
_QUEUE_REPORTS = 3  # … if so many reports in a row say so …
_OURS = 0.3  # … and so much of the rate was really sent
_QUEUE_FLOOR_BPS = 2_000_000  # lower than that only if REMB or losses agree
_STEP = 0.5  # of what was sent: REMB lowers the rate no further at once
_GROWTH_A_S, _GROWTH_NEAR_A_S = 1.08, 1.5  # on any path; where a round trip is short
_NEAR_RTT_S = 0.01
_BASE_RTT_S = 30.0
_CUT_PAUSE_S = 0.25  # a cut must show before the next


@dataclass
class Path:
    """The network to one viewer."""

    now: float
    bps: float = START_BPS
    loss: float = 0.0
    rtt_s: float | None = None
    can_repeat: bool = True
    _base_rtt: float = field(default=float("inf"), init=False)
    _base_at: float = field(default=0.0, init=False)
    _grown_at: float = field(init=False)
    _cut_at: float = field(default=float("-inf"), init=False)
    _long: int = field(default=0, init=False)
    _packets: int = field(default=0, init=False)
    _lost: float = field(default=0.0, init=False)
    _share: float = field(default=0.0, init=False)
    _lately: float = field(default=0.0, init=False)
    _lately_lost: float = field(default=0.0, init=False)
    _lossy: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._grown_at = self.now

    @property
    def calm(self) -> bool:
        """Whether nothing is queued, and next to nothing lost."""
        return self._long == 0 and self._share < _LOSS_LOW

    @property
    def repeats(self) -> bool:
        """Whether to send packets twice: some get lost, and not because we send too much."""
        return self.can_repeat and self._lossy and self._share <= _LOSS_HIGH and self._long < _QUEUE_REPORTS

    @property
    def repeats_all(self) -> bool:
        """Whether to do so with what only sharpens, too."""
        return self.repeats and (self.rtt_s or 0.0) > _FAR_RTT_S

    @property
    def motion_bps(self) -> float:
        """What pictures of motion may take of the rate."""
        return self.bps / 2 if self.repeats else self.bps

    @property
    def still_bps(self) -> float:
        """What one that stands still may."""
        return self.bps / 2 if self.repeats_all else self.bps

    def remb(self, bps: int, sent_bps: float, now: float) -> None:
        """The receiver believes in `bps`, while `sent_bps` were sent."""
        trouble = self._share > _LOSS_HIGH or self._long >= _QUEUE_REPORTS
        if trouble and bps < self.bps and sent_bps > bps:
            self._set(max(0.95 * bps, _STEP * sent_bps), now)

    def report(self, loss: float, rtt_s: float | None, now: float, *, packets: int, sent_bps: float) -> None:
        """A receiver report: the fraction lost of so many packets since the last one, the round trip if it is known,
        and what was sent in the last second.
        """
        self.loss = loss
        self._count(loss, packets)
        if rtt_s is not None:
            self._measure(rtt_s, now)
        if self._share > _LOSS_HIGH:
            self._set(self.bps * (1 - 0.5 * self._share), now)
        elif self._long >= _QUEUE_REPORTS and sent_bps > _OURS * self.bps:
            self._set(min(self.bps, max(0.85 * self.bps, _QUEUE_FLOOR_BPS)), now)
        elif self._share < _LOSS_LOW and self._long == 0:
            self._grow(now)
        else:
            self._grown_at = now

    def _count(self, loss: float, packets: int) -> None:
        kept = 0.5 ** (packets / _LATELY_PACKETS)
        self._lately, self._lately_lost = kept * self._lately + packets, kept * self._lately_lost + loss * packets
        enough = max(_LOSSY_PACKETS, _LOSSY_SHARE * self._lately)
        self._lossy = self._lately_lost >= (enough / 2 if self._lossy else enough)
        self._packets += packets
        self._lost += loss * packets
        if self._packets >= _LOSS_PACKETS:
            self._share = self._lost / self._packets
            self._packets, self._lost = 0, 0.0

    def _measure(self, rtt_s: float, now: float) -> None:
        self.rtt_s = rtt_s
        if rtt_s <= self._base_rtt or now - self._base_at > _BASE_RTT_S:
            self._base_rtt, self._base_at = rtt_s, now
        self._long = self._long + 1 if rtt_s > 1.5 * self._base_rtt + _QUEUE_S else 0

    def _grow(self, now: float) -> None:
        near = self.rtt_s is not None and self.rtt_s < _NEAR_RTT_S
        rate = _GROWTH_NEAR_A_S if near else _GROWTH_A_S
        self._set(self.bps * rate ** min(now - self._grown_at, 2.0), now)

    def _set(self, bps: float, now: float) -> None:
        self._grown_at = now
        if bps < self.bps:
            if now - self._cut_at < _CUT_PAUSE_S + (self.rtt_s or 0.0):
                return
            self._cut_at = now
        self.bps = max(MIN_BPS, min(MAX_BPS, bps))


@dataclass
class RateControl:
    """One encoder's bitrate, from the paths of its viewers."""

    _paths: dict[int, Path] = field(default_factory=dict, init=False)

    def path(self, viewer: int, now: float) -> Path:
        """The viewer's path, new if need be."""
        return self._paths.setdefault(viewer, Path(now))

    def adopt(self, viewer: int, path: Path) -> None:
        """A viewer comes over from another encoder."""
        self._paths[viewer] = path

    def leave(self, viewer: int) -> Path | None:
        """The viewer has gone."""
        return self._paths.pop(viewer, None)

    def rates(self) -> dict[int, float]:
        """What each viewer's path bears, in bits a second."""
        return {viewer: path.bps for viewer, path in self._paths.items()}

    def still_bps(self) -> int:
        """What the encoder may spend on a picture that stands still: the slowest path that is no outlier."""
        return int(min((path.still_bps for path in self._decisive()), default=START_BPS))

    def motion_bps(self) -> int:
        """What it may spend on pictures of motion."""
        return int(min((path.motion_bps for path in self._decisive()), default=START_BPS))

    def _decisive(self) -> list[Path]:
        paths = list(self._paths.values())
        floor = OUTLIER * median_high(path.bps for path in paths) if paths else 0.0
        return [path for path in paths if path.bps >= floor]

    def near(self, rtt_s: float) -> bool:
        """Whether every path has a round trip of at most `rtt_s` and loses nothing."""
        paths = self._paths.values()
        return bool(paths) and all(p.rtt_s is not None and p.rtt_s <= rtt_s and p.loss == 0 for p in paths)

    def calm(self) -> bool:
        """Whether no path shows a queue or losses."""
        return bool(self._paths) and all(path.calm and path.rtt_s is not None for path in self._paths.values())

    def outliers(self) -> list[int]:
        """Viewers far slower than the others; never all of them."""
        if len(self._paths) < 2:
            return []
        floor = OUTLIER * median_high(path.bps for path in self._paths.values())
        return [viewer for viewer, path in self._paths.items() if path.bps < floor]
