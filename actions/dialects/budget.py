"""How large a picture a model takes: the vendor's limits, and the largest size that fits them. Pure.

Anthropic's are documented (an oversized picture in a tool result is refused, and on older models scaled down behind
one's back, which moves every coordinate). OpenAI and Gemini take a desktop's screen as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from actions.dialects.models import generation_of

PATCH_PX = 28  # a visual token of Anthropic's covers 28×28 pixels


@dataclass(frozen=True, slots=True)
class Budget:
    """The longest edge in pixels, and how many pixels or visual tokens a picture may have."""

    long_edge_px: int
    pixels: int | None = None
    tokens: int | None = None

    def holds(self, width: int, height: int) -> bool:
        """Whether a picture of this size is within the budget."""
        return (
            max(width, height) <= self.long_edge_px
            and (self.pixels is None or width * height <= self.pixels)
            and (self.tokens is None or tokens(width, height) <= self.tokens)
        )

    def fit(self, width: int, height: int, *, enlarge: bool = False) -> tuple[int, int]:
        """The largest size of this shape within the budget; not larger than it is, unless `enlarge`."""
        scale = self.long_edge_px / max(width, height)
        if self.pixels is not None:
            scale = min(scale, math.sqrt(self.pixels / (width * height)))
        if self.tokens is not None:
            scale = min(scale, math.sqrt(self.tokens * PATCH_PX**2 / (width * height)))
        if not enlarge:
            scale = min(1.0, scale)
        long = max(1, round(max(width, height) * scale))
        while long > 1 and not self.holds(*_with_long_edge(width, height, long)):
            long -= 1
        return _with_long_edge(width, height, long)


SMALL = Budget(long_edge_px=1568, pixels=1_150_000)
LARGE = Budget(long_edge_px=2576, tokens=4784)


def tokens(width: int, height: int) -> int:
    """Visual tokens that a picture costs Anthropic's models."""
    return math.ceil(width / PATCH_PX) * math.ceil(height / PATCH_PX)


def budget_for(model: str) -> Budget:
    """The budget of an Anthropic model by its name, such as "claude-opus-4-7"; the small one if it is not known.

    Opus from 4.7 on and everything of generation 5 but Haiku take large pictures.
    """
    family, generation = generation_of(model)
    if family == "haiku":
        return SMALL
    return LARGE if generation >= ((4, 7) if family == "opus" else (5, 0)) else SMALL


def _with_long_edge(width: int, height: int, long: int) -> tuple[int, int]:
    if width >= height:
        return long, max(1, round(height * long / width))
    return max(1, round(width * long / height)), long
