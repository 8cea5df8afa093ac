"""What the SDK's eyes return, as frozen values, and what they send. Pure. Boxes are (x, y, width, height) in pixels."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.sdk.models import Screenshot, Window, parse_picture, parse_window
from desktop_sandbox.sdk.requests import Region

LONGEST_LABEL = 200
_LABELS = ("text", "label", "name", "title")


@dataclass(frozen=True)
class Changes:
    """Where the screen differs from how it was. `moment` stands for how it is now, and is kept for ten minutes.

    `stable`: it has come to rest; `moving`: where it has not.
    """

    changed: bool
    regions: Sequence[Region]
    moment: str
    stable: bool = True
    moving: Sequence[Region] = ()


@dataclass(frozen=True)
class Waited(Changes):
    """How a wait for the screen ended, and the screen at its end, if that was asked for."""

    waited_ms: int = 0
    screenshot: Screenshot | None = None


@dataclass(frozen=True)
class Match:
    """A place of a picture on the screen: `score` up to 1 (pixel for pixel the same), and the scale it is shown at."""

    box: Region
    score: float
    scale: float

    @property
    def center(self) -> tuple[int, int]:
        """The middle of the box, to click."""
        return middle(self.box)


@dataclass(frozen=True)
class Word:
    """A word on the screen, with confidence 0 to 100 and the number of its line."""

    text: str
    box: Region
    confidence: float
    line: int

    @property
    def center(self) -> tuple[int, int]:
        """The middle of the box, to click."""
        return middle(self.box)


@dataclass(frozen=True)
class TextMatch:
    """The words that hold a text that was looked for."""

    text: str
    box: Region
    confidence: float

    @property
    def center(self) -> tuple[int, int]:
        """The middle of the box, to click."""
        return middle(self.box)


@dataclass(frozen=True)
class ScreenText:
    """The text on the screen, a line for each line, and its words."""

    text: str
    words: Sequence[Word]


@dataclass(frozen=True)
class Mark:
    """A numbered box."""

    number: int
    box: Region
    label: str

    @property
    def center(self) -> tuple[int, int]:
        """The middle of the box, to click."""
        return middle(self.box)


@dataclass(frozen=True)
class Marked:
    """The screen with numbers drawn on it, and what each stands for."""

    marks: Sequence[Mark]
    screenshot: Screenshot

    def __getitem__(self, number: int) -> Mark:
        """The mark with a number."""
        for mark in self.marks:
            if mark.number == number:
                return mark
        raise KeyError(f"no mark {number}; there are 1 to {len(self.marks)}")


@dataclass(frozen=True)
class Cursor:
    """The pointer: (x, y) is what it points at, `hot_spot` the pixel of its picture that lies there.

    `name` as its program called it ("xterm", "hand2"), None where it did not; `data` is its picture as PNG, None where
    it is hidden.
    """

    x: int
    y: int
    hot_spot: tuple[int, int]
    width: int
    height: int
    name: str | None
    data: bytes | None = field(repr=False)


def middle(box: Region) -> tuple[int, int]:
    """The middle of a box."""
    return box[0] + box[2] // 2, box[1] + box[3] // 2


def parse_changes(data: Mapping[str, Any]) -> Changes:
    """Changes out of the API's JSON."""
    return Changes(
        changed=data["changed"],
        regions=_boxes(data["regions"]),
        moment=data["moment"],
        stable=data.get("stable", True),
        moving=_boxes(data.get("moving", ())),
    )


def parse_waited(data: Mapping[str, Any]) -> Waited:
    """How a wait ended out of the API's JSON."""
    shot = data.get("screenshot")
    return Waited(
        changed=data["changed"],
        regions=_boxes(data["regions"]),
        moment=data["moment"],
        stable=data["stable"],
        moving=_boxes(data["moving"]),
        waited_ms=data["waited_ms"],
        screenshot=None if shot is None else parse_picture(shot),
    )


def parse_waited_window(data: Mapping[str, Any]) -> Window | None:
    """The window that was waited for out of the API's JSON."""
    window = data["window"]
    return None if window is None else parse_window({**window, "class": window["window_class"]})


def parse_matches(data: Mapping[str, Any]) -> list[Match]:
    """Places of a picture out of the API's JSON."""
    return [Match(_box(each["box"]), each["score"], each["scale"]) for each in data["matches"]]


def parse_text_matches(data: Mapping[str, Any]) -> list[TextMatch]:
    """Places of a text out of the API's JSON."""
    return [TextMatch(each["text"], _box(each["box"]), each["confidence"]) for each in data["matches"]]


def parse_text(data: Mapping[str, Any]) -> ScreenText:
    """The text on the screen out of the API's JSON."""
    words = [Word(each["text"], _box(each["box"]), each["confidence"], each["line"]) for each in data["words"]]
    return ScreenText(data["text"], words)


def parse_marked(data: Mapping[str, Any]) -> Marked:
    """Numbered boxes out of the API's JSON."""
    marks = [Mark(each["number"], _box(each["box"]), each["label"]) for each in data["marks"]]
    return Marked(marks, parse_picture(data["screenshot"]))


def parse_cursor(data: Mapping[str, Any]) -> Cursor:
    """The pointer out of the API's JSON."""
    picture = data["data"]
    return Cursor(
        x=data["x"],
        y=data["y"],
        hot_spot=(data["hot_x"], data["hot_y"]),
        width=data["width"],
        height=data["height"],
        name=data["name"],
        data=None if picture is None else base64.b64decode(picture),
    )


def watch_body(
    region: Region | None,
    ignore: Sequence[Region],
    screenshot: bool | Mapping[str, Any],
    timeout: float,
    *,
    strict: bool,
) -> dict[str, Any]:
    """JSON of a wait for the screen."""
    return {
        "region": region,
        "ignore": list(ignore),
        "screenshot": screenshot if isinstance(screenshot, bool) else dict(screenshot),
        "timeout": timeout,
        "on_timeout": "error" if strict else "answer",
    }


def boxes_body(boxes: Sequence[object]) -> list[dict[str, Any]]:
    """JSON of boxes to number: (x, y, width, height), (box, label), or anything with a `box` or `bounds` (of an element
    of the accessibility tree), or with x, y, width and height: named by its `text`, `label`, `name` or `title`.

    Elements that are not on the screen are left out. InvalidRequestError for what has no place.
    """
    return [_boxed(each) for each in boxes if getattr(each, "bounds", True) is not None]


def _boxed(each: object) -> dict[str, Any]:
    label = next((str(found) for name in _LABELS if (found := getattr(each, name, None))), "")
    box: object = getattr(each, "box", None) or getattr(each, "bounds", None) or each
    if hasattr(box, "x"):
        box = tuple(getattr(box, name, None) for name in ("x", "y", "width", "height"))
    if box is each and isinstance(each, tuple | list) and len(each) == 2:
        box, label = each[0], str(each[1])
    if not (isinstance(box, tuple | list) and len(box) == 4 and all(type(part) is int for part in box)):
        raise InvalidRequestError(
            f"{each!r:.100} has no place to number", hint="give (x, y, width, height), (box, label), or what has a box"
        )
    return {"box": list(box), "label": label[:LONGEST_LABEL]}


def _box(data: Sequence[int]) -> Region:
    x, y, width, height = data
    return x, y, width, height


def _boxes(data: Sequence[Sequence[int]]) -> list[Region]:
    return [_box(each) for each in data]
