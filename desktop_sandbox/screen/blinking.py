"""Tells news from what only goes back and forth between two pictures, as a caret does. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from desktop_sandbox.screen.regions import TILE, Rect, Tiles, few, joined

if TYPE_CHECKING:
    from desktop_sandbox.screen.framebuffer import Frame

FLIPS = 3
"""So many changes in a row between the same two pictures are a blinking: A, B, A, B."""
MOST_TILES = 256
"""What changes in more tiles at once is no caret."""
_LIVELY_S = 1.0

Place = tuple[int, int]
Pair = frozenset[bytes]


class Movement:
    """What moves on a screen, look by look. `blinking` False: every change is news."""

    def __init__(self, *, blinking: bool = True) -> None:
        self._blinking = blinking
        self._flips: dict[Place, tuple[Pair, int]] = {}
        self._moved_at: dict[Place, float] = {}

    def looked(self, tiles: Tiles, before: Frame, after: Frame, now: float) -> bool:
        """Note a look's changed tiles at `now` (seconds); whether there is news among them."""
        news = tiles.copy()
        places = np.argwhere(tiles)
        if not self._blinking or len(places) > MOST_TILES:
            self._flips.clear()
        else:
            for row, column in places.tolist():
                if self._blinks((row, column), before, after):
                    news[row, column] = False
        for row, column in np.argwhere(news).tolist():
            self._moved_at[row, column] = now
        return bool(news.any())

    def moving(self, now: float, width: int, height: int) -> list[Rect]:
        """Where there was news within the last second, as rectangles of whole tiles."""
        tiles = np.zeros((-(-height // TILE), -(-width // TILE)), bool)
        for (row, column), at in self._moved_at.items():
            if now - at <= _LIVELY_S and row < tiles.shape[0] and column < tiles.shape[1]:
                tiles[row, column] = True
        return few(joined(tiles, width, height))

    def forget(self) -> None:
        """The screen has another size."""
        self._flips.clear()
        self._moved_at.clear()

    def _blinks(self, place: Place, before: Frame, after: Frame) -> bool:
        pair = frozenset((_picture(before, place), _picture(after, place)))
        known, flips = self._flips.get(place, (pair, 0))
        flips = flips + 1 if known == pair else 1
        self._flips[place] = pair, flips
        return flips >= FLIPS


def _picture(frame: Frame, place: Place) -> bytes:
    row, column = place
    return frame[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE, :3].tobytes()
