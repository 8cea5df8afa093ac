"""What tesseract answers, read and searched; patterns that end; windows that are missed."""

from __future__ import annotations

import pytest

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.vision.patterns import pattern_of
from desktop_sandbox.vision.windows import listed, matching
from desktop_sandbox.vision.words import MOST_WORDS, Word, parse, search, text_of

HEADER = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
REGION = (100, 50, 400, 300)


def row(text: str, x: int, y: int, width: int, height: int = 24, *, line: int = 1, conf: object = 96.5) -> str:
    """A word as tesseract tells it, of a picture twice as large as the region; places are the screen's."""
    place = [2 * (x - REGION[0]), 2 * (y - REGION[1]), 2 * width, 2 * height]
    return "\t".join(map(str, [5, 1, line, 1, 1, 1, *place, conf, text]))


def words(*rows: str) -> list[Word]:
    return parse("\n".join([HEADER, *rows]), scale=2.0, region=REGION)


def test_words_are_placed_on_the_screen() -> None:
    [word] = words(row("Save", 120, 60, 40))
    assert word == Word("Save", (120, 60, 40, 24), 96.5, 0)


@pytest.mark.parametrize(
    "rows",
    [
        [""],
        ["\t" * 11],
        ["5\t1\t1"],
        [row("x", 120, 60, 40).replace("5", "4", 1)],  # a line, no word
        [row("   ", 120, 60, 40)],
        [row("x", 120, 60, 40, conf="-1")],
        [row("x", 120, 60, 40, conf="much")],
        [row("x", 120, 60, 40, conf="nan")],
        [row("x", 120, 60, 40, conf="101")],
        [row("x", 900, 60, 40)],  # outside of what was read
        [row("x", 120, 60, 40) + "\tmore"],
    ],
)
def test_what_makes_no_sense_is_left_out(rows: list[str]) -> None:
    assert words(*rows, row("good", 130, 70, 30))[-1].text == "good"
    assert len(words(*rows, row("good", 130, 70, 30))) == 1


def test_what_a_guest_can_make_of_it_is_bounded() -> None:
    many = words(*[row("w", 101 + n % 300, 51 + n % 200, 3, line=n) for n in range(MOST_WORDS + 9)])
    assert len(many) == MOST_WORDS
    [long] = words(row("x" * 9999, 120, 60, 40))
    assert len(long.text) == 400
    [strange] = words(row("a\u202eb\x07", 120, 60, 40))
    assert strange.text.isprintable() or "\N{REPLACEMENT CHARACTER}" in strange.text
    [cut] = words(row("x", 490, 340, 40))
    assert cut.box == (490, 340, 10, 10)


def test_pieces_side_by_side_are_one_line_and_columns_are_not() -> None:
    found = words(
        row("total", 180, 102, 40, line=3),
        row("Right", 400, 101, 40, line=2),
        row("Amount", 110, 100, 60, line=1),
        row("Below", 110, 160, 40, line=4),
        row("BIG", 226, 80, 60, height=80, line=5),
    )
    assert text_of(found).splitlines() == ["BIG", "Amount total", "Right", "Below"]
    assert [word.line for word in found] == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "regex", "found"),
    [
        ("invoice", False, ["Invoice"]),
        ("INVOICE  number", False, ["Invoice number"]),
        ("invoicenumber", False, []),
        ("invoice number4711", False, []),
        ("4711 Invoice", False, []),
        (r"\d{4}", True, ["4711"]),
        (r"^invoice .* \d+$", True, ["Invoice number 4711"]),
        ("in.o", False, []),
    ],
)
def test_text_is_searched_in_lines(text: str, regex: bool, found: list[str]) -> None:
    line = [Word("Invoice", (0, 0, 70, 20), 90, 0), Word("number", (80, 0, 60, 20), 70, 0)]
    line += [Word("4711", (150, 2, 40, 20), 80, 0), Word("Other", (0, 40, 50, 20), 99, 1)]
    hits = search(line, pattern_of(text, regex=regex))
    assert [hit.text for hit in hits] == found
    if found == ["Invoice number 4711"]:
        assert hits[0].box == (0, 0, 190, 22)
        assert hits[0].confidence == 70


@pytest.mark.parametrize(
    "bad", ["(", "a{9999999999999}", "[z-a]", "(a+)+", "(a*)*b", "(?:x|y+)*", "a*b*c*d*", "(?=(a+)+)", "(a{1,99})+", ""]
)
def test_expressions_that_are_none_or_may_take_for_ever_are_refused(bad: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        pattern_of(bad, regex=True)
    assert caught.value.hint


@pytest.mark.parametrize("good", ["^a.*b$", r"\w+ \d+", "(a|b){1,4}c+", "x?y?z?", "(?i)save", "a{2,3}b{2,3}"])
def test_plain_expressions_are_taken(good: str) -> None:
    assert pattern_of(good, regex=True).pattern == good


WINDOWS = [
    {"id": 1, "title": "Files", "class": "Thunar"},
    {"id": 2, "title": "Files – Copy", "class": "Thunar"},
    {"id": 3, "title": None, "class": None},
]


@pytest.mark.parametrize(
    ("title", "kind", "found"),
    [("files", None, 2), ("^files$", None, 1), (None, "THUN", 2), ("copy", "thunar", 2), ("copy", "xterm", None)],
)
def test_the_highest_window_that_fits_is_found(title: str | None, kind: str | None, found: int | None) -> None:
    pattern = None if title is None else pattern_of(title, regex=True)
    window = matching(WINDOWS, pattern, kind)
    assert (None if window is None else window["id"]) == found


def test_the_open_windows_are_listed_and_not_too_many_of_them() -> None:
    assert listed([]) == "no window is open"
    assert listed(WINDOWS) == "open windows: '', 'Files – Copy', 'Files'"
    many = listed([{"title": "x" * 999}] * 50)
    assert many.endswith(" and 30 more")
    assert len(many) < 2000
