"""Carries out a batch of actions: in order, up to the first failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actions.errors import ActionValueError
from actions.model import from_wire
from guest_image.agent.x.failure import ActionFailed
from guest_image.agent.x.performer import Performer


def run_batch(
    performer: Performer,
    wire_actions: Sequence[dict[str, Any]],
    cancelled: Callable[[], bool],
    progress: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Perform canonical actions (actions.model.to_wire); never raises for an action that fails.

    Returns {"results": [a result for each action that was done], "failed": None or {"index", "code", "message", "hint",
    "partial"}}. All actions are read before the first is done, so that a malformed one does nothing by halves. Calls
    `progress` with {"index", ...} between actions, while long ones run, and whenever one looks whether it was
    cancelled: what still looks does not hang.
    """
    results: list[dict[str, Any]] = []
    try:
        actions = []
        for index, wire in enumerate(wire_actions):
            actions.append(_read(index, wire))
        for index, action in enumerate(actions):
            progress({"index": index})
            if cancelled():
                raise ActionFailed("cancelled", f"the batch was cancelled before action {index}")
            told = _Told(index, progress)
            results.append(performer.perform(action, cancelled=told.when_asked(cancelled), progress=told))
    except _Malformed as error:
        return {"results": results, "failed": _failure(error.index, error.failure)}
    except ActionFailed as failure:
        return {"results": results, "failed": _failure(len(results), failure)}
    except Exception as error:  # whatever X or pynput come up with is this action's failure
        unexpected = ActionFailed("failed", f"{type(error).__name__}: {error}", hint="look at the screen first")
        return {"results": results, "failed": _failure(len(results), unexpected)}
    return {"results": results, "failed": None}


class _Malformed(Exception):
    def __init__(self, index: int, failure: ActionFailed) -> None:
        super().__init__(failure.message)
        self.index = index
        self.failure = failure


class _Told:
    """Adds the action's place in the batch to its progress."""

    def __init__(self, index: int, progress: Callable[[dict[str, Any]], None]) -> None:
        self._index = index
        self._progress = progress

    def __call__(self, report: dict[str, Any]) -> None:
        self._progress({"index": self._index, **report})

    def when_asked(self, cancelled: Callable[[], bool]) -> Callable[[], bool]:
        """`cancelled`, which is told as progress, too: whoever asks whether to go on got its last answer from X."""

        def ask() -> bool:
            self({})
            return cancelled()

        return ask


def _read(index: int, wire: dict[str, Any]) -> Any:
    try:
        return from_wire(wire)
    except ActionValueError as error:
        raise _Malformed(index, ActionFailed("invalid", error.message, hint=error.hint)) from error


def _failure(index: int, failure: ActionFailed) -> dict[str, Any]:
    return {
        "index": index,
        "code": failure.code,
        "message": failure.message,
        "hint": failure.hint,
        "partial": failure.partial,
    }
