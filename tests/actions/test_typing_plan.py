from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.errors import ActionValueError
from actions.keymap import Keymap, Stroke, choose_spare_keys, read_keymap
from actions.keysyms import keysym_character
from actions.typing_plan import SpareKeys, runs, text_keysyms

NO_MODIFIERS = [[]] * 8
LATIN = {38: [0x61, 0x41], 10: [0x31, 0x21], 36: [0xFF0D, 0], 65: [0x20, 0]}


class LateReader:
    """The worst application there is: it looks keys up only when it must, by the keymap of that moment."""

    def __init__(self, rows):
        self.rows = dict(rows)
        self.queue = deque()
        self.text = ""

    def read(self, count):
        for _ in range(min(count, len(self.queue))):
            stroke = self.queue.popleft()
            keysym = self.rows[stroke.keycode][stroke.shift]
            self.text += "\n" if keysym == 0xFF0D else keysym_character(keysym)


@settings(max_examples=200)
@given(
    text=st.text(alphabet="aA1 \nбвгдеёжз世界漢字éÉ🙂", max_size=120),
    spare=st.integers(1, 5),
    limit=st.integers(1, 20),
    lag=st.lists(st.integers(0, 6), min_size=1, max_size=10),
)
def test_the_latest_reader_reads_exact_text(text, spare, limit, lag):
    keycodes = list(range(200, 200 + spare))
    keymap, keys = read_keymap(LATIN, keycodes, NO_MODIFIERS), SpareKeys(keycodes)
    reader = LateReader(LATIN)
    keysyms, done, turns = text_keysyms(text), 0, 0
    while done < len(keysyms):
        plan = keys.plan(keymap, keysyms[done:], limit)
        if plan.must_drain:
            reader.read(len(reader.queue))
            keys.drained()
            plan = keys.plan(keymap, keysyms[done:], limit)
        assert plan.strokes
        for first, rows in runs(plan.rebind, keys):
            reader.rows.update({first + place: row for place, row in enumerate(rows)})
        reader.queue.extend(plan.strokes)
        reader.read(lag[turns % len(lag)])
        done, turns = done + len(plan.strokes), turns + 1
    reader.read(len(reader.queue))
    assert reader.text == text.replace("\r\n", "\n")


def test_a_whole_text_is_bound_by_one_change():
    keycodes = list(range(150, 250))
    keymap, keys = read_keymap(LATIN, keycodes, NO_MODIFIERS), SpareKeys(keycodes)
    keysyms = text_keysyms("".join(chr(0x430 + number) for number in range(90)))
    first = keys.plan(keymap, keysyms, 10)
    assert len(first.rebind) == 90
    assert len(runs(first.rebind, keys)) == 1
    assert not keys.plan(keymap, keysyms[10:], 10).rebind


def test_what_lies_on_spare_keys_is_found_again():
    keys = SpareKeys([200, 201], {200: [0x1000436, 0x1000416]})
    plan = keys.plan(Keymap({}), [0x1000436, 0x1000416], 10)
    assert not plan.rebind
    assert plan.strokes == [Stroke(200, False), Stroke(200, True)]


def test_a_lone_capital_keeps_its_case():
    keys = SpareKeys([200])
    assert keys.plan(Keymap({}), [0x1000416], 1).rebind == {200: (0x1000416, 0x1000416)}


def test_a_changed_layout_leaves_dirty_keys_alone():
    keys = SpareKeys([200])
    keys.plan(Keymap({}), [1, 2], 2)
    renewed = keys.renewed({})
    assert renewed.plan(Keymap({}), [3], 1).must_drain
    renewed.drained()
    assert not renewed.plan(Keymap({}), [3], 1).must_drain


def test_no_spare_keys():
    with pytest.raises(ValueError, match="spare"):
        SpareKeys([])


def test_runs_bridge_only_spare_keys():
    keys = SpareKeys([200, 201, 202, 210])
    assert runs({200: (1, 1), 202: (2, 2), 210: (3, 3)}, keys) == [(200, [(1, 1), (0, 0), (2, 2)]), (210, [(3, 3)])]


def test_line_ends_are_one_key():
    assert text_keysyms("a\r\nb\rc\td") == [0x61, 0xFF0D, 0x62, 0xFF0D, 0x63, 0xFF09, 0x64]
    with pytest.raises(ActionValueError):
        text_keysyms("\x1b")


def test_levels_groups_and_missing_columns():
    rows = {10: [0x61], 11: [0x31, 0x21, 0x6C6, 0x6E6], 12: [0xFF0D, 0], 13: [0xFFB1, 0x31], 14: [0xDF]}
    first = read_keymap(rows, [], NO_MODIFIERS)
    assert first.strokes[0x41] == Stroke(10, True)
    assert first.strokes[0x31] == Stroke(11, False)
    assert 0x1000444 not in first.strokes
    assert first.strokes[0xDF] == Stroke(14, False)
    second = read_keymap(rows, [], NO_MODIFIERS, group=1)
    assert second.strokes[0x1000444] == Stroke(11, False)
    assert second.strokes[0x61] == Stroke(10, False)
    third = read_keymap(rows, [], NO_MODIFIERS, group=2)
    assert 0x61 not in third.strokes
    assert third.strokes[0xFF0D] == Stroke(12, False)


def test_spare_keys_are_unused_and_vendor_keys_without_modifiers():
    rows = {
        9: [0xFF1B],
        93: [0, 0],
        121: [0x1008FF12],
        150: [0x1008FF2F],
        206: [0xFFEB],
        210: [0x1008FF43],
        218: [0xFF61],
        166: [0x1008FF26],
    }
    assert choose_spare_keys(rows, [[206], *[[]] * 7]) == [210, 218, 93, 150]
