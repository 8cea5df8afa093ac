"""What keys are called, and which keysym stands for which character.

Follows appendix A of the X protocol ("KEYSYM encoding"): Latin-1 stands for itself, every other character is
0x01000000 + code point, and older keysyms have names and characters in a table. Standard library only.
"""

from __future__ import annotations

import difflib
import re

from actions.errors import ActionValueError
from actions.keysym_table import KEYSYMS, LEGACY_CODE_POINTS

UNICODE_BASE = 0x01000000
_CONTROL_KEYS = {"\t": "Tab", "\n": "Return", "\r": "Return"}

ALIASES: dict[str, str] = {
    **dict.fromkeys(("ctrl", "control", "ctl", "ctrll", "lctrl", "leftctrl", "controlleft"), "Control_L"),
    **dict.fromkeys(("ctrlr", "rctrl", "rightctrl", "controlright"), "Control_R"),
    **dict.fromkeys(("shift", "lshift", "leftshift", "shiftleft"), "Shift_L"),
    **dict.fromkeys(("rshift", "rightshift", "shiftright"), "Shift_R"),
    **dict.fromkeys(("alt", "option", "opt", "lalt", "leftalt", "altleft"), "Alt_L"),
    **dict.fromkeys(("ralt", "rightalt", "altright"), "Alt_R"),
    **dict.fromkeys(("super", "cmd", "command", "meta", "win", "windows", "os", "metaleft"), "Super_L"),
    **dict.fromkeys(("metaright", "rwin", "rightsuper"), "Super_R"),
    **dict.fromkeys(("altgr", "altgraph"), "ISO_Level3_Shift"),
    **dict.fromkeys(("enter", "return", "newline"), "Return"),
    **dict.fromkeys(("esc", "escape"), "Escape"),
    **dict.fromkeys(("backspace", "bksp", "bs"), "BackSpace"),
    **dict.fromkeys(("delete", "del"), "Delete"),
    **dict.fromkeys(("insert", "ins"), "Insert"),
    **dict.fromkeys(("tab",), "Tab"),
    **dict.fromkeys(("space", "spacebar"), "space"),
    **dict.fromkeys(("pageup", "pgup", "prior"), "Page_Up"),
    **dict.fromkeys(("pagedown", "pgdn", "pgdown", "next"), "Page_Down"),
    **dict.fromkeys(("up", "arrowup", "uparrow"), "Up"),
    **dict.fromkeys(("down", "arrowdown", "downarrow"), "Down"),
    **dict.fromkeys(("left", "arrowleft", "leftarrow"), "Left"),
    **dict.fromkeys(("right", "arrowright", "rightarrow"), "Right"),
    **dict.fromkeys(("home",), "Home"),
    **dict.fromkeys(("end",), "End"),
    **dict.fromkeys(("capslock", "caps"), "Caps_Lock"),
    **dict.fromkeys(("numlock",), "Num_Lock"),
    **dict.fromkeys(("scrolllock",), "Scroll_Lock"),
    **dict.fromkeys(("printscreen", "prtsc", "prtscr", "prtscn", "sysrq", "print"), "Print"),
    **dict.fromkeys(("pause", "break"), "Pause"),
    **dict.fromkeys(("menu", "contextmenu", "apps"), "Menu"),
    **dict.fromkeys(("plus",), "plus"),
    **dict.fromkeys(("minus", "dash", "hyphen"), "minus"),
    **dict.fromkeys(("equals",), "equal"),
    **dict.fromkeys(("dot", "fullstop"), "period"),
    **dict.fromkeys(("backtick", "backquote"), "grave"),
    **dict.fromkeys(("quote", "singlequote"), "apostrophe"),
    **dict.fromkeys(("doublequote",), "quotedbl"),
    **dict.fromkeys(("hash",), "numbersign"),
    **dict.fromkeys(("pipe",), "bar"),
    **dict.fromkeys(("forwardslash",), "slash"),
    **dict.fromkeys(("openbracket",), "bracketleft"),
    **dict.fromkeys(("closebracket",), "bracketright"),
    **dict.fromkeys(("tilde",), "asciitilde"),
    **dict.fromkeys(("caret",), "asciicircum"),
    **dict.fromkeys(("audiomute", "volumemute", "mute"), "XF86AudioMute"),
    **dict.fromkeys(("audiovolumeup", "volumeup"), "XF86AudioRaiseVolume"),
    **dict.fromkeys(("audiovolumedown", "volumedown"), "XF86AudioLowerVolume"),
    **dict.fromkeys(("mediaplaypause", "playpause"), "XF86AudioPlay"),
    **dict.fromkeys(("mediatracknext", "nexttrack"), "XF86AudioNext"),
    **dict.fromkeys(("mediatrackprevious", "prevtrack"), "XF86AudioPrev"),
    **dict.fromkeys(("mediastop",), "XF86AudioStop"),
    **dict.fromkeys(("browserback",), "XF86Back"),
    **dict.fromkeys(("browserforward",), "XF86Forward"),
    **{f"numpad{digit}": f"KP_{digit}" for digit in range(10)},
    **{f"num{digit}": f"KP_{digit}" for digit in range(10)},
    **dict.fromkeys(("numpadenter",), "KP_Enter"),
    **dict.fromkeys(("numpadadd",), "KP_Add"),
    **dict.fromkeys(("numpadsubtract",), "KP_Subtract"),
    **dict.fromkeys(("numpadmultiply",), "KP_Multiply"),
    **dict.fromkeys(("numpaddivide",), "KP_Divide"),
    **dict.fromkeys(("numpaddecimal",), "KP_Decimal"),
}


