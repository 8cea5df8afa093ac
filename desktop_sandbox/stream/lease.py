"""Who drives a desktop: the agent, one viewer, or nobody. A table and the time; it does nothing itself.

The agent drives unless a viewer took over. `request` asks whoever drives, and only tells; `take` takes over at once,
from the agent and from another viewer; `give` hands over to who asked, else back to the agent; `release` lets go, and
who acts or asks first has it then. A viewer that is lost keeps the control for GRACE_S, in which it may come back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

GRACE_S = 5.0
"""So long a viewer that vanished may be gone before the agent drives again: a reload, a lost network."""
WANTED_S = 60.0
"""So long a request is shown."""


class Holder(StrEnum):
    """Who drives; AWAY is a viewer that was lost a moment ago."""

    AGENT = "agent"
    VIEWER = "viewer"
    AWAY = "away"
    NONE = "none"


class Ask(StrEnum):
    """What can happen. ACT is the agent's next action, LOST and BACK a viewer's connection, LATE the grace's end."""

    REQUEST = "request"
    TAKE = "take"
    GIVE = "give"
    RELEASE = "release"
    RECALL = "recall"
    ACT = "act"
    LOST = "lost"
    BACK = "back"
    LATE = "late"


class Turn(StrEnum):
    """What becomes of the lease."""

    KEEP = "keep"
    REFUSE = "refuse"
    NOTE = "note"
    CALLER = "caller"
    WANTED = "wanted"
    AGENT = "agent"
    NONE = "none"
    AWAY = "away"


# (who drives, what happens, by who drives or by somebody else) → what becomes of it
_MINE, _OTHERS = True, False
TABLE: dict[tuple[Holder, Ask, bool], Turn] = {
    (Holder.AGENT, Ask.REQUEST, _OTHERS): Turn.NOTE,
    (Holder.AGENT, Ask.TAKE, _OTHERS): Turn.CALLER,
    (Holder.AGENT, Ask.GIVE, _OTHERS): Turn.REFUSE,
    (Holder.AGENT, Ask.GIVE, _MINE): Turn.WANTED,
    (Holder.AGENT, Ask.RELEASE, _OTHERS): Turn.REFUSE,
    (Holder.AGENT, Ask.RELEASE, _MINE): Turn.NONE,
    (Holder.AGENT, Ask.RECALL, _MINE): Turn.KEEP,
    (Holder.AGENT, Ask.ACT, _MINE): Turn.KEEP,
    (Holder.AGENT, Ask.LOST, _OTHERS): Turn.KEEP,
    (Holder.AGENT, Ask.BACK, _OTHERS): Turn.KEEP,
    (Holder.AGENT, Ask.LATE, _MINE): Turn.KEEP,
    (Holder.NONE, Ask.REQUEST, _OTHERS): Turn.CALLER,
    (Holder.NONE, Ask.TAKE, _OTHERS): Turn.CALLER,
    (Holder.NONE, Ask.GIVE, _OTHERS): Turn.REFUSE,
    (Holder.NONE, Ask.RELEASE, _OTHERS): Turn.REFUSE,
    (Holder.NONE, Ask.RECALL, _OTHERS): Turn.AGENT,
    (Holder.NONE, Ask.ACT, _OTHERS): Turn.AGENT,
    (Holder.NONE, Ask.LOST, _OTHERS): Turn.KEEP,
    (Holder.NONE, Ask.BACK, _OTHERS): Turn.KEEP,
    (Holder.NONE, Ask.LATE, _MINE): Turn.KEEP,
    (Holder.VIEWER, Ask.REQUEST, _MINE): Turn.KEEP,
    (Holder.VIEWER, Ask.REQUEST, _OTHERS): Turn.NOTE,
    (Holder.VIEWER, Ask.TAKE, _MINE): Turn.KEEP,
    (Holder.VIEWER, Ask.TAKE, _OTHERS): Turn.CALLER,
    (Holder.VIEWER, Ask.GIVE, _MINE): Turn.WANTED,
    (Holder.VIEWER, Ask.GIVE, _OTHERS): Turn.REFUSE,
    (Holder.VIEWER, Ask.RELEASE, _MINE): Turn.NONE,
    (Holder.VIEWER, Ask.RELEASE, _OTHERS): Turn.REFUSE,
    (Holder.VIEWER, Ask.RECALL, _OTHERS): Turn.AGENT,
    (Holder.VIEWER, Ask.ACT, _OTHERS): Turn.REFUSE,
    (Holder.VIEWER, Ask.LOST, _MINE): Turn.AWAY,
    (Holder.VIEWER, Ask.LOST, _OTHERS): Turn.KEEP,
    (Holder.VIEWER, Ask.BACK, _MINE): Turn.KEEP,
    (Holder.VIEWER, Ask.BACK, _OTHERS): Turn.KEEP,
    (Holder.VIEWER, Ask.LATE, _MINE): Turn.KEEP,
    (Holder.AWAY, Ask.REQUEST, _OTHERS): Turn.NOTE,
    (Holder.AWAY, Ask.TAKE, _OTHERS): Turn.CALLER,
    (Holder.AWAY, Ask.GIVE, _OTHERS): Turn.REFUSE,
    (Holder.AWAY, Ask.RELEASE, _OTHERS): Turn.REFUSE,
    (Holder.AWAY, Ask.RECALL, _OTHERS): Turn.AGENT,
    (Holder.AWAY, Ask.ACT, _OTHERS): Turn.REFUSE,
    (Holder.AWAY, Ask.LOST, _OTHERS): Turn.KEEP,
    (Holder.AWAY, Ask.BACK, _OTHERS): Turn.KEEP,
    (Holder.AWAY, Ask.BACK, _MINE): Turn.CALLER,
    (Holder.AWAY, Ask.REQUEST, _MINE): Turn.CALLER,
    (Holder.AWAY, Ask.TAKE, _MINE): Turn.CALLER,
    (Holder.AWAY, Ask.GIVE, _MINE): Turn.WANTED,
    (Holder.AWAY, Ask.RELEASE, _MINE): Turn.NONE,
    (Holder.AWAY, Ask.LATE, _MINE): Turn.AGENT,
}


