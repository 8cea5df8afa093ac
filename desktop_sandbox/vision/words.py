"""Reads tesseract's answer, and finds text in it. Pure.

Its columns: https://tesseract-ocr.github.io/tessdoc/ (TSV). The words come from a picture that a hostile guest made:
lengths and places are checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from desktop_sandbox.screen.regions import Rect, overlap, union
from desktop_sandbox.vision.patterns import LONGEST_SUBJECT

MOST_WORDS = 5000
LONGEST_WORD = 400
_WORD_LEVEL = "5"
_COLUMNS = 12
_ROW_PX = 8
_WIDE_SPACE = 1.5
"""In heights of the letters: what is further apart is another column."""


@dataclass(frozen=True)
class Word:
    """A word on the screen: its box in screen pixels, confidence 0 to 100, and the number of its line."""

    text: str
    box: Rect
    confidence: float
    line: int


@dataclass(frozen=True)
class Found:
    """Text that was looked for: the words that hold it, and the box around them."""

    text: str
    box: Rect
    confidence: float


def parse(answer: str, *, scale: float, region: Rect) -> list[Word]:
    """The words of a TSV answer about a picture that was `scale` times as large as `region` of the screen."""
    words: list[Word] = []
    lines: dict[tuple[str, ...], int] = {}
    for row in answer.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) != _COLUMNS or cells[0] != _WORD_LEVEL or not cells[11].strip():
            continue
        try:
            left, top, width, height = (float(cell) / scale for cell in cells[6:10])
            confidence = float(cells[10])
        except ValueError:
            continue
        x, y = region[0] + round(left), region[1] + round(top)
        box = overlap((x, y, max(1, round(width)), max(1, round(height))), region)
        if box is None or not 0 <= confidence <= 100:
            continue
        line = lines.setdefault(tuple(cells[1:5]), len(lines))
        words.append(Word(_printable(cells[11].strip())[:LONGEST_WORD], box, round(confidence, 1), line))
        if len(words) >= MOST_WORDS:
            break
    return _in_reading_order(words)


def text_of(words: Sequence[Word]) -> str:
    """The words as text, a line for each line."""
    return "\n".join(" ".join(word.text for word in line) for line in lines_of(words))


def lines_of(words: Iterable[Word]) -> list[list[Word]]:
    """Words of one line together, in order."""
    found: dict[int, list[Word]] = {}
    for word in words:
        found.setdefault(word.line, []).append(word)
    return list(found.values())


def search(words: Sequence[Word], pattern: re.Pattern[str]) -> list[Found]:
    """Where lines hold the pattern: the words that it touches."""
    found = []
    for line in lines_of(words):
        text, spans = "", []
        for word in line:
            text += " " if text else ""
            spans.append((len(text), len(text) + len(word.text)))
            text += word.text
        for match in pattern.finditer(text[:LONGEST_SUBJECT]):
            hit = [
                w for w, (start, end) in zip(line, spans, strict=True) if start < match.end() and end > match.start()
            ]
            if hit:
                sure = min(word.confidence for word in hit)
                found.append(Found(" ".join(w.text for w in hit), union(w.box for w in hit), sure))
    return found


def _in_reading_order(words: Sequence[Word]) -> list[Word]:
    """Pieces of a line that lie side by side are one line; lines from the top, numbered so."""
    lines: list[list[Word]] = []
    for piece in sorted(lines_of(words), key=lambda line: (line[0].box[0], line[0].box[1])):
        before = next((line for line in lines if _goes_on(line, piece)), None)
        if before is None:
            lines.append(list(piece))
        else:
            before.extend(piece)
    lines.sort(key=lambda line: (union(word.box for word in line)[1] // _ROW_PX, line[0].box[0]))
    return [Word(w.text, w.box, w.confidence, number) for number, line in enumerate(lines) for w in line]


def _goes_on(line: Sequence[Word], piece: Sequence[Word]) -> bool:
    """Whether a piece begins where a line ends: about as high, on the same row, no more than a wide space away."""
    end, start = line[-1].box, piece[0].box
    low, high = max(end[1], start[1]), min(end[1] + end[3], start[1] + start[3])
    least, most = sorted((end[3], start[3]))
    gap = start[0] - (end[0] + end[2])
    return high - low > least / 2 and most <= 2 * least and 0 <= gap <= _WIDE_SPACE * most


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
