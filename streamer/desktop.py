"""One desktop: its viewers, its lanes, its recording. Decides who shares which lane. Runs in the event loop.

A viewer that cannot keep up with the others gets a lane of its own, so that it neither slows them down nor costs them
keyframes, until it could keep up again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from desktop_sandbox.screen.encode import Cursor
from streamer.bitrate import SHARPEN_BPS, RateControl
from streamer.capture import Capture
from streamer.clock import now_s
from streamer.convert import even_size
from streamer.cursor import cursor_message
from streamer.figures import stats
from streamer.lane import Lane, LaneKey, Step
from streamer.levels import codec_string, level_for
from streamer.messages import Message
from streamer.packets import EncodedFrame
from streamer.parting import is_near
from streamer.recording import Recording
from streamer.sources import Pointer, Source
from streamer.viewer import Viewer

_log = logging.getLogger(__name__)
_OWN_HAND_S = 0.5  # a viewer that moved the pointer itself is not told where it is for so long
_REFINE_BOOST, _CALM_BOOST = 2.5, 1.5  # on a near, or at least a calm path sharpening may use more than motion does
_NEAR_RTT_S = 0.02


class DesktopEvents(Protocol):
    """What a desktop tells the server."""

    def stale(self, sandbox: str) -> None:
        """Its source must be attached again."""
        ...

    def watched(self, sandbox: str, watched: bool) -> None:
        """Somebody watches or records, or nobody any more."""
        ...

    def recording_failed(self, sandbox: str, why: str) -> None:
        """Its recording could not go on."""
        ...


@dataclass
class Audience:
    """A lane's viewers and what their networks bear."""

    lane: Lane
    viewers: dict[int, Viewer] = field(default_factory=dict)
    rate: RateControl = field(default_factory=RateControl)


