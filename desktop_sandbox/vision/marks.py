"""Numbers what is on the screen: boxes with labels drawn over a frame, so that a model can name a place. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from desktop_sandbox.screen.regions import Rect, overlap

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame

MOST_MARKS = 500
_COLOURS = (
    (36, 28, 216), (0, 110, 0), (200, 60, 0), (150, 0, 150), (0, 90, 190), (110, 80, 0), (60, 0, 90), (40, 40, 40),
)  # fmt: skip
"""Blue, green, red; dark enough for white numbers."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SIZE, _THICK, _PAD = 0.42, 1, 2


@dataclass(frozen=True)
class Mark:
    """A numbered box, cut to the screen; `label` is what it was given with."""

    number: int
    box: Rect
    label: str = ""


def number(boxes: Sequence[tuple[Rect, str]], width: int, height: int) -> list[Mark]:
    """Boxes with numbers from 1, in the order given; those outside of the screen are left out."""
    marks: list[Mark] = []
    for box, label in boxes:
        shown = overlap(box, (0, 0, width, height))
        if shown is not None and len(marks) < MOST_MARKS:
            marks.append(Mark(len(marks) + 1, shown, label))
    return marks


def draw(frame: Frame, marks: Sequence[Mark]) -> None:
    """Draw the marks over the frame, in place: outlines first, numbers above all of them."""
    for mark in marks:
        x, y, width, height = mark.box
        cv2.rectangle(frame, (x, y), (x + width - 1, y + height - 1), _colour(mark), 1)
    taken: list[Rect] = []
    for mark in marks:
        place = _label_place(mark, frame.shape[1], frame.shape[0], taken)
        taken.append(place)
        x, y, width, height = place
        cv2.rectangle(frame, (x, y), (x + width - 1, y + height - 1), _colour(mark), cv2.FILLED)
        cv2.putText(
            frame, str(mark.number), (x + _PAD, y + height - _PAD - 1), _FONT, _SIZE, (255, 255, 255), _THICK,
            cv2.LINE_AA,
        )  # fmt: skip


def _label_place(mark: Mark, width: int, height: int, taken: Sequence[Rect]) -> Rect:
    """Where the number goes: above the box's left corner, else below, right or in it, else where it may cover one."""
    (text_width, text_height), _ = cv2.getTextSize(str(mark.number), _FONT, _SIZE, _THICK)
    wide, high = text_width + 2 * _PAD, text_height + 2 * _PAD + 1
    x, y, box_width, box_height = mark.box
    wishes = [(x, y - high), (x, y + box_height), (x + box_width, y), (x - wide, y), (x, y)]
    places = [
        (min(max(0, a), max(0, width - wide)), min(max(0, b), max(0, height - high)), wide, high) for a, b in wishes
    ]
    free = [place for place in places if not any(overlap(place, other) for other in taken)]
    outside = [place for place in free if not overlap(place, mark.box)]
    return (outside or free or places)[0]


def _colour(mark: Mark) -> tuple[int, int, int]:
    return _COLOURS[(mark.number - 1) % len(_COLOURS)]
