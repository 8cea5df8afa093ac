"""The keyboard of the X server: its keymap, its spare keys, strokes by XTEST, and what is held down.

Everything here is a request on the one connection; nothing waits for applications (drain.py does).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from Xlib import X, Xatom
from Xlib.ext import xtest

from actions.keymap import Keymap, Stroke, choose_spare_keys, common_letters, read_keymap
from actions.typing_plan import SpareKeys, runs
from guest_image.agent.x.connection import Connection

FIRST_KEYCODE = 8
KEYCODES = 248
SPARE_PROPERTY = "_DESKTOP_SANDBOX_SPARE_KEYS"


def prepare_keyboard(display: Any) -> list[int]:
    """Set keycodes aside for characters that the layout lacks; returns them, best first.

    The letters of European languages lie on them from the start, so that typing these changes no keymap.
    The list is kept in a property of the root window, so the second call only reads it. Call it before the window
    manager starts: a desktop grabs vendor keys by keycode, and a key that was grabbed types nothing.
    """
    root = display.screen().root
    atom = display.get_atom(SPARE_PROPERTY)
    known = root.get_full_property(atom, Xatom.CARDINAL)
    if known is not None and len(known.value):
        return list(known.value)
    rows = _read_rows(display)
    spare = choose_spare_keys(rows, _read_modifiers(display))
    bound = dict(zip(spare, common_letters(), strict=False))
    keys = SpareKeys(spare, bound)
    wanted = {keycode: keys.row(keycode) for keycode in spare if keycode in bound or any(rows[keycode])}
    for first, keysyms in runs(wanted, keys):
        display.change_keyboard_mapping(first, keysyms)
    root.change_property(atom, Xatom.CARDINAL, 32, spare)
    display.sync()
    return spare


def _read_rows(display: Any) -> dict[int, list[int]]:
    mapping = display.get_keyboard_mapping(FIRST_KEYCODE, KEYCODES)
    return {FIRST_KEYCODE + place: list(row) for place, row in enumerate(mapping)}


def _read_modifiers(display: Any) -> list[list[int]]:
    return [list(row) for row in display.get_modifier_mapping()]


class Keyboard:
    """The keymap as it is now. `refresh` keeps it true when somebody else changes the layout."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        display = self._display = connection.display
        self._spare_keycodes = prepare_keyboard(display)
        self._own_changes = 0
        self._group = -1
        self._rows: dict[int, list[int]] = {}
        self._modifiers: list[list[int]] = []
        self.keymap = Keymap({})
        self.holding = False
        self.state = 0
        self.spare = SpareKeys(self._spare_keycodes)
        self._reload()

    def _reload(self) -> None:
        self._rows = _read_rows(self._display)
        self._modifiers = _read_modifiers(self._display)
        bound = {k: self._rows[k] for k in self._spare_keycodes if any(self._rows[k])}
        self.spare = self.spare.renewed(bound)
        self._group = -1

    def refresh(self) -> None:
        """Take note of modifiers, of the layout group that is on, and of layout changes by others. One round trip."""
        state: int = self._connection.root.query_pointer().mask
        self.state = state & 0xFF
        self._connection.collect()
        foreign = [notice for notice in self._connection.mapping_notices if not self._is_own(notice)]
        self._connection.mapping_notices.clear()
        for notice in foreign:
            self._display.refresh_keyboard_mapping(notice)
        if foreign:
            self._own_changes = 0
            self._reload()
        group = (state >> 13) & 3
        if group != self._group:
            self._group = group
            self.keymap = read_keymap(self._rows, self._spare_keycodes, self._modifiers, group)

    def _is_own(self, notice: Any) -> bool:
        own = self._own_changes > 0 and notice.first_keycode in self._spare_keycodes
        self._own_changes -= own
        return own

    def rebind(self, changes: Mapping[int, tuple[int, int]]) -> None:
        """Give spare keys new keysyms, in as few requests as their keycodes allow."""
        for first, keysyms in runs(changes, self.spare):
            self._display.change_keyboard_mapping(first, keysyms)
            self._own_changes += 1

    def stroke(self, stroke: Stroke, shift_key: int) -> None:
        """Queue press and release of a key (with Shift around it), unsent until the next flush or round trip."""
        if stroke.shift:
            xtest.fake_input(self._display, X.KeyPress, shift_key)
        xtest.fake_input(self._display, X.KeyPress, stroke.keycode)
        xtest.fake_input(self._display, X.KeyRelease, stroke.keycode)
        if stroke.shift:
            xtest.fake_input(self._display, X.KeyRelease, shift_key)

    def press(self, keycodes: Iterable[int]) -> None:
        """Press keys, in order."""
        for keycode in keycodes:
            xtest.fake_input(self._display, X.KeyPress, keycode)

    def release(self, keycodes: Iterable[int]) -> None:
        """Release keys, in order."""
        for keycode in keycodes:
            xtest.fake_input(self._display, X.KeyRelease, keycode)

    def held_modifiers(self) -> list[int]:
        """Keycodes of modifiers that are down now; lock keys are not among them."""
        lock = set(self.keymap.lock_keys)
        return [k for k in self._held() if self.keymap.is_modifier(k) and k not in lock]

    def _held(self) -> list[int]:
        bits: Sequence[int] = self._display.query_keymap()
        return [place * 8 + bit for place, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1]

    def caps_lock_on(self) -> bool:
        """Whether caps lock would change letters, as of the last `refresh`."""
        return bool(self.state & X.LockMask)

    def tap_caps_lock(self) -> None:
        """Switch caps lock over, by its key."""
        for keycode in self.keymap.lock_keys[:1]:
            self.stroke(Stroke(keycode, False), 0)

    def release_leftovers(self) -> None:
        """Let go what an agent that was killed held down: this machine has no other keyboard or mouse."""
        held = self._held()
        self.release(held)
        for button in (1, 2, 3, 8, 9):
            xtest.fake_input(self._display, X.ButtonRelease, button)
        self._display.flush()

    def repeat(self, on: bool) -> None:
        """Auto-repeat: only on while a key is held on purpose, so that no stall of the machine doubles a character."""
        mode = X.AutoRepeatModeOn if on else X.AutoRepeatModeOff
        self._display.change_keyboard_control(auto_repeat_mode=mode)