class Desktop:
    """See the module. It is its capture's Listener."""

    def __init__(self, sandbox: str, source: Source, fps: int, events: DesktopEvents) -> None:
        self.sandbox = sandbox
        self._screen = source.size()
        self.size = even_size(*self._screen)
        self.viewers: dict[int, Viewer] = {}
        self.recording: Recording | None = None
        self._fps = fps
        self._events = events
        self.capture = Capture(sandbox, source, fps, self)
        self._audiences: dict[LaneKey, Audience] = {}
        self._lane_of: dict[int, LaneKey] = {}
        self._pointed: dict[int, float] = {}
        self._pointer: Pointer | None = None
        self._cursor: Message | None = None
        self._watched = False
        self._gone: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Desktop {self.sandbox} {self.size[0]}x{self.size[1]} viewers={len(self.viewers)}>"

    # what the service asks

    def attach(self, source: Source) -> None:
        """Take another source; viewers stay."""
        self.capture.replace(source)

    def detach(self, reason: str, *, ended: bool = True) -> Recording | None:
        """Close all viewers, stop; a recording that ran is handed back, to be finished.

        `ended`: they are told that the desktop is no more; else they may come again.
        """
        for viewer in list(self.viewers.values()):
            if ended:
                viewer.tell({"t": "state", "state": "ended", "reason": reason})
            viewer.close(reason)
        recording = self.stop_recording()
        self.capture.close()
        return recording

    def add(self, viewer: Viewer) -> None:
        """A viewer comes; video begins when it is ready."""
        self.viewers[viewer.number] = viewer
        self._note_watched()
        self.reassign(viewer)

    def start_recording(self, recording: Recording) -> None:
        """Record, until stop_recording."""
        self.recording = recording
        self._refresh()

    def stop_recording(self) -> Recording | None:
        """The recording that ran; it is the caller's to finish, in a thread."""
        recording, self.recording = self.recording, None
        self._refresh()
        return recording

    def codec_name(self, codec: str) -> str:
        """As pages know it."""
        return codec_string(level_for(*self.size, self._fps)) if codec == "h264" else codec

    def cursor_messages(self) -> Iterator[Message]:
        """What a new page must know of pointer and cursor."""
        if self._cursor is not None:
            yield self._cursor
        if self._pointer is not None:
            yield {"t": "pointer", "x": self._pointer.x, "y": self._pointer.y}

    def figures(self, viewer: Viewer) -> dict[str, Any]:
        """A viewer's stats."""
        return stats(
            self.capture.figures,
            self._lane(viewer),
            viewer.figures,
            len(self.viewers),
            viewer.transport,
            now_s(),
        )

    def totals(self) -> dict[str, Any]:
        """The desktop's stats for the server."""
        lanes = sum((audience.lane.figures.counts for audience in self._audiences.values()), self._gone)
        return {
            "captured": self.capture.figures.captured,
            **{what: lanes[what] for what in ("encoded", "keyframes", "dropped")},
            "watched": self._watched,
            "recording": self.recording is not None,
            "size": list(self.size),
            "viewers": {str(viewer.number): self.figures(viewer) for viewer in self.viewers.values()},
        }

    def tick(self, now: float) -> None:
        """Some times a second."""
        for viewer in list(self.viewers.values()):
            viewer.tick(now)
        for audience in self._audiences.values():
            self._set_rate(audience)
        self._correct_pointers(now)
        self._part_or_join(now)

    def _part_or_join(self, now: float) -> None:
        """Give who is far slower than the others a lane of its own, or take one back that is so no more."""
        for audience in self._audiences.values():
            for number in audience.rate.outliers():
                audience.viewers[number].parting.part(now)
                self.reassign(audience.viewers[number])
                return  # the audiences have changed: the rest at the next tick
        for viewer in self.viewers.values():
            parting = viewer.parting
            if parting.apart and parting.returns(viewer.keeps_up and self._is_near(viewer), now):
                self.reassign(viewer)
                return

    def _is_near(self, viewer: Viewer) -> bool:
        """Whether its path is about as good as those of who sees, or could see, the same pictures."""
        rates: dict[int, float] = {}
        for key, audience in self._audiences.items():
            if (key.codec, key.cursor) == (viewer.codec, viewer.burnt):
                rates |= audience.rate.rates()
        mine = rates.pop(viewer.number, None)
        return is_near(mine, list(rates.values()))

    # what viewers ask

    def wake(self, *, hot: bool) -> None:
        """Input is on its way: look soon; `hot`: it is a key, a button or the wheel."""
        self.capture.wake(hot=hot)

    def left(self, viewer: Viewer) -> None:
        """A viewer has closed."""
        self.viewers.pop(viewer.number, None)
        self._pointed.pop(viewer.number, None)
        self.reassign(viewer)
        self._note_watched()

    def pointed(self, viewer: Viewer, place: tuple[int, int], now: float) -> None:
        """A viewer moved the pointer itself."""
        viewer.place = place
        self._pointed[viewer.number] = now

    def reassign(self, viewer: Viewer) -> None:
        """Put the viewer into the lane that it wants now; costs that lane a keyframe."""
        key, was = viewer.lane_key, self._lane_of.get(viewer.number)
        if key == was:
            return
        path = None
        if was is not None:
            del self._lane_of[viewer.number]
            audience = self._audiences[was]
            del audience.viewers[viewer.number]
            path = audience.rate.leave(viewer.number)
            if not audience.viewers:
                del self._audiences[was]
                self._gone += audience.lane.figures.counts
        if key is not None:
            audience = self._audiences.setdefault(key, Audience(Lane(key, self._fps)))
            audience.viewers[viewer.number] = viewer
            if path is not None:
                audience.rate.adopt(viewer.number, path)
            self._lane_of[viewer.number] = key
            viewer.awaits_key = True
            audience.lane.orders.ask_key = True
            self._set_rate(audience)
        self._refresh()

    def rate(self, viewer: Viewer) -> RateControl | None:
        """The rate control of the viewer's lane."""
        key = self._lane_of.get(viewer.number)
        return None if key is None else self._audiences[key].rate

    def ask_keyframe(self, viewer: Viewer) -> None:
        """The viewer's lane should make a keyframe."""
        if (lane := self._lane(viewer)) is not None:
            lane.orders.ask_key = True
            self.capture.wake()

    def pause(self, viewer: Viewer, paused: bool) -> None:
        """Hold back, or go on with, the lane of a viewer that has its own."""
        lane = self._lane(viewer)
        if lane is not None and lane.key.owner == viewer.number and lane.orders.paused != paused:
            lane.orders.paused = paused
            if not paused:
                self.capture.wake()

    # what the capture tells

    def frame(self, lane: Step, frame: EncodedFrame) -> None:
        """See Listener."""
        audience = self._audiences.get(lane.key) if isinstance(lane, Lane) else None
        if audience is not None and audience.lane is lane:
            for viewer in list(audience.viewers.values()):
                viewer.awaits_key = viewer.awaits_key and not frame.key
                if not viewer.awaits_key:
                    viewer.deliver(frame)

    def pointer(self, pointer: Pointer, cursor: Cursor | None) -> None:
        """See Listener."""
        self._pointer = pointer
        if cursor is not None:
            self._cursor = cursor_message(pointer.serial, cursor)
            for viewer in self.viewers.values():
                viewer.tell(self._cursor)
        self._correct_pointers(now_s())

    def resized(self, width: int, height: int) -> None:
        """See Listener."""
        if (width, height) != self.size:
            self.size = (width, height)
            for viewer in self.viewers.values():
                viewer.tell({"t": "size", "width": width, "height": height})

    def failed(self, lane: Step, why: str) -> None:
        """See Listener."""
        if lane is self.recording:
            _log.warning("x %s: the recording ended: %s", self.sandbox, why)
            recording = self.stop_recording()
            if recording is not None:
                recording.abandon()
                self._events.recording_failed(self.sandbox, why)
        for audience in list(self._audiences.values()):
            if audience.lane is lane:
                for viewer in list(audience.viewers.values()):
                    viewer.close("the encoder failed")

    def stale(self, why: str) -> None:
        """See Listener."""
        _log.info("= %s: stale: %s", self.sandbox, why)
        self._events.stale(self.sandbox)

    def _lane(self, viewer: Viewer) -> Lane | None:
        key = self._lane_of.get(viewer.number)
        return None if key is None else self._audiences[key].lane

    def _set_rate(self, audience: Audience) -> None:
        orders = audience.lane.orders
        orders.bps = audience.rate.motion_bps()
        calm = _CALM_BOOST if audience.rate.calm() else 1.0
        boost = _REFINE_BOOST if audience.rate.near(_NEAR_RTT_S) else calm
        orders.refine_bps = min(SHARPEN_BPS, int(audience.rate.still_bps() * boost))

    def _refresh(self) -> None:
        steps: list[Step] = [audience.lane for audience in self._audiences.values()]
        if self.recording is not None:
            steps.append(self.recording)
        self.capture.set_lanes(steps)
        self._note_watched()

    def _note_watched(self) -> None:
        watched = bool(self.viewers) or self.recording is not None
        if watched != self._watched:
            self._watched = watched
            self._events.watched(self.sandbox, watched)

    def _correct_pointers(self, now: float) -> None:
        if self._pointer is None:
            return
        place = (self._pointer.x, self._pointer.y)
        for viewer in self.viewers.values():
            own_hand = now - self._pointed.get(viewer.number, float("-inf")) < _OWN_HAND_S
            if viewer.place != place and not own_hand:
                viewer.place = place
                viewer.tell({"t": "pointer", "x": place[0], "y": place[1]})
