"""The pointer: moves, buttons, wheel and drags, through pynput's mouse controller."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from Xlib import X

from actions.model import Click, Drag, MouseDown, MouseUp, Scroll
from actions.pointer_path import before_end, plan_drag, plan_wheel
from guest_image.agent.x.failure import ActionFailed
from guest_image.agent.x.pauses import pause_until

_BUTTON_NAMES = {"left": "left", "middle": "middle", "right": "right", "back": "button8", "forward": "button9"}

_BETWEEN_CLICKS_S = 0.02
_RELEASE_S = 1.0
# so few moves between a press and its release are a program's; the last may be the one that a window manager misses
_FEW_MOVES = 3
_LOOK_S = (0.001, 0.002, 0.004, 0.008, 0.016)
_MASKS = {"left": X.Button1Mask, "middle": X.Button2Mask, "right": X.Button3Mask}


class Pointer:
    """What a mouse does. Positions are screen pixels; outside the screen the X server would clamp them in silence."""

    def __init__(self, mouse: Any, buttons: Any, display: Any) -> None:
        self._mouse = mouse
        self._flush = display.flush
        self._root = display.screen().root
        self._released = 0
        self._at: tuple[int, int] | None = None
        self._held_path: list[tuple[int, int]] = []
        self._buttons = {name: buttons[member] for name, member in _BUTTON_NAMES.items()}

    def position(self) -> tuple[int, int]:
        """Where the pointer is. One round trip."""
        x, y = self._mouse.position
        return int(x), int(y)

    def move(self, x: int, y: int) -> None:
        """Be at (x, y)."""
        if (x, y) != self._at:
            self.settle()
        self._mouse.position = self._at = (x, y)
        if self._held_path and len(self._held_path) <= _FEW_MOVES + 1:
            self._held_path.append((x, y))

    def click(self, action: Click) -> None:
        """Move if told where, then click."""
        self._go(action.x, action.y)
        for number in range(action.count):
            if number:
                # clicks of one millisecond carry one time stamp, and Chromium takes them for one click
                self._flush()
                time.sleep(_BETWEEN_CLICKS_S)
            self._mouse.click(self._buttons[action.button], 1)
        self._released |= _MASKS.get(action.button, 0)

    def down(self, action: MouseDown) -> None:
        """Move if told where, then press."""
        self._go(action.x, action.y)
        self._mouse.press(self._buttons[action.button])
        self._released &= ~_MASKS.get(action.button, 0)  # down on purpose: nobody waits for it to go up
        self._held_path = [self.position()]

    def up(self, action: MouseUp, seen: Callable[[], None]) -> None:
        """Move if told where, then let go.

        After a few moves only, the end is come to twice, as a drag's is: xfwm4 takes the first move to tell a drag
        from a click, and moves the window with those that follow.
        """
        self._go(action.x, action.y)
        path, self._held_path = self._held_path, []
        beside = before_end(path) if 1 < len(path) <= _FEW_MOVES + 1 else None
        try:
            if beside is not None:
                self._come_again(beside, path[-1], seen)
        finally:
            self._mouse.release(self._buttons[action.button])
            self._released |= _MASKS.get(action.button, 0)

    def scroll(self, action: Scroll, cancelled: Callable[[], bool]) -> None:
        """Turn the wheel, ten steps between two looks at `cancelled`."""
        self._go(action.x, action.y)
        done = [0, 0]
        for dx, dy in plan_wheel(action.dx, action.dy):
            if cancelled():
                raise ActionFailed("cancelled", "scroll was cancelled", partial={"dx": done[0], "dy": done[1]})
            self._mouse.scroll(dx, -dy)  # pynput counts up as positive
            done[0] += dx
            done[1] += dy

    def drag(self, action: Drag, cancelled: Callable[[], bool], seen: Callable[[], None]) -> None:
        """Press, visit the planned points in time, let go: also when it fails or is cancelled.

        `seen` waits until the application has read what was done: one that begins to drag only after the button is up
        again drags nothing, and a slow window manager would. And once it knows of the drag, it takes the pointer for
        itself: a move in that moment reaches nobody. So the end is come to twice, the second time from a pixel away.
        """
        button = self._buttons[action.button]
        self.move(*action.path[0])
        self._mouse.press(button)
        self._released &= ~_MASKS.get(action.button, 0)
        try:
            seen()
            start = time.monotonic()
            for point in plan_drag(action.path, action.duration_ms):
                self._flush()
                pause_until(start + point.at_ms / 1000, cancelled, "the drag")
                self.move(point.x, point.y)
            beside = before_end(action.path)
            if beside is not None:
                self._come_again(beside, action.path[-1], seen)
        except ActionFailed as failure:
            x, y = self.position()
            failure.partial = {"x": x, "y": y}
            raise
        finally:
            self._mouse.release(button)
            self._released |= _MASKS.get(action.button, 0)

    def settle(self) -> None:
        """Wait until X has let the last buttons go: before the pointer leaves, and before keys.

        A window manager that looks at each click first (click to focus) holds back what follows the press. A move in
        that time overtakes the release, and the click becomes a drag to the new place; a key goes where the focus was.
        """
        if not self._released:
            return
        buttons, self._released = self._released, 0
        deadline = time.monotonic() + _RELEASE_S
        for attempt in itertools.count():
            if not self._root.query_pointer().mask & buttons or time.monotonic() >= deadline:
                return
            time.sleep(_LOOK_S[min(attempt, len(_LOOK_S) - 1)])

    def _come_again(self, beside: tuple[int, int], end: tuple[int, int], seen: Callable[[], None]) -> None:
        """Come to `end` once more, when the application has seen what was before, and let it see that."""
        seen()
        self.move(*beside)
        self.move(*end)
        seen()

    def _go(self, x: int | None, y: int | None) -> None:
        if x is not None and y is not None:
            self.move(x, y)
