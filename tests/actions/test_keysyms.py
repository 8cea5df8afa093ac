import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.errors import ActionValueError
from actions.keysyms import ALIASES, KEYSYMS, character_keysym, keysym_character, resolve_key, split_combination


@pytest.mark.parametrize(
    ("names", "keysym"),
    [
        ("ctrl Ctrl CONTROL Control_L control-left ControlLeft", 0xFFE3),
        ("Return enter Enter return", 0xFF0D),
        ("esc Escape ESC", 0xFF1B),
        ("PageUp page_up pgup Page_Up Prior", 0xFF55),
        ("cmd super meta win Super_L Meta", 0xFFEB),
        ("F1 f1", 0xFFBE),
        ("ArrowLeft left Left", 0xFF51),
        ("a", 0x61),
        ("A", 0x41),
        ("plus +", 0x2B),
        ("minus - hyphen", 0x2D),
        ("space Space", 0x20),
        ("é U+00E9 eacute", 0xE9),
        ("世 U+4E16 u4e16", 0x01004E16),
        ("XF86AudioMute AudioMute mute", 0x1008FF12),
        ("KP_Enter NumpadEnter", 0xFF8D),
        ("altgr ISO_Level3_Shift", 0xFE03),
        ("Menu ContextMenu", 0xFF67),
        ("BackSpace backspace Backspace", 0xFF08),
        ("Del delete Delete", 0xFFFF),
        ("PrintScreen print Print", 0xFF61),
    ],
)
def test_names_of_the_field(names, keysym):
    for name in names.split():
        assert resolve_key(name) == keysym, name


def test_a_space_is_the_space_key():
    assert resolve_key(" ") == 0x20


@pytest.mark.parametrize("name", ["nosuchkey", "ctrl+s", "U+FFFFFF", "", "\x07", "U+D83D", "F99"])
def test_unknown_names(name):
    with pytest.raises(ActionValueError) as caught:
        resolve_key(name)
    assert caught.value.hint


def test_aliases_name_keys_that_exist():
    assert set(ALIASES.values()) <= set(KEYSYMS)


@given(st.characters(exclude_categories=["Cs", "Cc"]))
def test_every_character_has_a_keysym_that_means_it(char):
    assert keysym_character(character_keysym(char)) == char


def test_legacy_keysyms_mean_characters():
    assert keysym_character(KEYSYMS["Cyrillic_a"]) == "а"
    assert keysym_character(KEYSYMS["EuroSign"]) == "€"
    assert keysym_character(KEYSYMS["Greek_omega"]) == "ω"
    assert keysym_character(KEYSYMS["dead_acute"]) is None
    assert keysym_character(KEYSYMS["F1"]) is None


def test_combinations():
    assert split_combination("ctrl+shift+t") == ("ctrl", "shift", "t")
    assert split_combination("ctrl++") == ("ctrl", "+")
    assert split_combination("+") == ("+",)
    assert split_combination("a") == ("a",)


def test_the_table_is_what_the_generator_writes():
    subprocess.run([sys.executable, "-m", "actions.generate_keysyms", "--check"], check=True)
