"""How a batch of actions is carried out: cut into parts for the guest and pictures for the host. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actions import patience
from actions.model import (
    Action,
    Click,
    CursorPosition,
    Key,
    KeyDown,
    KeyUp,
    MouseDown,
    MouseUp,
    Move,
    Scroll,
    to_wire,
)
from actions.model import Screenshot as ScreenshotAction
from desktop_sandbox.errors import DesktopSandboxError, GuestError
from desktop_sandbox.node.facts import ScreenshotSpec

CANCELLED = "cancelled"
DEADLINE = "deadline"
_QUICK_ACTIONS = 16
_QUICK_STEPS = 20


@dataclass(frozen=True)
class GuestPart:
    """Actions in a row that the guest does; `first` is the index of the first in the whole batch."""

    first: int
    actions: Sequence[Action]


@dataclass(frozen=True)
class PicturePart:
    """A screenshot action, which the host does itself."""

    first: int
    spec: ScreenshotSpec


def cut(actions: Sequence[Action]) -> Iterator[GuestPart | PicturePart]:
    """The batch in order, as parts."""
    run: list[Action] = []
    first = 0
    for index, action in enumerate(actions):
        if isinstance(action, ScreenshotAction):
            if run:
                yield GuestPart(first, tuple(run))
                run = []
            yield PicturePart(index, picture_spec(action))
            first = index + 1
        else:
            if not run:
                first = index
            run.append(action)
    if run:
        yield GuestPart(first, tuple(run))


def picture_spec(action: ScreenshotAction) -> ScreenshotSpec:
    """What a screenshot action asks for."""
    return ScreenshotSpec(
        format=action.format,
        quality=action.quality,
        scale=action.scale,
        region=action.region,
        cursor=action.cursor,
        stable_ms=action.stable_ms or None,
        deadline_ms=action.stable_ms + patience.SETTLE_MS,
    )


def is_quick(actions: Sequence[Action]) -> bool:
    """Whether the guest may do all of it at one go, without a look at whether it was cancelled."""
    return len(actions) <= _QUICK_ACTIONS and all(_is_quick(action) for action in actions)


def is_one_touch(actions: Sequence[Action]) -> bool:
    """Whether it is done at one go, and nothing of it waits for what a program makes of it."""
    return len(actions) == 1 and is_quick(actions) and not (isinstance(actions[0], Click) and actions[0].count > 1)


def _is_quick(action: Action) -> bool:
    match action:
        case Move() | MouseDown() | MouseUp() | KeyDown() | KeyUp() | CursorPosition():
            return True
        case Click():
            return not action.modifiers
        case Key():
            return action.repeat == 1
        case Scroll():
            return not action.modifiers and abs(action.dx) + abs(action.dy) <= _QUICK_STEPS
        case _:
            return False


def patience_s(actions: Sequence[Action]) -> float:
    """How long a batch may take before it counts as stuck: long text and declared waits do not run into it."""
    return patience.patience_s([to_wire(action) for action in actions])


def believable(answer: object, count: int) -> dict[str, Any]:
    """A guest's answer to a batch of `count` actions, if it makes sense; GuestError if not."""
    if isinstance(answer, dict):
        results, failed = answer.get("results"), answer.get("failed")
        done = isinstance(results, list) and len(results) <= count and all(isinstance(each, dict) for each in results)
        if done and (failed is None or (isinstance(failed, dict) and _is_place(failed.get("index"), count))):
            return answer
    raise GuestError("the agent answered a batch of actions with what makes no sense")


def broken_off(error: DesktopSandboxError, code: str, count: int) -> dict[str, Any]:
    """What a guest did of `count` actions that it was made to stop, or gave up itself, as it tells in its error.

    Where it does not tell, nothing is known of what was done, and the first counts as the one that failed.
    """
    detail = error.evidence.get("detail")
    if isinstance(detail, dict) and "results" in detail:
        answer = believable(detail, count)
        failed = answer["failed"]
        return {**answer, "failed": failed and {**failed, "code": code}}
    index = detail.get("index") if isinstance(detail, dict) else None
    place = index if isinstance(index, int) and _is_place(index, count) else 0
    return {"results": [{}] * place, "failed": stopped(place, code, error.message, error.hint)}


def stopped(index: int | None, code: str, message: str, hint: str | None) -> dict[str, Any]:
    """A failure of the host's own. `index` None: all actions were done, but not what was to be seen afterwards."""
    return {"index": index, "code": code, "message": message, "hint": hint, "partial": None}


def _is_place(index: object, count: int) -> bool:
    return type(index) is int and 0 <= index < count


def failure(first: int, failed: Mapping[str, Any]) -> dict[str, Any]:
    """A part's failure, told in terms of the whole batch."""
    return {**failed, "index": first + int(failed["index"])}
