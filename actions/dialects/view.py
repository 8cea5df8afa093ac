"""How places in the picture a model saw stand for places on the screen. Whole numbers only, nothing is rounded twice.

A picture's pixel stands for the middle of what it covers of the screen. As long as the picture is no larger than the
screen, a place goes to the screen and back unchanged; where it is larger (Gemini's thousand on a screen of 800 rows)
a place goes from the screen to the picture and back unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

from actions.errors import ActionValueError

Size = tuple[int, int]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class View:
    """The screen's (width, height) in pixels, and the size of the picture of it that the model saw."""

    screen: Size
    picture: Size

    @classmethod
    def whole(cls, screen: Size) -> View:
        """A model that sees the screen as it is."""
        return cls(screen, screen)

    def to_screen(self, x: int, y: int) -> Place:
        """Where a place in the picture lies on the screen."""
        return _middle(x, self.picture[0], self.screen[0]), _middle(y, self.picture[1], self.screen[1])

    def to_picture(self, x: int, y: int) -> Place:
        """Where a place on the screen lies in the picture."""
        return _middle(x, self.screen[0], self.picture[0]), _middle(y, self.screen[1], self.picture[1])

    def region_to_screen(self, x0: int, y0: int, x1: int, y1: int) -> tuple[int, int, int, int]:
        """A box of the picture, (x1, y1) just past its last pixel, as (x, y, width, height) on the screen."""
        (width, height), (across, down) = self.picture, self.screen
        left, top = x0 * across // width, y0 * down // height
        right, bottom = -(-x1 * across // width), -(-y1 * down // height)
        return left, top, right - left, bottom - top

    def region_to_picture(self, x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
        """The smallest box of the picture, (x0, y0, x1, y1), that stands for no less than this one of the screen."""
        (across, down), (wide, high) = self.screen, self.picture
        if wide <= across and high <= down:
            return (
                -(-x * wide // across),
                -(-y * high // down),
                (x + width) * wide // across,
                (y + height) * high // down,
            )
        return x * wide // across, y * high // down, -(-(x + width) * wide // across), -(-(y + height) * high // down)

    def check(self, x: int, y: int, field: str) -> None:
        """Refuse a place outside the picture: ActionValueError."""
        width, height = self.picture
        if not (0 <= x < width and 0 <= y < height):
            raise ActionValueError(
                f"({x}, {y}) is outside the screenshot",
                hint=f"it is {width}×{height}: x is 0 to {width - 1}, y is 0 to {height - 1}",
                field=field,
            )


def _middle(value: int, of: int, to: int) -> int:
    return (2 * value + 1) * to // (2 * of)
