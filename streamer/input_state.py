"""Decides what becomes of one viewer's input: what is passed on, and what is let go of by itself. Pure.

It remembers which keys and buttons this viewer holds. They are released when the page says so, when it holds something
and is silent for a second, and when it leaves. Times are seconds, passed in; messages come checked (messages.parse).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streamer.messages import Message, newer

SILENCE_S = 1.0
MOST_HELD = 64
_NAMELESS = "keysym "


class InOrder:
    """Numbered inputs that come by two channels: each counts once, in the order of their numbers, from 1 on.

    All come in order by the one; by the other some come as copies, sooner where the first was lost on the way.
    """

    def __init__(self) -> None:
        self._next = 1

    def takes(self, number: int, *, copy: bool) -> bool:
        """Whether this one is to be carried out now."""
        if number < self._next or (copy and number > self._next):
            return False
        self._next = number + 1
        return True


@dataclass
class InputState:
    """One viewer's keys, buttons and pointer."""

    _keys: dict[str, int] = field(default_factory=dict, init=False)
    _buttons: dict[str, None] = field(default_factory=dict, init=False)
    _place: tuple[int, int] = field(default=(0, 0), init=False)
    _seq: int | None = field(default=None, init=False)
    _heard: float = field(default=0.0, init=False)

    @property
    def holds(self) -> bool:
        """Whether a key or button is down."""
        return bool(self._keys or self._buttons)

    def alive(self, now: float) -> None:
        """A sign of life."""
        self._heard = now

    def message(self, message: Message, now: float) -> list[Message]:
        """Take a key, text, button, wheel or release message; the events to pass on."""
        self._heard = now
        match message["t"]:
            case "release":
                return self.release()
            case "key":
                return self._key(message)
            case "button":
                return self._button(message)
            case "wheel":
                self._place = (message["x"], message["y"])
        return [message]

    def pointer(self, seq: int, x: int, y: int, now: float) -> list[Message]:
        """Take a pointer message; nothing comes of one that is older than the newest."""
        self._heard = now
        if self._seq is not None and not newer(seq, self._seq):
            return []
        self._seq, self._place = seq, (x, y)
        return [{"t": "pointer", "x": x, "y": y}]

    def expire(self, now: float) -> list[Message]:
        """What to release because nothing was heard for a second while something was held."""
        return self.release() if self.holds and now - self._heard >= SILENCE_S else []

    def release(self) -> list[Message]:
        """Let go of everything, the newest first."""
        x, y = self._place
        events: list[Message] = [
            {"t": "button", "button": name, "down": False, "x": x, "y": y} for name in reversed(self._buttons)
        ]
        events += [
            {"t": "key", "down": False, "code": "" if name.startswith(_NAMELESS) else name, "keysym": keysym}
            for name, keysym in reversed(self._keys.items())
        ]
        self._keys.clear()
        self._buttons.clear()
        return events

    def _key(self, message: Message) -> list[Message]:
        # a key without a position (virtual keyboards) is known by its keysym
        name = message["code"] or f"{_NAMELESS}{message['keysym']}"
        if message["down"]:
            if name in self._keys or len(self._keys) >= MOST_HELD:
                return []
            self._keys[name] = message["keysym"]
            return [message]
        held = self._keys.pop(name, None)
        if held is None:
            return []
        # what went down must come up, even if the layout changed meanwhile
        return [{**message, "keysym": held}]

    def _button(self, message: Message) -> list[Message]:
        self._place = (message["x"], message["y"])
        name = message["button"]
        if message["down"] == (name in self._buttons):
            return []
        if message["down"]:
            self._buttons[name] = None
        else:
            del self._buttons[name]
        return [message]
