"""The actions: what can be done to a desktop, one frozen dataclass each.

Coordinates are whole screen pixels from the top left corner; times are milliseconds. The types say what is allowed;
validate.py enforces it on the host and explains what is wrong. Knows no library: the guest imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeAlias, get_args

from actions.constraints import Chars, Flag, Fraction, Items, Whole
from actions.errors import ActionValueError

Button = Literal["left", "middle", "right", "back", "forward"]
BUTTONS: tuple[str, ...] = get_args(Button)
ImageFormat = Literal["png", "jpeg", "webp", "raw"]
IMAGE_FORMATS: tuple[str, ...] = get_args(ImageFormat)

MAX_COORDINATE = 32767
MAX_TEXT = 65_536
MAX_DURATION_MS = 300_000
MAX_BATCH = 1000

Pixel = Annotated[int, Whole(0, MAX_COORDINATE)]
Size = Annotated[int, Whole(1, MAX_COORDINATE)]
Milliseconds = Annotated[int, Whole(0, MAX_DURATION_MS)]
KeyName = Annotated[str, Chars(64, 1)]
KeyNames = Annotated[tuple[KeyName, ...], Items(1, 16)]
Modifiers = Annotated[tuple[KeyName, ...], Items(0, 8)]
Path = Annotated[tuple[tuple[Pixel, Pixel], ...], Items(2, 1000)]
Steps = Annotated[int, Whole(-1000, 1000)]


def _both_or_none(x: int | None, y: int | None) -> None:
    if (x is None) != (y is None):
        raise ValueError("x and y go together: give both, or neither to act where the pointer is")


@dataclass(frozen=True, slots=True)
class Move:
    """Put the pointer at (x, y)."""

    x: Pixel
    y: Pixel
    type: Literal["move"] = "move"


@dataclass(frozen=True, slots=True)
class Click:
    """Click `count` times (2: double click) at (x, y), or where the pointer is, with `modifiers` held."""

    x: Pixel | None = None
    y: Pixel | None = None
    button: Button = "left"
    count: Annotated[int, Whole(1, 3)] = 1
    modifiers: Modifiers = ()
    type: Literal["click"] = "click"

    def __post_init__(self) -> None:
        _both_or_none(self.x, self.y)


@dataclass(frozen=True, slots=True)
class MouseDown:
    """Press a button and keep it down, at (x, y) or where the pointer is."""

    button: Button = "left"
    x: Pixel | None = None
    y: Pixel | None = None
    type: Literal["mouse_down"] = "mouse_down"

    def __post_init__(self) -> None:
        _both_or_none(self.x, self.y)


@dataclass(frozen=True, slots=True)
class MouseUp:
    """Let a button go, at (x, y) or where the pointer is."""

    button: Button = "left"
    x: Pixel | None = None
    y: Pixel | None = None
    type: Literal["mouse_up"] = "mouse_up"

    def __post_init__(self) -> None:
        _both_or_none(self.x, self.y)


@dataclass(frozen=True, slots=True)
class Drag:
    """Press at the first point of `path`, move through all of it, let go at the last.

    The pointer visits points in between, spread over `duration_ms` (None: by the path's length).
    """

    path: Path
    button: Button = "left"
    modifiers: Modifiers = ()
    duration_ms: Milliseconds | None = None
    type: Literal["drag"] = "drag"


@dataclass(frozen=True, slots=True)
class Scroll:
    """Turn the wheel `dx` steps to the right and `dy` steps down (negative: left, up); steps, not pixels."""

    x: Pixel | None = None
    y: Pixel | None = None
    dx: Steps = 0
    dy: Steps = 0
    modifiers: Modifiers = ()
    type: Literal["scroll"] = "scroll"

    def __post_init__(self) -> None:
        _both_or_none(self.x, self.y)


@dataclass(frozen=True, slots=True)
class Key:
    """Press a combination of keys (all down in order, all up in reverse), `repeat` times."""

    keys: KeyNames
    repeat: Annotated[int, Whole(1, 1000)] = 1
    type: Literal["key"] = "key"


@dataclass(frozen=True, slots=True)
class KeyDown:
    """Press a key and keep it down. `exact`: a character stays what it is while Shift is held."""

    key: KeyName
    exact: Annotated[bool, Flag()] | None = None
    type: Literal["key_down"] = "key_down"


@dataclass(frozen=True, slots=True)
class KeyUp:
    """Let a key go."""

    key: KeyName
    type: Literal["key_up"] = "key_up"


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep a combination of keys down for `duration_ms`, then let go."""

    keys: KeyNames
    duration_ms: Milliseconds
    type: Literal["hold"] = "hold"


@dataclass(frozen=True, slots=True)
class Type:
    """Type `text`, any Unicode, tabs and newlines as keys, with `delay_ms` between characters."""

    text: Annotated[str, Chars(MAX_TEXT)]
    delay_ms: Annotated[int, Whole(0, 10_000)] = 0
    type: Literal["type"] = "type"


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for `duration_ms`."""

    duration_ms: Milliseconds
    type: Literal["wait"] = "wait"


@dataclass(frozen=True, slots=True)
class Screenshot:
    """Take a picture; `region` is (x, y, width, height), `stable_ms` how long the picture must have stood still."""

    format: ImageFormat = "png"
    quality: Annotated[int, Whole(1, 100)] = 80
    scale: Annotated[float, Fraction(1.0)] = 1.0
    region: tuple[Pixel, Pixel, Size, Size] | None = None
    cursor: Annotated[bool, Flag()] = True
    stable_ms: Annotated[int, Whole(0, 60_000)] = 0
    type: Literal["screenshot"] = "screenshot"


@dataclass(frozen=True, slots=True)
class CursorPosition:
    """Where is the pointer? Its result is {"x", "y"}."""

    type: Literal["cursor_position"] = "cursor_position"


Action: TypeAlias = (
    Move
    | Click
    | MouseDown
    | MouseUp
    | Drag
    | Scroll
    | Key
    | KeyDown
    | KeyUp
    | Hold
    | Type
    | Wait
    | Screenshot
    | CursorPosition
)

ACTION_TYPES: dict[str, type[Action]] = {
    "move": Move,
    "click": Click,
    "mouse_down": MouseDown,
    "mouse_up": MouseUp,
    "drag": Drag,
    "scroll": Scroll,
    "key": Key,
    "key_down": KeyDown,
    "key_up": KeyUp,
    "hold": Hold,
    "type": Type,
    "wait": Wait,
    "screenshot": Screenshot,
    "cursor_position": CursorPosition,
}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def to_wire(action: Action) -> dict[str, Any]:
    """The canonical JSON form: "type" first, every field that is not None, lists for tuples."""
    wire: dict[str, Any] = {"type": action.type}
    for field in fields(action):
        value = getattr(action, field.name)
        if field.name != "type" and value is not None:
            wire[field.name] = _plain(value)
    return wire


def from_wire(wire: dict[str, Any]) -> Action:
    """The action behind a canonical form (which the host has validated); ActionValueError if it is none."""
    kind = wire.get("type") if isinstance(wire, dict) else None
    cls = ACTION_TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ActionValueError(f"unknown action type {kind!r}", hint=f"one of {', '.join(ACTION_TYPES)}", field="type")
    try:
        return cls(**{name: _frozen(value) for name, value in wire.items()})
    except (TypeError, ValueError) as error:
        raise ActionValueError(f"{kind}: {error}") from error
