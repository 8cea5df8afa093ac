"""Named keys and combinations, through pynput's keyboard controller where the layout has the key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from actions.errors import ActionValueError
from actions.keysyms import keysym_character, resolve_key
from guest_image.agent.x.failure import ActionFailed
from guest_image.agent.x.pauses import pause_until
from guest_image.agent.x.typist import Typist

Cancelled = Callable[[], bool]


class Keys:
    """Presses and releases keys by name and remembers what each press put down."""

    def __init__(self, typist: Typist, controller: Any, display: Any, deferred: Any) -> None:
        self._typist = typist
        self._keyboard = typist.keyboard
        self._controller = controller
        self._display = display
        self._deferred = deferred
        self._down: dict[int, list[int]] = {}

    def combination(self, names: Sequence[str], repeat: int, cancelled: Cancelled) -> None:
        """All down in order, all up in reverse, `repeat` times."""
        self._keyboard.refresh()
        self._keyboard.repeat(self._keyboard.holding)
        for number in range(repeat):
            if cancelled():
                raise ActionFailed(
                    "cancelled", f"key was cancelled after {number} of {repeat}", partial={"repeat": number}
                )
            with self.held(names, cancelled, fresh=False):
                pass

    def hold(self, names: Sequence[str], duration_ms: int, cancelled: Cancelled) -> None:
        """Keep keys down for a time, with the auto-repeat a real keyboard has."""
        start = time.monotonic()
        self._keyboard.repeat(True)  # before the press: X begins to repeat then or not at all
        with self.held(names, cancelled):
            self._display.flush()
            try:
                pause_until(start + duration_ms / 1000, cancelled, "the hold")
            except ActionFailed as failure:
                failure.partial = {"held_ms": round((time.monotonic() - start) * 1000)}
                raise
        self._keyboard.repeat(self._keyboard.holding)
        self._display.flush()

    @contextmanager
    def held(self, names: Sequence[str], cancelled: Cancelled, *, fresh: bool = True) -> Iterator[None]:
        """Keys are down inside the block, and up after it whatever happens. Keys held already stay as they are."""
        if names and fresh:
            self._keyboard.refresh()
        pressed: list[int] = []
        try:
            for name in names:
                pressed += self._press(self._keysym(name), cancelled)
            yield
        finally:
            self._release(pressed[::-1])

    def down(self, name: str, cancelled: Cancelled, *, exact: bool = False) -> None:
        """Press a key and leave it down. `exact`: Shift that is held does not make another character of it.

        A keyboard of another layout may need Shift for what this one has without: Shift+7 is "/" in Germany.
        """
        self._keyboard.refresh()
        keysym = self._keysym(name)
        if keysym not in self._down:
            self._down[keysym] = self._press(keysym, cancelled, exact=exact)
        self._hold_changed()

    def up(self, name: str, cancelled: Cancelled) -> None:
        """Let a key go, and the Shift that its press needed. A key that nobody pressed is let go all the same."""
        self._keyboard.refresh()
        keysym = self._keysym(name)
        pressed = self._down.pop(keysym, None)
        self._release([self._typist.key_stroke(keysym, cancelled).keycode] if pressed is None else pressed[::-1])
        self._hold_changed()

    def _hold_changed(self) -> None:
        self._keyboard.holding = bool(self._down)
        self._keyboard.repeat(self._keyboard.holding)
        self._display.flush()

    def _press(self, keysym: int, cancelled: Cancelled, *, exact: bool = False) -> list[int]:
        """Press a key, after Shift if it takes one that is not down; returns what was pressed, as keycodes."""
        stroke = self._typist.key_stroke(keysym, cancelled)
        pressed: list[int] = []
        shifts = set(self._keyboard.keymap.shift_keys) & set(self._keyboard.held_modifiers())
        if stroke.shift and not shifts:
            pressed = list(self._keyboard.keymap.shift_keys[:1])
            self._keyboard.press(pressed)
        in_the_way = shifts if exact and not stroke.shift and self._means_another(keysym, stroke.keycode) else ()
        self._keyboard.release(in_the_way)
        if self._display.keysym_to_keycode(keysym) == stroke.keycode:
            self._controller.press(self._controller._KeyCode.from_vk(keysym))
        else:
            self._keyboard.press([stroke.keycode])
            self._display.flush()
        self._keyboard.press(in_the_way)
        return [*pressed, stroke.keycode]

    def _means_another(self, keysym: int, keycode: int) -> bool:
        """Whether the key would type another character with Shift; keys like Left stay what they are."""
        return keysym_character(keysym) is not None and self._keyboard.keymap.shifted.get(keycode) != keysym

    def _release(self, keycodes: Sequence[int]) -> None:
        self._keyboard.release(keycodes)
        self._deferred.sync()

    def _keysym(self, name: str) -> int:
        try:
            return resolve_key(name)
        except ActionValueError as error:
            raise ActionFailed("invalid", error.message, hint=error.hint) from error
