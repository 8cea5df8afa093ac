"""What the keyboard can type as it is: reads a core X keymap. Decides only: the rows are handed in.

Follows the X protocol, section 5 ("Keyboards"): two columns a group, the second of them with Shift; a missing second
column means lower and upper case of the first. Level 3 (AltGr) is not used: such characters go to spare keys,
which is as exact and does not depend on the layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from actions.keysyms import character_keysym, keysym_character

NO_SYMBOL = 0
Rows = Mapping[int, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Stroke:
    """Press and release `keycode`, with Shift or without."""

    keycode: int
    shift: bool


@dataclass(frozen=True)
class Keymap:
    """Strokes by keysym, from the keys that are not spare; characters also under the keysym typing uses."""

    strokes: Mapping[int, Stroke]
    modifiers: Sequence[Sequence[int]] = field(default_factory=lambda: [()] * 8)
    shifted: Mapping[int, int] = field(default_factory=dict)
    """What each key means while Shift is held, by keycode."""

    @property
    def lock_keys(self) -> Sequence[int]:
        """Keycodes that switch caps lock."""
        return self.modifiers[1]

    @property
    def shift_keys(self) -> Sequence[int]:
        """Keycodes that are Shift."""
        return self.modifiers[0]

    def is_modifier(self, keycode: int) -> bool:
        """Whether the key changes what other keys type."""
        return any(keycode in row for row in self.modifiers)


def read_keymap(rows: Rows, spare: Sequence[int], modifiers: Sequence[Sequence[int]], group: int = 0) -> Keymap:
    """The strokes of a keymap, `rows` being keycode -> keysyms, `modifiers` the keycodes of the eight modifiers.

    `group` is the layout that is switched on; beyond the second the core keymap says nothing certain, and only keys
    that are no characters are used.
    """
    left_out = set(spare)
    strokes: dict[int, Stroke] = {}
    shifted: dict[int, int] = {}
    for shift in (False, True):
        for keycode in sorted(rows):
            if keycode in left_out:
                continue
            keysym = _columns(rows[keycode], group)[shift]
            if shift:
                shifted[keycode] = keysym
            char = keysym_character(keysym)
            if keysym == NO_SYMBOL or (char is not None and group > 1):
                continue
            stroke = Stroke(keycode, shift)
            strokes.setdefault(keysym, stroke)
            if char is not None:
                strokes.setdefault(character_keysym(char), stroke)
    kept = [[keycode for keycode in row if keycode] for row in modifiers]
    return Keymap(strokes, kept, shifted)


def _columns(row: Sequence[int], group: int) -> tuple[int, int]:
    padded = [*row, NO_SYMBOL, NO_SYMBOL, NO_SYMBOL, NO_SYMBOL][: max(4, len(row))]
    low, high = padded[2:4] if group == 1 and any(padded[2:4]) else padded[0:2]
    if high != NO_SYMBOL or low == NO_SYMBOL:
        return low, high
    char = keysym_character(low)
    if char is None:
        return low, NO_SYMBOL
    cases = [case if len(case) == 1 else char for case in (char.lower(), char.upper())]
    return character_keysym(cases[0]), character_keysym(cases[1])


_SOUND = (0x1008FF11, 0x1008FF12, 0x1008FF13, 0x1008FF14, 0x1008FF15, 0x1008FF16, 0x1008FF17)
_BROWSER = (0x1008FF18, 0x1008FF1B, 0x1008FF26, 0x1008FF27, 0x1008FF28, 0x1008FF29, 0x1008FF30, 0x1008FF73)
_CLIPBOARD = (0x1008FF57, 0x1008FF58, 0x1008FF6B, 0x1008FF6D)
_KEPT_VENDOR_KEYS = frozenset((*_SOUND, *_BROWSER, *_CLIPBOARD))
_COMMON = "äöüßéèêëàâáåãæçíìîïñóòôõøœúùûýčćďěňřšťůžąęłńśźżğışőű" + "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїє" + "–—“”‘’…€«»"


def common_letters() -> list[tuple[int, int]]:
    """Keysyms of letters many texts need, lower and upper case, for spare keys to begin with."""
    pairs = []
    for char in _COMMON:
        upper = char.upper()
        pairs.append((character_keysym(char), character_keysym(upper if len(upper) == 1 else char)))
    return pairs


_LAST_BLOCK = 208


def choose_spare_keys(rows: Rows, modifiers: Sequence[Sequence[int]]) -> list[int]:
    """Keycodes to give to characters: unused ones, and laptop and vendor keys that no keyboard here has.

    Volume, media and browser keys stay the first time they occur. From 208 up all but modifiers are taken, in one run,
    so that one request can bind them all; the run comes first.
    """
    taken = {keycode for row in modifiers for keycode in row}
    kept: set[int] = set()
    spare = []
    for keycode in sorted(rows):
        keysyms = {keysym for keysym in rows[keycode] if keysym}
        if keycode in taken:
            continue
        if keycode < _LAST_BLOCK:
            precious = any(keysym in _KEPT_VENDOR_KEYS and keysym not in kept for keysym in keysyms)
            if precious or not all(0x10050000 <= keysym <= 0x1009FFFF for keysym in keysyms):
                kept |= keysyms
                continue
        spare.append(keycode)
    return [k for k in spare if k >= _LAST_BLOCK] + [k for k in spare if k < _LAST_BLOCK]
