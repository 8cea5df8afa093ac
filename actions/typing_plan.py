"""Plans how text becomes key strokes: which spare key gets which character, and when it may be given to another.

Decides only: no X, no clock. The rule that makes typing exact: an application looks a key up in the newest keymap
when it comes to *handle* the event, long after the stroke. So a key may get a new meaning only if no stroke of it can
still be unread. Slots that were struck since the last proof (`drained`) are *dirty* and never rebound; adding a meaning
to a slot that is not dirty harms nobody. Each spare key has two slots, without and with Shift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actions.keymap import NO_SYMBOL, Keymap, Stroke
from actions.keysyms import character_keysym

LOOKAHEAD = 4000


def text_keysyms(text: str) -> list[int]:
    """One keysym per stroke: CR LF is one Return; raises ActionValueError for what no key types."""
    return [character_keysym(char) for char in text.replace("\r\n", "\n")]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next: change the keymap by `rebind` (keycode -> both keysyms), then strike `strokes`.

    With no strokes at all, nothing can be bound before the application has read what was typed: drain, plan again.
    """

    rebind: Mapping[int, tuple[int, int]]
    strokes: Sequence[Stroke]

    @property
    def must_drain(self) -> bool:
        """Whether the application has to catch up first."""
        return not self.strokes


class SpareKeys:
    """Which character lies on which spare key; least recently used ones are given away first."""

    def __init__(self, keycodes: Sequence[int], bound: Mapping[int, Sequence[int]] | None = None) -> None:
        """`keycodes` in order of preference; `bound` what lies on them now (keycode -> keysyms)."""
        if not keycodes:
            raise ValueError("typing needs at least one spare keycode")
        self.keycodes = tuple(keycodes)
        slots = [Stroke(k, False) for k in self.keycodes] + [Stroke(k, True) for k in self.keycodes]
        self._keysyms: dict[Stroke, int] = dict.fromkeys(slots, NO_SYMBOL)  # in order of use: first is oldest
        self._slots: dict[int, Stroke] = {}
        self._dirty: set[Stroke] = set()
        for keycode, row in (bound or {}).items():
            for shift, keysym in enumerate(row[:2]):
                slot = Stroke(keycode, bool(shift))
                if keysym != NO_SYMBOL and slot in self._keysyms and keysym not in self._slots:
                    self._assign(slot, keysym)

    def renewed(self, bound: Mapping[int, Sequence[int]]) -> SpareKeys:
        """The same spare keys after somebody else changed the keymap to `bound`; what was dirty stays so."""
        fresh = SpareKeys(self.keycodes, bound)
        fresh._dirty = set(self._dirty)
        return fresh

    def __len__(self) -> int:
        return len(self._keysyms)

    def drained(self) -> None:
        """The application has read every stroke so far: all slots may be rebound."""
        self._dirty.clear()

    def row(self, keycode: int) -> tuple[int, int]:
        """The keysyms of a spare key without and with Shift; a lone one stands in both places,
        or the server would add its other case."""
        low, high = self._keysyms[Stroke(keycode, False)], self._keysyms[Stroke(keycode, True)]
        return low or high, high or low

    def plan(self, keymap: Keymap, keysyms: Sequence[int], limit: int) -> Plan:
        """Plan up to `limit` strokes from the start of `keysyms`.

        What lies further ahead is bound along with it, as far as there is room, so that the keymap changes rarely.
        """
        rebind: set[int] = set()
        reserved: set[Stroke] = set()
        reachable = 0
        window = keysyms[:limit]
        if any(keysym not in keymap.strokes and keysym not in self._slots for keysym in window):
            window = keysyms[: max(limit, LOOKAHEAD)]
        for keysym in window:
            if keysym not in keymap.strokes:
                slot = self._slots.get(keysym) or self._free_slot(reserved)
                if slot is None:
                    break
                if self._keysyms[slot] != keysym:
                    self._assign(slot, keysym)
                    rebind.add(slot.keycode)
                reserved.add(slot)
            reachable += 1
        strokes = [self._stroke(keymap, keysym) for keysym in keysyms[: min(limit, reachable)]]
        return Plan({keycode: self.row(keycode) for keycode in sorted(rebind)}, strokes)

    def _stroke(self, keymap: Keymap, keysym: int) -> Stroke:
        stroke = keymap.strokes.get(keysym)
        if stroke is None:
            stroke = self._slots[keysym]
            self._dirty.add(stroke)
            self._keysyms[stroke] = self._keysyms.pop(stroke)
        return stroke

    def _free_slot(self, reserved: set[Stroke]) -> Stroke | None:
        usable = [slot for slot in self._keysyms if slot not in self._dirty and slot not in reserved]
        empty = [slot for slot in usable if self._keysyms[slot] == NO_SYMBOL]
        return next(iter(empty or usable), None)

    def _assign(self, slot: Stroke, keysym: int) -> None:
        former = self._keysyms.pop(slot)
        if self._slots.get(former) == slot:
            del self._slots[former]
        self._keysyms[slot] = keysym
        self._slots[keysym] = slot


def runs(
    rebind: Mapping[int, tuple[int, int]], spare: SpareKeys, gap: int = 8
) -> list[tuple[int, list[tuple[int, int]]]]:
    """Group changed keys into few requests: (first keycode, rows). Spare keys in between are written as they are."""
    known = set(spare.keycodes)
    groups: list[tuple[int, list[tuple[int, int]]]] = []
    for keycode in sorted(rebind):
        if groups:
            first, rows = groups[-1]
            between = range(first + len(rows), keycode)
            if len(between) <= gap and known.issuperset(between):
                rows.extend(spare.row(k) for k in between)
                rows.append(rebind[keycode])
                continue
        groups.append((keycode, [rebind[keycode]]))
    return groups
