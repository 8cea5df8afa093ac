"""How models write keys and combinations, read and written. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actions.dialects.fields import shown
from actions.errors import ActionValueError
from actions.keysyms import resolve_key, split_combination

# names of pyautogui's and Playwright's that our own table lacks, or means something else by
NAMES: Mapping[str, str] = {
    **dict.fromkeys(("ctrlleft", "control_left"), "Control_L"),
    **dict.fromkeys(("ctrlright", "control_right"), "Control_R"),
    **dict.fromkeys(("winleft", "superleft", "cmdleft"), "Super_L"),
    **dict.fromkeys(("winright", "cmdright"), "Super_R"),
    "optionleft": "Alt_L",
    "optionright": "Alt_R",
    "prntscrn": "Print",
    "add": "KP_Add",
    "subtract": "KP_Subtract",
    "multiply": "KP_Multiply",
    "divide": "KP_Divide",
    "decimal": "KP_Decimal",
    "separator": "KP_Separator",
    "browserhome": "XF86HomePage",
    "browserrefresh": "XF86Refresh",
    "browserstop": "XF86Stop",
    "browsersearch": "XF86Search",
    "browserfavorites": "XF86Favorites",
    "launchmail": "XF86Mail",
    "launchmediaselect": "XF86AudioMedia",
    "sleep": "XF86Sleep",
    "convert": "Henkan",
    "nonconvert": "Muhenkan",
    "kana": "Kana_Lock",
    "hanguel": "Hangul",
    "hanja": "Hangul_Hanja",
    "modechange": "Mode_switch",
}
MOST = 16
MOST_MODIFIERS = 8


def combination(names: Sequence[object], field: str, *, most: int = MOST) -> tuple[str, ...]:
    """The keys of a combination, checked. In one, a letter names its key: ["CTRL", "A"] is ctrl and a, without shift.

    Raises ActionValueError with the nearest known names.
    """
    if not 1 <= len(names) <= most:
        raise ActionValueError(f"{field} names {len(names)} keys", hint=f"1 to {most}", field=field)
    keys = []
    for given in names:
        if not isinstance(given, str) or not 1 <= len(given) <= 64:
            raise ActionValueError(f"{field} cannot hold {shown(given)}", hint="it is the name of a key", field=field)
        name = NAMES.get(given.lower(), given)
        try:
            resolve_key(name)
        except ActionValueError as error:
            raise error.at(None, field) from None
        keys.append(name.lower() if len(names) > 1 and len(name) == 1 and name.isascii() else name)
    return tuple(keys)


def one(name: str, field: str) -> str:
    """A key by its name, checked."""
    return combination([name], field)[0]


def chord(text: str, field: str, *, most: int = MOST) -> tuple[str, ...]:
    """The keys of "ctrl+shift+t"."""
    return combination(split_combination(text), field, most=most)


def chords(text: str, field: str) -> list[tuple[str, ...]]:
    """The combinations of "ctrl+a Delete": several, with spaces between, as xdotool takes them.

    A space may also be part of a name ("Page Down").
    """
    try:
        return [chord(text, field)]
    except ActionValueError:
        parts = text.split()
        if len(parts) < 2:
            raise
        return [chord(part, field) for part in parts]


def spelled(keys: Sequence[str]) -> list[str]:
    """The keys of an action of ours as a combination that `combination` reads as the same."""
    names: list[str] = []
    several = len(keys) > 1
    for place, key in enumerate(keys, 1):
        if several and len(key) == 1 and key.isascii() and key.isupper():
            if not any(resolve_key(other) == resolve_key("shift") for other in keys):
                names.append("shift")
            names.append(key.lower())
        else:
            names.append("space" if key == " " else "plus" if key == "+" and place < len(keys) else key)
    return names


def joined(keys: Sequence[str]) -> str:
    """ "ctrl+shift+t"."""
    return "+".join(spelled(keys))
