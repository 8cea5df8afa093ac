"""The life of a sandbox as a table: which event leads from which state to which. Pure.

creating ──started──► running ──paused──► paused
   │ failed, died        │ ▲───resumed──────┘ │
   ▼                     ▼ kill               │ kill, died
  dead ◄───died─────── killing ◄──────────────┘
"""

from __future__ import annotations

from enum import StrEnum

from desktop_sandbox.errors import ConflictError
from desktop_sandbox.node.facts import SandboxState as S


class SandboxEvent(StrEnum):
    """What can happen to a sandbox. `died`: its process is gone, whoever ended it."""

    STARTED = "started"
    FAILED = "failed"
    PAUSED = "paused"
    RESUMED = "resumed"
    KILL = "kill"
    DIED = "died"


E = SandboxEvent

TRANSITIONS: dict[tuple[S, E], S] = {
    (S.CREATING, E.STARTED): S.RUNNING,
    (S.CREATING, E.FAILED): S.DEAD,
    (S.CREATING, E.KILL): S.KILLING,
    (S.CREATING, E.DIED): S.DEAD,
    (S.RUNNING, E.PAUSED): S.PAUSED,
    (S.RUNNING, E.KILL): S.KILLING,
    (S.RUNNING, E.DIED): S.DEAD,
    (S.PAUSED, E.RESUMED): S.RUNNING,
    (S.PAUSED, E.KILL): S.KILLING,
    (S.PAUSED, E.DIED): S.DEAD,
    (S.KILLING, E.KILL): S.KILLING,
    (S.KILLING, E.DIED): S.DEAD,
}


def next_state(state: S, event: E) -> S:
    """The state after an event. ConflictError, which names both, if the event cannot happen in this state."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        allowed = [str(e) for (s, e) in TRANSITIONS if s is state]
        raise ConflictError(
            f'a sandbox that is {state} cannot take the event "{event}"',
            hint=f"possible now: {', '.join(allowed)}" if allowed else "make a new sandbox; this one is gone",
            state=str(state),
            event=str(event),
        ) from None
