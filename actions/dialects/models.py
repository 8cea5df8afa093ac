"""Which computer tool an Anthropic model takes, by its name. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from actions.dialects.anthropic import TOOLSET, Version

BETAS: Mapping[Version, str] = {
    "computer_20241022": "computer-use-2024-10-22",
    "computer_20250124": "computer-use-2025-01-24",
    "computer_20251124": "computer-use-2025-11-24",
}


def generation_of(model: str) -> tuple[str, tuple[int, int]]:
    """Family and (major, minor) of "claude-opus-4-7" or "claude-3-5-sonnet-20241022"; ("", (0, 0)) if unknown."""
    name = model.lower()
    found = re.search(r"claude-(?:([a-z]+)-)?(\d{1,2})(?:[-.](\d{1,2}))?(?![\d])(?:-([a-z]+))?", name)
    if found is None:
        return "", (0, 0)
    return found[1] or found[4] or "", (int(found[2]), int(found[3] or 0))


def version_for(model: str) -> Version:
    """The newest tool that a model takes; the toolset where the name is not known."""
    family, generation = generation_of(model)
    if family == "haiku" and generation >= (4, 0):
        return "computer_20250124"
    if generation == (0, 0) or generation >= (5, 0) or (family == "opus" and generation >= (4, 8)):
        return TOOLSET
    if (family == "opus" and generation >= (4, 5)) or generation >= (4, 6):
        return "computer_20251124"
    return "computer_20250124" if generation >= (3, 7) else "computer_20241022"
