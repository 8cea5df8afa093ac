"""Decides when a desktop is looked at, and when a picture that did not change is encoded again. Pure.

Times are seconds, passed in. It reads no frame and sleeps nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HOT_S = 0.12  # so long after a key or a click its effect is looked for …
HOT_LOOK_S = 0.004  # … so often …
KEEN_S, KEEN_LOOK_S = 0.06, 0.002  # … and still more often at first: most programs have answered by then
WATCHFUL_S = 0.4  # so long after a change or an input every half frame a whole one is compared, samples in between
_NEARLY = 0.9  # of a frame's time: looks come a little early or late
ATTENTIVE_S = 3.0  # so long four times as many rows are sampled
REPEATS_S = (0.05, 0.15, 0.3)  # after the last change: a lost last packet is noticed by the next
REFINE_S = 3.0  # so long after the last change every frame may sharpen the picture; on a fast path it takes 0.2 s
MOTION_S = 0.1  # a change so soon after another is motion, whose every picture is seen for a moment only …
RESTS_S = 0.045  # … and is not sharpened until it has stood for so long: scrolling and films of 24 a second do not
ENOUGH_BYTES = 1100  # a frame that small had nothing to sharpen …
ENOUGH_SHARE = 1 / 8  # … nor one that used so little of what it might …
ENOUGH_FRAMES = 3  # … if so many in a row did; a single one may just have found the rate control out of credit


@dataclass
class Cadence:
    """When to look next, and whether at the whole screen or only at some rows."""

    frame_s: float
    _due: float = field(default=0.0, init=False)
    _looked_at: float = field(default=float("-inf"), init=False)
    _watchful_until: float = field(default=0.0, init=False)
    _attentive_until: float = field(default=0.0, init=False)
    _hot_until: float = field(default=0.0, init=False)
    _whole_at: float = field(default=float("-inf"), init=False)
    _earned_at: float = field(default=float("-inf"), init=False)
    _turn_at: float = field(default=float("-inf"), init=False)

    def wake(self, now: float, *, hot: bool = False) -> None:
        """Look at the whole screen soon, and closely for a while. `hot`: a key or a click is on its way to the desktop,
        whose effect is not there yet, and shall not wait for the next regular look once it is.
        """
        self._watchful_until = max(self._watchful_until, now + WATCHFUL_S)
        if hot:
            self._hot_until = now + HOT_S
        self._due = min(self._due, max(now, self._looked_at + (KEEN_LOOK_S if hot else self.frame_s / 2)))

    def changed(self, now: float) -> None:
        """The look that began at `now` found a change: the next is half a frame away at least.

        So that no more frames are found than were asked for, all in all, one that came early is made up for by the
        next; what a key or a click does may come in between.
        """
        self._attentive_until = now + ATTENTIVE_S
        self._watchful_until = max(self._watchful_until, now + WATCHFUL_S)
        self._turn_at = now
        self._earned_at = max(self._earned_at, now - self.frame_s) + self.frame_s
        self._due = now + self.frame_s / 2
        if now >= self._hot_until:
            self._due = max(self._due, self._earned_at)

    def whole(self, now: float) -> bool:
        """Whether this look must be at the whole screen: every half frame while something is expected."""
        if now >= self._watchful_until or now - self._whole_at < _NEARLY * self.frame_s / 2:
            return False
        self._whole_at = now
        return True

    def samples(self, now: float) -> int:
        """How many samples this look should take, if it is not at the whole screen."""
        return 4 if now < max(self._attentive_until, self._hot_until) else 1

    def turn(self, now: float) -> bool:
        """Whether an encoder may take a picture that did not change once more: looks may be more often than frames."""
        if now - self._turn_at < _NEARLY * self.frame_s:
            return False
        self._turn_at = now
        return True

    def wait_s(self, now: float) -> float:
        """Seconds until the next look; 0 when it is due."""
        return max(0.0, self._due - now)

    def looked(self, started: float) -> None:
        """A look began at `started`: the next is a frame later, sooner while something is expected.

        What was missed is not made up for.
        """
        self._looked_at = started
        step = self._step_s(started)
        self._due = self._due + step if started - self._due < step else started + step

    def _step_s(self, now: float) -> float:
        if now < self._hot_until:
            return KEEN_LOOK_S if self._hot_until - now > HOT_S - KEEN_S else HOT_LOOK_S
        return self.frame_s / 4 if now < self._watchful_until else self.frame_s


@dataclass
class Refinement:
    """Whether an encoder should encode the same picture once more: to sharpen it, or in case a packet was lost."""

    _changed_at: float | None = field(default=None, init=False)
    _repeats: int = field(default=0, init=False)
    _sharp: bool = field(default=True, init=False)
    _small: int = field(default=0, init=False)
    _sharpens_s: float = field(default=0.0, init=False)

    @property
    def at_rest(self) -> bool:
        """Whether nothing more will be due until the next change."""
        return self._changed_at is None

    def changed(self, now: float, *, sharp: bool = False) -> None:
        """A changed picture went to the encoder. `sharp`: it is known that no other frame will be sharper."""
        moves = self._changed_at is not None and now - self._changed_at < MOTION_S
        self._sharpens_s = RESTS_S if moves else 0.0
        self._changed_at, self._repeats, self._sharp, self._small = now, 0, sharp, 0

    def due(self, now: float) -> bool:
        """Whether to encode again now."""
        if self._changed_at is None:
            return False
        since = now - self._changed_at
        sharpens = not self._sharp and since >= self._sharpens_s
        return sharpens or (self._repeats < len(REPEATS_S) and since >= REPEATS_S[self._repeats])

    def encoded(self, size: int, share: float, now: float, *, sharp: bool = False) -> None:
        """The encoder made `size` bytes of the unchanged picture, where `share` would have been its part."""
        if self._changed_at is None:
            return
        since = now - self._changed_at
        self._small = self._small + 1 if size <= max(ENOUGH_BYTES, share * ENOUGH_SHARE) else 0
        self._sharp = sharp or since >= REFINE_S or self._small >= ENOUGH_FRAMES or (self._sharp and self._small > 0)
        while self._repeats < len(REPEATS_S) and since >= REPEATS_S[self._repeats]:
            self._repeats += 1
        if self._sharp and self._repeats == len(REPEATS_S):
            self._changed_at = None
