"""One watched desktop: its viewers, who of them drives, and what they are told. Asks neither guest nor media process
itself; what has to be done is handed to the functions it was made with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from desktop_sandbox.errors import ActionFailedError, ConflictError, ControlHeldError
from desktop_sandbox.stream.driving import Driver
from desktop_sandbox.stream.lease import Ask, Holder, Lease, forget, late, step
from desktop_sandbox.stream.parties import Viewer

T = TypeVar("T")
QUICK_S = 0.5
"""What the agent began and ends within so long is not broken off by a person who takes control."""
STOPS_S = 5.0
"""So long it may take to say what it did, once it was told to stop."""
LOOK_AGAIN = "look at the screen once the control is back"
"""What an agent is advised whose work a person broke off."""

LIVE: Mapping[str, Any] = {"t": "state", "state": "live", "reason": ""}

Tell = Callable[[Viewer, Mapping[str, Any]], None]
Note = Callable[[str, Mapping[str, Any]], None]


@dataclass
class _Job:
    """What the agent does. `stop` has it end by itself and say how far it came; without, it is just broken off."""

    stop: Callable[[], None] | None
    taken: bool = False


class Desk:
    """One desktop's people. `clock` gives seconds; `tell` a viewer something, `note` writes the event log."""

    def __init__(
        self,
        sandbox_id: str,
        driver: Driver,
        clock: Callable[[], float],
        wall: Callable[[], float],
        tell: Tell,
        note: Note,
    ) -> None:
        self.sandbox = sandbox_id
        self.driver = driver
        self.viewers: dict[int, Viewer] = {}
        self.lease = Lease(since=clock())
        self.since = wall()
        self.attached_to: object | None = None
        self.shows: Mapping[str, Any] = LIVE
        self.attaching = asyncio.Lock()
        self.attachments = 0
        """How often the media process was given its screen."""
        self._pauses = 0
        self._clock = clock
        self._wall = wall
        self._tell = tell
        self._note = note
        self._changed = asyncio.Event()
        self._jobs: dict[asyncio.Task[Any], _Job] = {}
        self._asking = 0

    # --- viewers

    def joined(self, viewer: Viewer) -> None:
        """A viewer sees the desktop from now on."""
        viewer.live = True
        self._note("viewer", {"did": "joined", **_about(viewer)})
        self._move(Ask.BACK, viewer)
        self.tell(viewer, self.shows)
        self._tell_lease(viewer)

    def left(self, viewer: Viewer, reason: str) -> None:
        """A viewer is gone."""
        if self.viewers.pop(viewer.number, None) is None:
            return
        if viewer.live:
            self._note("viewer", {"did": "left", "reason": reason, **_about(viewer)})
        self.lease = forget(self.lease, viewer.number)
        if self.lease.drives(viewer.number):
            self._move(Ask.LOST, viewer)
            # the same person over another connection, which was there already
            heir = next(
                (v for v in self.viewers.values() if v.live and v.grant.identity == viewer.grant.identity), None
            )
            if heir is not None:
                self._move(Ask.BACK, heir)

    def tell(self, viewer: Viewer, message: Mapping[str, Any]) -> None:
        """Tell one viewer."""
        self._tell(viewer, message)

    def tell_all(self, message: Mapping[str, Any]) -> None:
        """Tell every viewer."""
        for viewer in self.viewers.values():
            if viewer.live:
                self._tell(viewer, message)

    def show(self, state: str, reason: str = "") -> None:
        """Tell every viewer whether what they see is live or frozen, where that has changed."""
        if state != self.shows["state"]:
            self.shows = {"t": "state", "state": state, "reason": reason}
            self.tell_all(self.shows)

    @property
    def driver_viewer(self) -> Viewer | None:
        """The viewer that drives."""
        party = self.lease.party
        return self.viewers.get(party.viewer) if party is not None and self.lease.holder is Holder.VIEWER else None

    # --- control

    def asked(self, viewer: Viewer, want: str) -> None:
        """A viewer asks for the lease, or lets go of it."""
        if viewer.grant.rights != "control":
            self.refuse(viewer, "not-allowed", "this link is for watching only", "ask for one that may control")
            return
        if self._move(Ask(want), viewer):
            self.refuse(viewer, "not-in-control", "you do not drive this desktop", "take control first")

    def agent_asks(self, ask: Ask) -> None:
        """The agent's side asks. ConflictError if that is not possible now."""
        if self._move(ask, None):
            raise ConflictError(
                f"the agent does not drive {self.sandbox}", hint="take the control back first", **self.control_facts()
            )

    def check_free_for(self, identity: str) -> None:
        """Raise ControlHeldError while the agent or another person drives: what one drives no other one takes back."""
        party = self.lease.party
        if self.lease.holder is Holder.NONE or (party is not None and party.identity == identity):
            return
        facts = self.control_facts()
        who = "the agent" if party is None else facts["name"] or "another person"
        raise ControlHeldError(f"{who} drives {self.sandbox}", hint="take the control first", **facts)

    def may_drive(self, viewer: Viewer) -> bool:
        """Whether this viewer's input counts; some tokens take the control by it."""
        if self.lease.drives(viewer.number):
            return True
        takes = viewer.grant.rights == "control" and viewer.grant.takes_control
        if takes and not self._jobs and self.lease.holder in (Holder.AGENT, Holder.NONE):
            self._move(Ask.TAKE, viewer)
        return self.lease.drives(viewer.number)

    def refuse(self, viewer: Viewer, code: str, message: str, hint: str) -> None:
        """Tell a viewer why nothing happens, at most once a second."""
        now = self._clock()
        if now - viewer.warned_at >= 1.0:
            viewer.warned_at = now
            self.tell(viewer, {"t": "error", "code": code, "message": message, "hint": hint})

    def tick(self) -> None:
        """What only time brings about."""
        self._become(late(self.lease, self._clock()), "late", None)

    def control_facts(self) -> dict[str, Any]:
        """Who drives, for callers of the API; `since` in seconds since the epoch."""
        party, wanted = self.lease.party, self.lease.wanted
        holder = Holder.VIEWER if self.lease.holder is Holder.AWAY else self.lease.holder
        return {
            "holder": str(holder),
            "name": None if party is None else party.name,
            "since": self.since,
            "wanted_by": None if wanted is None else wanted.name,
            "viewers": sum(viewer.live for viewer in self.viewers.values()),
        }

    # --- the agent

    async def as_agent(
        self, work: Callable[[], Awaitable[T]], wait_s: float, stop: Callable[[], None] | None = None
    ) -> T:
        """Do what the agent asks once it may; broken off where a person takes over in its middle.

        With `stop`, which is called then, it has a moment to end by itself: what it returns or raises is the answer.
        Raises ControlHeldError before anything was done, ActionFailedError if it was broken off.
        """
        self._asking += 1
        try:
            await self._agent_turn(wait_s)
            return await self._work(work, stop)
        finally:
            self._asking -= 1

    @property
    def busy(self) -> bool:
        """Whether the agent does something here, or waits until it may."""
        return self._asking > 0

    def over(self, *, paused: bool = False) -> None:
        """The desktop is no more, or not for now: nobody drives it. An agent that waits is told by the node that it
        ended; one that was `paused` it must not bring back by what was asked before."""
        self._pauses += paused
        self.lease = Lease(since=self._clock())
        self._changed.set()

    async def _work(self, work: Callable[[], Awaitable[T]], stop: Callable[[], None] | None) -> T:
        async def working() -> T:
            return await work()

        job = asyncio.create_task(working())
        self._jobs[job] = _Job(stop)
        try:
            return await job
        except asyncio.CancelledError:
            if not self._jobs[job].taken:
                raise
        finally:
            job.cancel()
            del self._jobs[job]
        raise ActionFailedError(
            "a person took control in the middle of this; how much of it was done is not known",
            hint=LOOK_AGAIN,
            code="control-held",
            index=None,
            results=[],
            **self.control_facts(),
        )

    async def _agent_turn(self, wait_s: float) -> None:
        deadline, pauses = self._clock() + wait_s, self._pauses
        while self.lease.refuses_agent:
            left = deadline - self._clock()
            if left <= 0:
                raise self._held()
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                continue
            if self._pauses != pauses:
                raise ConflictError(f"{self.sandbox} was paused meanwhile", hint="resume it", state="paused")
        self._move(Ask.ACT, None)

    def _held(self) -> ControlHeldError:
        facts = self.control_facts()
        return ControlHeldError(
            f"{facts['name'] or 'a person'} drives {self.sandbox}",
            hint="wait for it (wait_for_control), or take the control back: POST …/control",
            **facts,
        )

    # --- inside

    def _move(self, ask: Ask, viewer: Viewer | None) -> bool:
        """Apply what happened to the lease; whether it was refused."""
        lease, refused = step(self.lease, ask, None if viewer is None else viewer.party, self._clock())
        if not refused:
            self._become(lease, str(ask), viewer)
        return refused

    def _become(self, lease: Lease, why: str, viewer: Viewer | None) -> None:
        before, self.lease = self.lease, lease
        if lease == before:
            return
        handed = (before.holder, before.party) != (lease.holder, lease.party)
        if handed:
            self.since = self._wall()
            if before.holder is Holder.VIEWER or lease.holder is Holder.VIEWER:
                self.driver.let_go(agent_too=before.holder is not Holder.VIEWER)
            if lease.refuses_agent:
                self._break_off()
            who = viewer.grant.name if viewer is not None else "agent"
            self._note("control", {"why": why, "by": who, "from": _word(before), "to": _word(lease)})
        elif lease.wanted is not None and lease.wanted != before.wanted:
            self._note("control", {"why": why, "by": lease.wanted.name, "to": _word(lease)})
        self._changed.set()
        for each in self.viewers.values():
            if each.live:
                self._tell_lease(each)

    def _break_off(self) -> None:
        """End what the agent does, unless it is over in a moment by itself."""
        for job in self._jobs:
            asyncio.get_running_loop().call_later(QUICK_S, self._break, job)

    def _break(self, job: asyncio.Task[Any]) -> None:
        found = self._jobs.get(job)
        if found is None or found.taken or not self.lease.refuses_agent:
            return
        found.taken = True
        if found.stop is None:
            job.cancel()
        else:
            found.stop()
            asyncio.get_running_loop().call_later(STOPS_S, job.cancel)

    def _tell_lease(self, viewer: Viewer) -> None:
        party, wanted = self.lease.party, self.lease.wanted
        match self.lease.holder:
            case Holder.AGENT | Holder.NONE:
                holder = str(self.lease.holder)
            case _:
                holder = "you" if self.lease.drives(viewer.number) else "other"
        self.tell(
            viewer,
            {
                "t": "lease",
                "holder": holder,
                "name": None if party is None else party.name,
                "wanted_by": None if wanted is None else wanted.name,
            },
        )


def _word(lease: Lease) -> str:
    return f"{lease.holder} {lease.party.name}" if lease.party is not None else str(lease.holder)


def _about(viewer: Viewer) -> dict[str, Any]:
    token = viewer.grant.token
    return {
        "name": viewer.grant.name,
        "rights": viewer.grant.rights,
        "transport": viewer.transport,
        "token": None if token is None else token.id,
    }
