"""What a page may say, checked; and the binary messages of both directions (docs/streaming.md, section 2). Pure.

Nothing that a page says is believed: every field's type, range and length is checked here, unknown fields are dropped.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]

VERSION = 1
POINTER, VIDEO, PICTURE = 1, 2, 3
KEY_FLAG = 1
MAX_JSON_BYTES = 1 << 20
MAX_TEXT = 4096  # characters of one `text`
MAX_CLIPBOARD = 1 << 18
MAX_WHEEL = 120 * 100
MAX_SIDE = 8192
MAX_KEYSYM = 0x1FFFFFFF
BUTTONS = frozenset({"left", "middle", "right", "back", "forward"})
WANTS = frozenset({"request", "take", "give", "release"})
CONTROLLING = frozenset({"key", "text", "button", "wheel", "resize", "clipboard", "lease"})
INPUT = frozenset({"key", "text", "button", "wheel"})
NUMBERED = CONTROLLING | {"release"}

_CODE = re.compile(r"[A-Za-z0-9]{0,32}")
_POINTER = struct.Struct(">BIHH")
_PICTURE = struct.Struct(">BBIdHH")


class MessageError(ValueError):
    """A message that is none; `code` is the error's name for the page, `about` tells which of its messages it was."""

    def __init__(self, message: str, code: str = "bad-message", about: Message | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.about = about or {}


def parse(text: str | bytes, width: int, height: int) -> Message:
    """The message in a JSON text, with just its known fields; places must be on a screen of that size.

    MessageError says what is wrong.
    """
    if len(text) > MAX_JSON_BYTES:
        raise MessageError(f"a message of {len(text)} bytes")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise MessageError("no JSON") from None
    if not isinstance(raw, dict):
        raise MessageError("no object")
    kind = raw.get("t")
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise MessageError(f"unknown t {str(kind)[:40]!r}")
    found: Message = {"t": kind, **check(raw)}
    if kind in NUMBERED and "i" in raw:
        found["i"] = _whole(raw, "i", 1, 2**53)
    if kind in ("button", "wheel"):
        found["x"] = _whole(raw, "x", 0, width - 1)
        found["y"] = _whole(raw, "y", 0, height - 1)
    return found


def parse_pointer(data: bytes, width: int, height: int) -> tuple[int, int, int]:
    """Sequence number and place of a binary pointer message. MessageError."""
    if len(data) != _POINTER.size or data[0] != POINTER:
        raise MessageError(f"no pointer message: {len(data)} bytes")
    _, seq, x, y = _POINTER.unpack(data)
    if x >= width or y >= height:
        raise MessageError(f"pointer at {x}, {y} of a screen of {width} x {height}", "out-of-screen")
    return seq, x, y


def picture(kind: int, key: bool, seq: int, captured_ms: float, width: int, height: int, payload: bytes) -> bytes:
    """A binary message with a frame: kind VIDEO or PICTURE."""
    return _PICTURE.pack(kind, KEY_FLAG if key else 0, seq & 0xFFFFFFFF, captured_ms, width, height) + payload


def newer(seq: int, than: int) -> bool:
    """Whether a 32-bit sequence number comes after another; they wrap."""
    return 0 < (seq - than) & 0xFFFFFFFF < 0x80000000


def _key(raw: Message) -> Message:
    code = raw.get("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise MessageError("a key's code is a DOM code like KeyA")
    return {"down": _flag(raw, "down"), "code": code, "keysym": _whole(raw, "keysym", 0, MAX_KEYSYM)}


def _button(raw: Message) -> Message:
    return {"button": _one_of(raw, "button", BUTTONS), "down": _flag(raw, "down")}


def _wheel(raw: Message) -> Message:
    return {"dx": _whole(raw, "dx", -MAX_WHEEL, MAX_WHEEL), "dy": _whole(raw, "dy", -MAX_WHEEL, MAX_WHEEL)}


def _ping(raw: Message) -> Message:
    at = raw.get("at")
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at) or abs(at) > 1e15:
        raise MessageError("at is no time")
    return {"at": at}


def _clipboard(raw: Message) -> Message:
    number = _whole(raw, "n", 0, 2**53)
    text = raw.get("text")
    if isinstance(text, str) and len(text) > MAX_CLIPBOARD:
        raise MessageError(
            f"The text is too long for the desktop's clipboard: {len(text)} characters, {MAX_CLIPBOARD} are allowed.",
            "clipboard-too-long",
            {"n": number},
        )
    try:
        return {"text": _text(raw, MAX_CLIPBOARD), "n": number}
    except MessageError as error:
        raise MessageError(str(error), error.code, {"n": number}) from None


def _nothing(_raw: Message) -> Message:
    return {}


_CHECKS: dict[str, Callable[[Message], Message]] = {
    "key": _key,
    "text": lambda raw: {"text": _text(raw, MAX_TEXT)},
    "button": _button,
    "wheel": _wheel,
    "release": _nothing,
    "alive": _nothing,
    "ping": _ping,
    "visible": lambda raw: {"visible": _flag(raw, "visible")},
    "resize": lambda raw: {name: _whole(raw, name, 1, MAX_SIDE) for name in ("width", "height")},
    "clipboard": _clipboard,
    "lease": lambda raw: {"want": _one_of(raw, "want", WANTS)},
    "stats": lambda raw: {"on": _flag(raw, "on")},
    "ack": lambda raw: {"seq": _whole(raw, "seq", 0, 0xFFFFFFFF)},
    "keyframe": _nothing,
}


def _flag(raw: Message, name: str) -> bool:
    value = raw.get(name)
    if not isinstance(value, bool):
        raise MessageError(f"{name} is neither true nor false")
    return value


def _whole(raw: Message, name: str, least: int, most: int) -> int:
    value = raw.get(name)
    if type(value) is not int:
        raise MessageError(f"{name} is no whole number")
    if not least <= value <= most:
        raise MessageError(f"{name} is {value}; {least} to {most} are allowed", "out-of-range")
    return value


def _one_of(raw: Message, name: str, allowed: frozenset[str]) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise MessageError(f"{name} is none of {', '.join(sorted(allowed))}")
    return value


def _text(raw: Message, most: int) -> str:
    value = raw.get("text")
    if not isinstance(value, str) or len(value) > most:
        raise MessageError(f"text is no string of at most {most} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MessageError("text has half a character") from None
    return value
