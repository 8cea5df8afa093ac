"""What a viewer does, as actions for the guest: in order, with what piles up behind a slow guest made shorter. Pure.

A move that waits is replaced by the newer one, never past a button, key or wheel; whole notches of the wheel are summed
and the rest is kept. A full queue loses moves first, then presses and turns, and never a release.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from actions.keysyms import character_keysym
from actions.model import BUTTONS, MAX_COORDINATE, Action, KeyDown, KeyUp, MouseDown, MouseUp, Move, Scroll, Type
from desktop_sandbox.stream.keys import is_character, key_name

NOTCH = 120
MAX_QUEUED = 128
BATCH = 16
MAX_NOTCHES = 10
"""Most notches in one action: more is no quick one for the guest."""
MAX_TEXT = 4096
MAX_HELD = 32


class InputQueue:
    """The input of one desktop. Events are those of docs/streaming.md, section 2; what makes no sense is dropped."""

    def __init__(self) -> None:
        self._queue: deque[Action] = deque()
        self._held: dict[str, str] = {}
        self._buttons: set[str] = set()
        self._wheel = [0, 0]
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def holds(self) -> bool:
        """Whether a key or button is down, as far as the viewer goes."""
        return bool(self._held or self._buttons)

    def add(self, event: Mapping[str, Any]) -> None:
        """Take an event. Places are as the media process checked them; those beyond the screen X puts on its edge."""
        match event.get("t"):
            case "pointer":
                self._put_move(*_place(event))
            case "button":
                self._button(event, *_place(event))
            case "wheel":
                self._turn(event, *_place(event))
            case "key":
                self._key(event)
            case "text":
                self._text(event)
            case "release":
                self.release()

    def release(self) -> None:
        """Let go of everything that is down."""
        for name in self._held.values():
            self._put(KeyUp(name))
        for button in sorted(self._buttons):
            self._put(MouseUp(button))  # type: ignore[arg-type]  # a Button, as `_button` checked
        self._held.clear()
        self._buttons.clear()
        self._wheel = [0, 0]

    def release_usual(self) -> None:
        """Let go of what somebody else may have left down: nothing happens where it is not."""
        for name in ("Shift_L", "Control_L", "Alt_L", "Super_L"):
            self._put(KeyUp(name))
        for button in BUTTONS[:3]:
            self._put(MouseUp(button))  # type: ignore[arg-type]  # the first of all Buttons

    def forget(self) -> None:
        """Drop what waits but for releases: another one drives now."""
        self._queue = deque(action for action in self._queue if isinstance(action, (KeyUp, MouseUp)))

    def take(self) -> Sequence[Action]:
        """The next actions, to be done as one batch; text comes alone. Empty if nothing waits."""
        batch: list[Action] = []
        while self._queue and len(batch) < BATCH:
            if isinstance(self._queue[0], Type):
                if not batch:
                    batch.append(self._queue.popleft())
                break
            batch.append(self._queue.popleft())
        return batch

    def put_back(self, batch: Sequence[Action]) -> bool:
        """Of a batch that was not done, have what lets go of keys and buttons done first; whether there is any.

        Where the pointer is by then: another one may have moved it meanwhile.
        """
        ups = [action for action in batch if isinstance(action, (KeyUp, MouseUp))]
        releases = [MouseUp(action.button) if isinstance(action, MouseUp) else action for action in ups]
        self._queue.extendleft(reversed(releases))
        return bool(releases)

    def _put_move(self, x: int, y: int) -> None:
        if self._queue and isinstance(self._queue[-1], Move):
            self._queue[-1] = Move(x, y)
        else:
            self._put(Move(x, y))

    def _button(self, event: Mapping[str, Any], x: int, y: int) -> None:
        button = event.get("button")
        if button not in BUTTONS:
            return
        if event.get("down"):
            if self._put(MouseDown(button, x, y)):
                self._buttons.add(button)
        elif button in self._buttons:
            self._buttons.discard(button)
            self._put(MouseUp(button, x, y))

    def _turn(self, event: Mapping[str, Any], x: int, y: int) -> None:
        steps = [0, 0]
        for axis, name in enumerate(("dx", "dy")):
            turned = _whole(event.get(name))
            if turned * self._wheel[axis] < 0:  # the other way round: what is left over does not count against it
                self._wheel[axis] = 0
            total = self._wheel[axis] + turned
            steps[axis] = int(total / NOTCH)
            self._wheel[axis] = total - steps[axis] * NOTCH
        dx, dy = (max(-MAX_NOTCHES, min(MAX_NOTCHES, step)) for step in steps)
        if not (dx or dy):
            return
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Scroll) and (last.x, last.y) == (x, y) and abs(last.dx + dx) + abs(last.dy + dy) <= 10:
            self._queue[-1] = Scroll(x, y, last.dx + dx, last.dy + dy)
        else:
            self._put(Scroll(x, y, dx, dy))

    def _key(self, event: Mapping[str, Any]) -> None:
        keysym = _whole(event.get("keysym"))
        code = str(event.get("code") or f"keysym {keysym}")
        if not event.get("down"):
            name = self._held.pop(code, None)
            if name is not None and name not in self._held.values():
                self._put(KeyUp(name))
            return
        name = key_name(keysym)
        if name is None or code in self._held or len(self._held) >= MAX_HELD:
            return
        if self._put(KeyDown(name, exact=True if is_character(keysym) else None)):
            self._held[code] = name

    def _text(self, event: Mapping[str, Any]) -> None:
        text = event.get("text")
        if not isinstance(text, str):
            return
        typed = "".join(char for char in text[:MAX_TEXT] if _can_be_typed(char))
        if not typed:
            return
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Type) and len(last.text) + len(typed) <= MAX_TEXT:
            self._queue[-1] = Type(last.text + typed)
        else:
            self._put(Type(typed))

    def _put(self, action: Action) -> bool:
        """Queue an action; False if there is no room for it. A release always finds some."""
        release = isinstance(action, (KeyUp, MouseUp))
        if len(self._queue) >= MAX_QUEUED:
            at = next((i for i, waiting in enumerate(self._queue) if isinstance(waiting, Move)), None)
            if at is not None:
                del self._queue[at]
                self.dropped += 1
            elif not release:
                self.dropped += 1
                return False
        self._queue.append(action)
        return True


def _place(event: Mapping[str, Any]) -> tuple[int, int]:
    x, y = (max(0, min(_whole(event.get(name)), MAX_COORDINATE)) for name in ("x", "y"))
    return x, y


def _whole(value: object) -> int:
    return value if type(value) is int else 0


def _can_be_typed(char: str) -> bool:
    try:
        character_keysym(char)
    except ValueError:
        return False
    return True