@dataclass(frozen=True)
class Party:
    """A viewer as the lease knows it: its number, who it is across connections, and what others call it."""

    viewer: int
    identity: str
    name: str


@dataclass(frozen=True)
class Lease:
    """Who drives, since when (seconds, any clock), and who asked to. `party` for VIEWER and AWAY."""

    holder: Holder = Holder.AGENT
    party: Party | None = None
    since: float = 0.0
    wanted: Party | None = None
    wanted_at: float = 0.0
    lost_at: float = 0.0

    @property
    def refuses_agent(self) -> bool:
        """Whether an action of the agent must wait."""
        return TABLE[self.holder, Ask.ACT, self.holder is Holder.AGENT] is Turn.REFUSE

    def next_at(self) -> float | None:
        """When `late` has something to do; None: only if something happens."""
        times = [self.lost_at + GRACE_S] if self.holder is Holder.AWAY else []
        if self.wanted is not None:
            times.append(self.wanted_at + WANTED_S)
        return min(times, default=None)

    def drives(self, viewer: int) -> bool:
        """Whether this viewer's input goes to the guest."""
        return self.holder is Holder.VIEWER and self.party is not None and self.party.viewer == viewer


def step(lease: Lease, ask: Ask, caller: Party | None, now: float) -> tuple[Lease, bool]:
    """The lease after `ask` by a viewer, or by the agent (None); and whether it was refused."""
    turn = TABLE[lease.holder, ask, _is_mine(lease, ask, caller)]
    match turn:
        case Turn.REFUSE:
            return lease, True
        case Turn.KEEP:
            return lease, False
        case Turn.NOTE:
            return replace(lease, wanted=caller, wanted_at=now), False
        case Turn.CALLER:
            wanted = None if _same(lease.wanted, caller) else lease.wanted
            back = ask is Ask.BACK or (lease.holder is Holder.AWAY and _same(lease.party, caller))
            since = lease.since if back else now
            return Lease(Holder.VIEWER, caller, since, wanted, lease.wanted_at), False
        case Turn.WANTED:
            if lease.wanted is not None:
                return Lease(Holder.VIEWER, lease.wanted, now), False
            return Lease(Holder.AGENT if lease.holder is not Holder.AGENT else Holder.NONE, None, now), False
        case Turn.AGENT:
            return Lease(Holder.AGENT, None, now, lease.wanted, lease.wanted_at), False
        case Turn.NONE:
            return Lease(Holder.NONE, None, now), False
        case Turn.AWAY:
            return replace(lease, holder=Holder.AWAY, lost_at=now), False


def late(lease: Lease, now: float) -> Lease:
    """The lease after what only time brings about: the end of a grace, and of an old request."""
    if lease.wanted is not None and now >= lease.wanted_at + WANTED_S:
        lease = replace(lease, wanted=None)
    if lease.holder is Holder.AWAY and now >= lease.lost_at + GRACE_S:
        lease, _ = step(lease, Ask.LATE, None, now)
    return lease


def forget(lease: Lease, viewer: int) -> Lease:
    """The lease once a viewer that had asked is gone."""
    return replace(lease, wanted=None) if lease.wanted is not None and lease.wanted.viewer == viewer else lease


def _is_mine(lease: Lease, ask: Ask, caller: Party | None) -> bool:
    if ask is Ask.LATE:
        return _MINE
    if caller is None:
        return lease.holder is Holder.AGENT
    if lease.holder is Holder.AWAY:
        return ask is not Ask.LOST and _same(lease.party, caller)
    return lease.holder is Holder.VIEWER and lease.party is not None and lease.party.viewer == caller.viewer


def _same(one: Party | None, other: Party | None) -> bool:
    return one is not None and other is not None and one.identity == other.identity