def _squeezed(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _unique_squeezed() -> dict[str, str]:
    seen: dict[str, str] = {}
    twice = set()
    for name, keysym in KEYSYMS.items():
        short = _squeezed(name)
        if short in seen and KEYSYMS[seen[short]] != keysym:
            twice.add(short)
        seen.setdefault(short, name)
    return {short: name for short, name in seen.items() if short not in twice and len(short) > 1}


_SQUEEZED = _unique_squeezed()
_SHORT = "ctrl shift alt super cmd meta win enter esc del ins pgup pgdn capslock space plus minus".split()  # noqa: SIM905
_MEANT = [*_SHORT, *(name for name, value in KEYSYMS.items() if 0xFF00 <= value <= 0xFFFF)]


def character_keysym(char: str) -> int:
    """The keysym that means this one character; tab and line ends are the keys Tab and Return.

    Raises ActionValueError for control characters and lone surrogates, which no key stands for.
    """
    named = _CONTROL_KEYS.get(char)
    if named:
        return KEYSYMS[named]
    point = ord(char)
    if point < 0x20 or 0x7F <= point < 0xA0:
        raise ActionValueError(
            f"the text holds the control character U+{point:04X}, which no key types",
            hint="tab, line feed and carriage return can be typed; for other keys use a key action",
        )
    if 0xD800 <= point <= 0xDFFF:
        raise ActionValueError(
            f"the text holds half a character (surrogate U+{point:04X})",
            hint="send whole code points: a JSON string escapes emoji as a pair, high half first",
        )
    return point if point < 0x100 else UNICODE_BASE + point


def keysym_character(keysym: int) -> str | None:
    """The character a keysym types, or None for keys like F1 and dead accents."""
    if 0x20 <= keysym <= 0x7E or 0xA0 <= keysym <= 0xFF:
        return chr(keysym)
    if UNICODE_BASE + 0x100 <= keysym <= UNICODE_BASE + 0x10FFFF:
        return chr(keysym - UNICODE_BASE)
    point = LEGACY_CODE_POINTS.get(keysym)
    return None if point is None else chr(point)


def resolve_key(name: str) -> int:
    """The keysym of a key, by X name (Page_Up), alias (pgup, ArrowUp, ctrl), character (a, +, é) or U+XXXX.

    Raises ActionValueError with the nearest known names.
    """
    if len(name) == 1:
        return character_keysym(name)
    short = _squeezed(name)
    known = KEYSYMS.get(ALIASES.get(short) or "") or KEYSYMS.get(name) or KEYSYMS.get(_SQUEEZED.get(short, ""))
    if known:
        return known
    code = re.fullmatch(r"[uU]\+?([0-9a-fA-F]{4,6})", name)
    if code and int(code[1], 16) <= 0x10FFFF:
        return character_keysym(chr(int(code[1], 16)))
    raise ActionValueError(f"unknown key {name!r}", hint=_near(name))


def _near(name: str) -> str:
    close = difflib.get_close_matches(name, _MEANT, n=4, cutoff=0.6)
    close += [c for c in difflib.get_close_matches(_squeezed(name), _MEANT, n=4, cutoff=0.6) if c not in close]
    if close:
        return f"did you mean {' or '.join(close[:4])}?"
    return "keys have X names (Return, Page_Up, F5), short ones (ctrl, esc, pgup), or are one character"


def split_combination(text: str) -> tuple[str, ...]:
    """Split "ctrl+shift+t" into its keys; "ctrl++" and "+" mean the plus key."""
    if text in ("", "+"):
        return (text,)
    if text.endswith("++"):
        return (*text[:-2].split("+"), "+")
    return tuple(text.split("+"))
