"""The strip of cells in which the bench's screen carries the number of its latest change. Pure.

A change of the screen has a number; black and white cells of whole macroblocks show it together with a check, so that
a page's pixels tell which change they hold, and a half-drawn strip is told from a whole one. probe.js reads the same.
"""

from __future__ import annotations

CELL_PX = 16
NUMBER_BITS = 16
CHECK_BITS = 8
CELLS = NUMBER_BITS + CHECK_BITS
LEFT_PX, TOP_PX = 32, 32
WIDTH_PX = CELLS * CELL_PX
NUMBERS = 1 << NUMBER_BITS
_SALT = 0x5A


def check_of(number: int) -> int:
    """The check of `number`: a CRC-8 (polynomial 0x07) of its two bytes, salted so that black is no strip."""
    crc = _SALT
    for byte in (number >> 8, number & 0xFF):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def cells_of(number: int) -> list[bool]:
    """Whether each cell, from the left, is white. ValueError outside 0 to NUMBERS - 1."""
    if not 0 <= number < NUMBERS:
        raise ValueError(f"a change's number is 0 to {NUMBERS - 1}, not {number}")
    word = number << CHECK_BITS | check_of(number)
    return [bool(word >> (CELLS - 1 - place) & 1) for place in range(CELLS)]


def number_of(cells: list[bool]) -> int | None:
    """The number that cells show; None where they show none (half-drawn, or no strip at all)."""
    word = 0
    for cell in cells:
        word = word << 1 | cell
    number = word >> CHECK_BITS
    return number if len(cells) == CELLS and check_of(number) == word & ((1 << CHECK_BITS) - 1) else None


def rectangles(number: int) -> tuple[list[tuple[int, int, int, int]], list[tuple[int, int, int, int]]]:
    """The strip as (x, y, width, height) of its white and of its black cells, in desktop pixels."""
    white: list[tuple[int, int, int, int]] = []
    black: list[tuple[int, int, int, int]] = []
    for place, cell in enumerate(cells_of(number)):
        (white if cell else black).append((LEFT_PX + place * CELL_PX, TOP_PX, CELL_PX, CELL_PX))
    return white, black
