"""How long a batch may take before it counts as stuck: long text and declared waits do not run into it. Pure.

Reads canonical actions (model.to_wire), and what callers write of them: the host and the SDK wait by the same
arithmetic. What makes no sense takes no time here; whoever checks it refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# longer than the guest lets an application keep it waiting (typist.STALL_S), so that it can say so itself
BASE_S = 45.0
SETTLE_MS = 5000
"""So long a picture that waits until nothing has changed may wait beyond that time."""
_SLOWEST_CHARACTERS_PER_S = 4.0
_KEY_S = 0.25
_POINT_S = 0.1
_OTHER_S = 1.0
_SENSIBLE = 1e9


def patience_s(actions: Sequence[Mapping[str, Any]]) -> float:
    """Seconds for a whole batch of canonical actions."""
    return BASE_S + sum(_declared_s(action) for action in actions if isinstance(action, Mapping))


def _declared_s(action: Mapping[str, Any]) -> float:
    match action.get("type"):
        case "type":
            return _length(action, "text") * (1 / _SLOWEST_CHARACTERS_PER_S + _seconds(action, "delay_ms"))
        case "wait" | "hold":
            return _seconds(action, "duration_ms")
        case "drag":
            return _seconds(action, "duration_ms") + _POINT_S * _length(action, "path")
        case "key":
            return (_number(action, "repeat") or 1) * _KEY_S
        case "scroll":
            return (_number(action, "dx") + _number(action, "dy")) * _KEY_S
        case "screenshot":
            stable_s = _seconds(action, "stable_ms")
            return _OTHER_S + (stable_s + SETTLE_MS / 1000 if stable_s else 0)
        case "cursor_position":
            return 0.0
        case _:
            return _OTHER_S


def _number(action: Mapping[str, Any], name: str) -> float:
    value = action.get(name)
    return abs(value) if isinstance(value, int | float) and abs(value) < _SENSIBLE else 0


def _seconds(action: Mapping[str, Any], name: str) -> float:
    return _number(action, name) / 1000


def _length(action: Mapping[str, Any], name: str) -> int:
    value = action.get(name)
    return len(value) if isinstance(value, str | Sequence) else 0
