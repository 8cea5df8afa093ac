"""A viewer by WebSocket, relayed by the server: H.264 for WebCodecs, or JPEG as the last resort. In the event loop.

TCP queues what it is given, so frames are held back here: when too many are not acknowledged, an H.264 viewer moves to
a lane of its own, whose encoder waits for acknowledgements, until it could keep up again. Nothing is dropped after
encoding, and the others notice nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamer.clock import now_s, to_ms
from streamer.keyframes import DEBOUNCE_S
from streamer.messages import PICTURE, VIDEO, picture
from streamer.parting import Parting
from streamer.viewer import Outward, Viewer

if TYPE_CHECKING:
    from streamer.desktop import Desktop
    from streamer.packets import EncodedFrame

MOST_SHARED = 8  # frames on their way in a shared lane: a round trip of 130 ms at 60 a second
MOST_ALONE = 2
LONGEST_SHARED_S = 0.5
EASY_S = 0.1  # so soon a frame is acknowledged where the shared lane's would not pile up


@dataclass
class Window:
    """The frames that are not acknowledged yet. Pure; times are seconds."""

    _out: deque[tuple[int, float]] = field(default_factory=deque, init=False)

    def sent(self, seq: int, now: float) -> None:
        """A frame was sent."""
        self._out.append((seq, now))

    def acknowledged(self, seq: int, now: float) -> float | None:
        """This frame and those before it are drawn; seconds since it was sent, None if it never was."""
        if all(seq != number for number, _ in self._out):
            return None
        while True:
            number, sent_at = self._out.popleft()
            if number == seq:
                return now - sent_at

    def clear(self) -> None:
        """Forget them."""
        self._out.clear()

    @property
    def count(self) -> int:
        """How many are on their way."""
        return len(self._out)

    def age_s(self, now: float) -> float:
        """Since when the oldest is on its way."""
        return now - self._out[0][1] if self._out else 0.0


class SocketViewer(Viewer):
    """See the module."""

    transport = "socket"

    def __init__(
        self,
        number: int,
        rights: str,
        desktop: Desktop,
        outward: Outward,
        codecs: list[str],
        send: Callable[[int, bytes], None],
    ) -> None:
        h264 = any(codec.lower().startswith("avc1.42") for codec in codecs)
        super().__init__(number, rights, desktop, outward, "h264" if h264 else "jpeg")
        self.parting = Parting(always=not h264)
        self._send = send
        self._window = Window()
        self._seq = 0
        self._key_asked_at = float("-inf")

    @property
    def keeps_up(self) -> bool:
        """See Viewer."""
        delay = self.figures.rtt_s
        return delay is not None and delay <= EASY_S and self._window.age_s(now_s()) <= EASY_S

    def start(self) -> None:
        """The server relays from now on."""
        self.greet()
        self.went_live()

    def heard(self, data: bytes) -> None:
        """A message came from the page: text if it begins with a brace."""
        if self.closed:
            return
        if data[:1] == b"{":
            self.heard_text(data)
        else:
            self.heard_binary(data)

    def send_text(self, text: str) -> None:
        """See Viewer."""
        self._send(self.number, text.encode())

    def deliver(self, frame: EncodedFrame) -> None:
        """See Viewer."""
        now = now_s()
        self._seq = (self._seq + 1) & 0xFFFFFFFF  # its own, since it may change lanes
        kind = PICTURE if frame.codec == "jpeg" else VIDEO
        data = picture(kind, frame.key, self._seq, to_ms(frame.captured_s), frame.width, frame.height, frame.data)
        self._send(self.number, data)
        self._window.sent(self._seq, now)
        figures = self.figures
        figures.sent += 1
        figures.sent_ms.add((now - frame.encoded_s) * 1000, now)
        figures.bits.add(8 * len(data), now)
        figures.captured_s = frame.captured_s
        self._hold_back(now)

    def tick(self, now: float) -> None:
        """See Viewer."""
        super().tick(now)
        self._hold_back(now)

    def acknowledged(self, seq: int) -> None:
        """See Viewer."""
        now = now_s()
        delay = self._window.acknowledged(seq, now)
        if delay is None:
            return
        self.figures.rtt_s = delay
        if (rate := self._desktop.rate(self)) is not None:
            sent_bps = self.figures.bits.sum(now)
            rate.path(self.number, now).report(0.0, delay, now, packets=1, sent_bps=sent_bps)
        self._hold_back(now)

    def lost_thread(self) -> None:
        """See Viewer."""
        now = now_s()
        if now - self._key_asked_at >= DEBOUNCE_S:
            self._key_asked_at = now
            self._window.clear()
            self._desktop.ask_keyframe(self)
            self._hold_back(now)

    def shut(self) -> None:
        """See Viewer."""
        self._window.clear()

    def _hold_back(self, now: float) -> None:
        if self.closed:
            return
        if self.parting.alone:
            self._desktop.pause(self, self._window.count >= MOST_ALONE)
        elif self._window.count > MOST_SHARED or self._window.age_s(now) > LONGEST_SHARED_S:
            self.parting.part(now)
            self._desktop.reassign(self)
            self._desktop.pause(self, True)
