"""What the guest calls the key that a viewer pressed. Pure.

A page sends keysyms that its own layout has made already, AltGr and locks included. So those modifiers are not pressed
in the desktop a second time: there they would make other characters of the same keysyms.
"""

from __future__ import annotations

from functools import cache

from actions.errors import ActionValueError
from actions.keysym_table import KEYSYMS
from actions.keysyms import keysym_character, resolve_key

# Mode_switch, ISO_Level3_Shift to ISO_Level5_Lock, Num_Lock, Caps_Lock, Shift_Lock
_USED_UP = frozenset({0xFF7E, *range(0xFE03, 0xFE08), *range(0xFE11, 0xFE14), 0xFF7F, 0xFFE5, 0xFFE6})


@cache
def _names() -> dict[int, str]:
    found: dict[int, str] = {}
    for name, keysym in KEYSYMS.items():
        try:
            if resolve_key(name) == keysym:  # a few names mean something else to people ("hyphen")
                found.setdefault(keysym, name)
        except ActionValueError:
            continue
    return found


def key_name(keysym: int) -> str | None:
    """The key action's name for a keysym; None for what must not be pressed, or does not exist."""
    if keysym in _USED_UP:
        return None
    char = keysym_character(keysym)
    if char is not None and char.isprintable():
        return f"U+{ord(char):04X}"
    return _names().get(keysym)


def is_character(keysym: int) -> bool:
    """Whether the keysym stands for a character, which held Shift must not change."""
    return keysym_character(keysym) is not None
