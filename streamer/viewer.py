"""One viewer: what its page says, checked and passed on, and what it is told. The transports derive from it.

Input is taken only from viewers with the right to control; that is decided here, not in the page. Runs in the event
loop.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from streamer.clock import now_s, to_ms
from streamer.figures import ViewerFigures
from streamer.input_state import InOrder, InputState
from streamer.lane import LaneKey
from streamer.messages import CONTROLLING, INPUT, VERSION, Message, MessageError, parse, parse_pointer
from streamer.parting import Parting

if TYPE_CHECKING:
    from streamer.desktop import Desktop
    from streamer.packets import EncodedFrame

SILENCE_S = 10.0  # a visible page that pinged once and says nothing for so long is gone
_MOST_PENDING = 16
_MOST_ERRORS_A_S = 5


class Outward(Protocol):
    """What a viewer tells the server."""

    def input(self, viewer: int, events: list[Message]) -> None:
        """Input events to carry out."""
        ...

    def message(self, viewer: int, message: Message) -> None:
        """A message that is the server's to answer."""
        ...

    def state(self, viewer: int, state: str, transport: str, reason: str | None) -> None:
        """The viewer is connecting, live, or closed."""
        ...

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Something to do beside."""
        ...


class Viewer:
    """One viewer of one desktop, by whatever transport."""

    transport = ""

    def __init__(self, number: int, rights: str, desktop: Desktop, outward: Outward, codec: str) -> None:
        self.number = number
        self.rights = rights
        self.codec = codec
        self.figures = ViewerFigures()
        self.visible = True
        self.closed = False
        self.burnt = False
        self.parting = Parting()
        self.awaits_key = True
        self.place: tuple[int, int] | None = None
        self.wants_stats = False
        self._desktop = desktop
        self._outward = outward
        self._input = InputState()
        self._order = InOrder()
        self._greeted = False
        self._pending: deque[Message] = deque(maxlen=_MOST_PENDING)
        self._heard_at = now_s()
        self._pinged = False
        self._errors: deque[float] = deque(maxlen=_MOST_ERRORS_A_S)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} of {self._desktop.sandbox}>"

    # what a transport provides

    def send_text(self, text: str) -> None:
        """Send a message to the page; lost if it cannot be."""
        raise NotImplementedError

    def deliver(self, frame: EncodedFrame) -> None:
        """Send a frame of this viewer's lane."""
        raise NotImplementedError

    def shut(self) -> None:
        """End the transport, once."""
        raise NotImplementedError

    # what the desktop needs

    @property
    def lane_key(self) -> LaneKey | None:
        """The lane that this viewer wants now; None for no video."""
        if self.closed or not self.visible or not self.ready:
            return None
        return LaneKey(self.codec, self.burnt, self.number if self.parting.alone else None)

    @property
    def ready(self) -> bool:
        """Whether the transport can take video."""
        return True

    @property
    def keeps_up(self) -> bool:
        """Whether the transport, as far as it can tell, would bear the frames that others get."""
        return True

    def tell(self, message: Message) -> None:
        """Send a message to the page; before its `hello` it waits."""
        if self._greeted:
            self.send_text(json.dumps(message, ensure_ascii=False, separators=(",", ":")))
        else:
            self._pending.append(message)

    def greet(self) -> None:
        """The page can be spoken to: say hello, then what has waited."""
        self._greeted = True
        waiting, self._pending = list(self._pending), deque(maxlen=_MOST_PENDING)
        width, height = self._desktop.size
        self.tell(
            {
                "t": "hello",
                "version": VERSION,
                "sandbox": self._desktop.sandbox,
                "rights": self.rights,
                "width": width,
                "height": height,
                "codec": self._desktop.codec_name(self.codec),
            }
        )
        for message in [*self._desktop.cursor_messages(), *waiting]:
            self.tell(message)

    def went_live(self) -> None:
        """The transport is up."""
        self._heard_at = now_s()
        self._outward.state(self.number, "live", self.transport, None)

    def close(self, reason: str) -> None:
        """End it: everything held is let go of, the server is told."""
        if self.closed:
            return
        self.closed = True
        self._forward(self._input.release())
        self.shut()
        self._desktop.left(self)
        self._outward.state(self.number, "closed", self.transport, reason)

    def tick(self, now: float) -> None:
        """Some times a second: let go of what is held in silence, notice that the page is gone."""
        self._forward(self._input.expire(now))
        if self._pinged and self.visible and now - self._heard_at > SILENCE_S:
            self.close("silent")

    # what the page says

    def heard_text(self, text: str | bytes, *, copy: bool = False) -> None:
        """A JSON message came; `copy`: a numbered input's, by the channel that keeps no order."""
        now = self._heard_at = now_s()
        try:
            message = parse(text, *self._desktop.size)
        except MessageError as error:
            self._refuse(error.code, str(error), None, now, error.about)
            return
        kind, number = message["t"], message.pop("i", None)
        if not (self._order.takes(number, copy=copy) if number is not None else not copy):
            return
        if kind in CONTROLLING and self.rights != "control":
            about = {"n": message["n"]} if kind == "clipboard" else None
            self._refuse("view-only", "This link is for watching only.", "Ask for a link with control.", now, about)
        elif kind in INPUT or kind == "release":
            self._forward(self._input.message(message, now))
            if "x" in message:
                self._desktop.pointed(self, (message["x"], message["y"]), now)
        else:
            self._handle(message, now)

    def heard_binary(self, data: bytes) -> None:
        """A binary message came; one that is wrong or not allowed is dropped, as it is one of very many."""
        now = self._heard_at = now_s()
        if self.rights != "control":
            self._refuse("view-only", "This link is for watching only.", "Ask for a link with control.", now)
            return
        try:
            seq, x, y = parse_pointer(data, *self._desktop.size)
        except MessageError as error:
            self._refuse(error.code, str(error), None, now)
            return
        if events := self._input.pointer(seq, x, y, now):
            self._desktop.pointed(self, (x, y), now)
            self._forward(events)

    def acknowledged(self, seq: int) -> None:
        """The page has drawn this frame (WebSocket)."""

    def lost_thread(self) -> None:
        """The page's decoder needs a keyframe (WebSocket)."""

    def _handle(self, message: Message, now: float) -> None:
        match message["t"]:
            case "alive":
                self._input.alive(now)
            case "ping":
                self._pinged = True
                self.tell({"t": "pong", "at": message["at"], "now": to_ms(now)})
            case "visible":
                self.visible = message["visible"]
                self._desktop.reassign(self)
            case "stats":
                self.wants_stats = message["on"]
            case "ack":
                self.acknowledged(message["seq"])
            case "keyframe":
                self.lost_thread()
            case _:
                self._outward.message(self.number, message)

    def _forward(self, events: list[Message]) -> None:
        if events:
            self._outward.input(self.number, events)
            self._desktop.wake(hot=any(event["t"] != "pointer" for event in events))

    def _refuse(self, code: str, message: str, hint: str | None, now: float, about: Message | None = None) -> None:
        """Tell why something is not done: what waits for an answer (`about`) always, else a few times a second."""
        if not about and len(self._errors) == _MOST_ERRORS_A_S and now - self._errors[0] < 1.0:
            return
        self._errors.append(now)
        self.tell({"t": "error", "code": code, "message": message, "hint": hint, **(about or {})})
