"""The spaces of a desktop, and the way from a sampled action to a batch. Pure."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from desktop_sandbox.errors import InvalidActionError

KINDS = ("wait", "move", "click", "double_click", "right_click", "drag", "scroll", "type", "key")
KEYS = (
    "enter", "tab", "escape", "backspace", "delete", "space", "up", "down", "left", "right", "home", "end", "pageup",
    "pagedown", "shift+tab", "ctrl+a", "ctrl+c", "ctrl+v", "ctrl+x", "ctrl+z", "ctrl+s", "ctrl+f", "ctrl+l", "ctrl+t",
    "ctrl+w", "ctrl+n", "alt+tab", "alt+left", "alt+right", "f5", "f11",
)  # fmt: skip
MAX_TYPED = 64
MAX_TEXT = 4096
MAX_TREE = 32768
MOST_WHEEL = 10
WAIT_MS = 100
TYPED = string.ascii_letters + string.digits + string.punctuation + " "
WRITTEN = frozenset(TYPED + "\n")
_TREE_CUT = f"\n! there is more: the outline was cut at {MAX_TREE} characters"

Observation = dict[str, Any]
"""`image`: (height, width, 3) bytes RGB; `cursor`: x and y in screen pixels; `text`: what was said of the step; `tree`,
where it was asked for: the elements of the window with the focus, a line each."""


def action_space(width: int, height: int) -> spaces.Sequence:
    """A batch: any number of actions, none of which looks without doing anything. `width` and `height` in pixels."""
    one = spaces.Dict(
        {
            "kind": spaces.Discrete(len(KINDS)),
            "point": spaces.MultiDiscrete([width, height]),
            "to": spaces.MultiDiscrete([width, height]),
            "wheel": spaces.MultiDiscrete([2 * MOST_WHEEL + 1] * 2, start=[-MOST_WHEEL] * 2),
            "key": spaces.Discrete(len(KEYS)),
            "text": spaces.Text(MAX_TYPED, min_length=1, charset=TYPED),
        }
    )
    return spaces.Sequence(one)


def observation_space(width: int, height: int, scale: float, *, tree: bool = False) -> spaces.Dict:
    """What is seen: the image at `scale` of the screen, the cursor in screen pixels, text, with `tree` an outline."""
    columns, rows = scaled(width, scale), scaled(height, scale)
    parts: dict[str, spaces.Space[Any]] = {
        "image": spaces.Box(0, 255, (rows, columns, 3), np.uint8),
        "cursor": spaces.Box(np.zeros(2, np.int32), np.array([width - 1, height - 1], np.int32), dtype=np.int32),
        "text": spaces.Text(MAX_TEXT, min_length=0, charset=WRITTEN),
    }
    if tree:
        parts["tree"] = spaces.Text(MAX_TREE, min_length=0, charset=WRITTEN)
    return spaces.Dict(parts)


def scaled(side: int, scale: float) -> int:
    """A side of a picture at `scale`, in pixels, as a screenshot has it."""
    return max(1, round(side * scale))


def batch_of(action: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The batch that an action means: each item as the space has it (`kind`), or as in docs/actions.md (`type`).

    Raises InvalidActionError for what is neither.
    """
    if isinstance(action, Mapping | str) or not isinstance(action, Sequence):
        raise InvalidActionError(
            f"a step takes a batch, a sequence of actions, not {type(action).__name__}", hint="[action]"
        )
    return [_one(item, index) for index, item in enumerate(action)]


def _one(item: Mapping[str, Any], index: int) -> dict[str, Any]:
    if isinstance(item, Mapping) and "type" in item:
        return dict(item)
    if not isinstance(item, Mapping) or "kind" not in item or not 0 <= int(item["kind"]) < len(KINDS):
        raise InvalidActionError(
            f"action {index} is none: {item!r:.100}", hint='{"type": "click", …}, or what action_space.sample() gives'
        )
    kind = KINDS[int(item["kind"])]
    if kind == "wait":
        return {"type": "wait", "duration_ms": WAIT_MS}
    if kind == "type":
        return {"type": "type", "text": str(item["text"])}
    if kind == "key":
        return {"type": "key", "keys": KEYS[int(item["key"])]}
    x, y = (int(side) for side in item["point"])
    if kind == "drag":
        return {"type": "drag", "path": [[x, y], [int(side) for side in item["to"]]]}
    if kind == "scroll":
        dx, dy = (int(steps) for steps in item["wheel"])
        return {"type": "scroll", "x": x, "y": y, "dx": dx, "dy": dy}
    clicks: dict[str, dict[str, Any]] = {"click": {}, "double_click": {"count": 2}, "right_click": {"button": "right"}}
    return {"type": "move", "x": x, "y": y} if kind == "move" else {"type": "click", "x": x, "y": y, **clicks[kind]}


def plain_text(text: str) -> str:
    """Text as the space allows it: printable ASCII, other characters escaped, cut at its end."""
    return _written(text)[:MAX_TEXT]


def plain_tree(outline: str) -> str:
    """An outline of elements as the space allows it; one that is too long ends after a whole line, and says so."""
    shown = _written(outline)
    if len(shown) <= MAX_TREE:
        return shown
    return shown[: MAX_TREE - len(_TREE_CUT)].rpartition("\n")[0] + _TREE_CUT


def _written(text: str) -> str:
    shown = "".join(char if char in WRITTEN else char.encode("ascii", "backslashreplace").decode() for char in text)
    return "".join(char if char in WRITTEN else " " for char in shown)


def picture(data: bytes, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A raw screenshot as an array of its own, (height, width, 3) RGB."""
    return np.frombuffer(data, np.uint8).reshape(height, width, 3).copy()
