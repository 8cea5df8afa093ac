"""All live views of one server: desktops that are watched, their viewers, and the media process between them.

Viewers come in through `offer` and `socket`; what they do comes back as events of the media process. Whatever becomes
of that process, sandboxes run on and viewers may come again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from desktop_sandbox import errors
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.node.interface import Node, NodeNews
from desktop_sandbox.stream.clipboards import Clipboards
from desktop_sandbox.stream.desk import Desk
from desktop_sandbox.stream.driving import Driver
from desktop_sandbox.stream.inbox import Inbox
from desktop_sandbox.stream.jobs import Jobs
from desktop_sandbox.stream.lease import Holder
from desktop_sandbox.stream.link import StreamerLink
from desktop_sandbox.stream.parties import Grant, Outlet, Viewer
from desktop_sandbox.stream.recorder import Recorder
from desktop_sandbox.stream.screens import Screens
from desktop_sandbox.stream.supervisor import Supervisor
from desktop_sandbox.stream.token_store import TokenStore

log = logging.getLogger("desktop_sandbox.stream")

T = TypeVar("T")
MAX_VIEWERS = 200
MAX_VIEWERS_OF_ONE = 64
HOUSE_S = 0.5
UNWATCHED_S = 10.0
"""So long the media process keeps a desktop that nobody watches: a reload finds it ready."""
OFFER_S = 15.0


class Views:
    """Made and used in one loop; `tasks` outlives every request."""

    def __init__(self, node: Node, tokens: TokenStore, tasks: asyncio.TaskGroup) -> None:
        self.node = node
        self.tokens = tokens
        self.jobs = Jobs(tasks)
        self.clipboards = Clipboards(node, self.jobs)
        self.inbox = Inbox(node, self.jobs, self.clipboards)
        self.recorder = Recorder(self)
        self.supervisor: Supervisor
        self.screens: Screens
        self.desks: dict[str, Desk] = {}
        self.viewers: dict[int, Viewer] = {}
        self.closed_viewers = 0
        self._numbers = itertools.count(1)
        self._per_desk: dict[str, list[asyncio.Task[None]]] = {}
        self._empty_since: dict[str, float] = {}
        self._clock = time.monotonic

    def start(self, supervisor: Supervisor) -> None:
        """Begin to keep house and to listen to the node."""
        self.supervisor = supervisor
        self.screens = Screens(self.node, supervisor)
        self.node.listen(self._heard)
        self.jobs.start(self._keep_house(), "views")

    async def aclose(self) -> None:
        """End all views, in order: recordings are finished, viewers told."""
        await self.recorder.stop_all("the server stops")
        for viewer in list(self.viewers.values()):
            await self.close(viewer, "the server stops")
        await self.jobs.cancel()
        await self.supervisor.aclose()

    # --- viewers come and go

    async def offer(self, sandbox_id: str, grant: Grant, sdp: str) -> tuple[Viewer, str]:
        """A viewer over WebRTC: the viewer, and the SDP answer to its offer."""
        viewer = await self._enter(sandbox_id, grant, None)
        try:
            link = await self.attached(sandbox_id)
            params = {"viewer": viewer.number, "sandbox": sandbox_id, "rights": grant.rights, "sdp": sdp}
            answer = await link.request("viewer.offer", params, deadline_s=OFFER_S)
            return viewer, str(answer.get("sdp", ""))
        except BaseException:
            self._leave(viewer, "not connected")
            raise

    async def socket(self, sandbox_id: str, grant: Grant, codecs: Sequence[str], outlet: Outlet) -> Viewer:
        """A viewer over a WebSocket; what the media process says to it goes into `outlet`."""
        viewer = await self._enter(sandbox_id, grant, outlet)
        try:
            link = await self.attached(sandbox_id)
            params = {"viewer": viewer.number, "sandbox": sandbox_id, "rights": grant.rights, "codecs": list(codecs)}
            await link.request("viewer.socket", params)
            return viewer
        except BaseException:
            self._leave(viewer, "not connected")
            raise

    def said(self, viewer: Viewer, data: bytes) -> None:
        """Pass on what a viewer's WebSocket said. StreamerError if there is no media process."""
        link = self.supervisor.link_now()
        if link is not None and viewer.number in self.viewers:
            link.send_binary(viewer.number, data)

    async def close(self, viewer: Viewer, reason: str) -> None:
        """End a viewer's connection."""
        link = self.supervisor.link_now()
        if link is not None and viewer.number in self.viewers:
            try:
                await link.request("viewer.close", {"viewer": viewer.number, "reason": reason}, deadline_s=2.0)
            except errors.DesktopSandboxError as error:
                log.debug("viewer %d not closed: %s", viewer.number, error.message)
        self._leave(viewer, reason)

    def find(self, sandbox_id: str, resource: str) -> Viewer:
        """A viewer by its WHEP resource. NotFoundError."""
        for viewer in self.viewers.values():
            if viewer.sandbox == sandbox_id and viewer.resource == resource:
                return viewer
        raise errors.NotFoundError("there is no such session", hint="it has ended; make a new offer")

    async def revoked(self, token_id: str) -> None:
        """A token is good for nothing any more: close who came with it."""
        for viewer in list(self.viewers.values()):
            if viewer.grant.token is not None and viewer.grant.token.id == token_id:
                await self.close(viewer, "the link was revoked")

    # --- the agent

    async def as_agent(
        self,
        sandbox_id: str,
        work: Callable[[], Awaitable[T]],
        wait_s: float = 0.0,
        stop: Callable[[], None] | None = None,
    ) -> T:
        """Do what the agent asks, if it may; broken off where a person takes over in its middle, by `stop` if it can.

        Raises ControlHeldError before anything was done, ActionFailedError if it was broken off.
        """
        return await self.control(sandbox_id).as_agent(work, wait_s, stop)

    def control(self, sandbox_id: str) -> Desk:
        """The desk of a sandbox, made if need be."""
        return self.desks.get(sandbox_id) or self._make_desk(sandbox_id)

    # --- the media process

    async def attached(self, sandbox_id: str) -> StreamerLink:
        """The media process, which reads this desktop's screen."""
        return await self.screens.attached(self.control(sandbox_id))

    def event(self, message: Mapping[str, Any]) -> None:
        """An event of the media process."""
        viewer = self.viewers.get(message.get("viewer", 0))
        match message["event"]:
            case "viewer.state" if viewer is not None:
                if message.get("state") == "live" and not viewer.live:
                    self.desks[viewer.sandbox].joined(viewer)
                elif message.get("state") == "closed":
                    self._leave(viewer, str(message.get("reason") or "closed"))
            case "viewer.input" if viewer is not None:
                self.inbox.input(self.desks[viewer.sandbox], viewer, message.get("events") or ())
            case "viewer.message" if viewer is not None:
                self.inbox.message(self.desks[viewer.sandbox], viewer, message.get("message") or {})
            case "desktop.stale":
                desk = self.desks.get(str(message.get("sandbox")))
                if desk is not None:
                    self.jobs.start(self.screens.again(desk, self._end, self._is_kept), f"attach {desk.sandbox}")
            case "recording.failed":
                failed = self.recorder.failed(str(message.get("sandbox")), str(message.get("reason")))
                self.jobs.start(failed, "recording failed")

    def binary(self, number: int, data: bytes) -> None:
        """Something for a viewer's WebSocket."""
        viewer = self.viewers.get(number)
        if viewer is not None and viewer.outlet is not None and not viewer.outlet.put(data):
            self.jobs.start(self.close(viewer, "too slow"), "close")

    def lost(self) -> None:
        """The media process is gone, and with it every connection; viewers may come again."""
        for desk in self.desks.values():
            desk.attached_to = None
        for viewer in list(self.viewers.values()):
            self._leave(viewer, "the media process ended")

    # --- inside

    async def _enter(self, sandbox_id: str, grant: Grant, outlet: Outlet | None) -> Viewer:
        info = await self.node.get(sandbox_id)
        if info.state is SandboxState.PAUSED and info.auto_resume:
            info = await self.node.resume(sandbox_id)
        if info.state is not SandboxState.RUNNING:
            raise errors.ConflictError(f"{sandbox_id} is {info.state}", hint="watch one that runs", state=info.state)
        desk = self.control(sandbox_id)
        if len(desk.viewers) >= MAX_VIEWERS_OF_ONE or len(self.viewers) >= MAX_VIEWERS:
            raise errors.CapacityError("too many people watch already", hint="close a view, or try later")
        viewer = Viewer(next(self._numbers), sandbox_id, grant, outlet)
        self.viewers[viewer.number] = desk.viewers[viewer.number] = viewer
        self._tell_watched()
        return viewer

    def _tell_watched(self) -> None:
        """What somebody looks at, or is recorded, does not stand still."""
        watched = {desk.sandbox for desk in self.desks.values() if desk.viewers}
        self.node.watched(watched | self.recorder.running)

    def _leave(self, viewer: Viewer, reason: str) -> None:
        if self.viewers.pop(viewer.number, None) is None:
            return
        self.closed_viewers += 1
        if viewer.outlet is not None:
            viewer.outlet.close(reason)
        desk = self.desks.get(viewer.sandbox)
        if desk is not None:
            desk.left(viewer, reason)

    def _make_desk(self, sandbox_id: str) -> Desk:
        def failed(message: str, hint: str) -> None:
            viewer = desk.driver_viewer
            if viewer is not None:
                desk.refuse(viewer, "action-failed", message, hint)

        def tell(viewer: Viewer, message: Mapping[str, Any]) -> None:
            link = self.supervisor.link_now()
            if link is not None:
                link.ask("tell", {"viewer": viewer.number, "message": dict(message)})

        def note(kind: str, data: Mapping[str, Any]) -> None:
            self.jobs.start(self._note(sandbox_id, kind, data), "note")

        driver = Driver(self.node, sandbox_id, failed)
        desk = self.desks[sandbox_id] = Desk(sandbox_id, driver, self._clock, time.time, tell, note)
        self._per_desk[sandbox_id] = [self.jobs.start(driver.run(), f"input {sandbox_id}")]
        return desk

    async def _note(self, sandbox_id: str, kind: str, data: Mapping[str, Any]) -> None:
        try:
            await self.node.note(sandbox_id, kind, data)
        except errors.NotFoundError:
            log.debug("%s is gone: %s not noted", sandbox_id, kind)

    def _drop_desk(self, desk: Desk) -> None:
        if desk.busy or not desk.driver.idle or not self._is_kept(desk):
            return  # a person who comes now must be able to break it off, and what is down be let go of first
        self.desks.pop(desk.sandbox, None)
        self._empty_since.pop(desk.sandbox, None)
        for task in self._per_desk.pop(desk.sandbox, []):
            task.cancel()
        self.clipboards.drop(desk.sandbox)

    async def again_all(self) -> None:
        """Another media process is needed where somebody still expects something of it."""
        await self.recorder.resume()

    def _heard(self, sandbox_id: str, news: NodeNews, reason: str) -> None:
        desk = self.desks.get(sandbox_id)
        if desk is None:
            return
        match news:
            case NodeNews.RESIZED | NodeNews.BACK:
                self.jobs.start(self.screens.again(desk, self._end, self._is_kept), f"attach {sandbox_id}")
            case NodeNews.PAUSED:
                self.jobs.start(self._end(desk, "it was paused", "paused"), f"end {sandbox_id}")
            case NodeNews.ENDED:
                self.jobs.start(self._end(desk, reason), f"end {sandbox_id}")

    def _is_kept(self, desk: Desk) -> bool:
        return self.desks.get(desk.sandbox) is desk

    async def _end(self, desk: Desk, reason: str, state: str = "ended") -> None:
        """The sandbox is no more, or not for now."""
        if not self._is_kept(desk):
            return  # another one stands for the sandbox that came back
        await self.recorder.stop_if_running(desk.sandbox, reason)
        desk.tell_all({"t": "state", "state": state, "reason": reason})
        await self.screens.detach(desk, reason, ended=state == "ended")
        for viewer in list(desk.viewers.values()):
            self._leave(viewer, reason)
        desk.over(paused=state == "paused")
        self._drop_desk(desk)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSE_S)
            try:
                await self._tidy()
            except Exception:  # one desktop's trouble must not end the others' care
                log.exception("keeping the views")

    async def _tidy(self) -> None:
        for viewer in list(self.viewers.values()):
            token = viewer.grant.token
            if token is not None and not self.tokens.is_good(token):
                await self.close(viewer, "the link has expired")
        await self.recorder.tidy()
        self._tell_watched()
        now = self._clock()
        for desk in list(self.desks.values()):
            desk.tick()
            self.clipboards.follow(desk)
            idle = not desk.viewers and not self.recorder.is_running(desk.sandbox)
            if not idle:
                self._empty_since.pop(desk.sandbox, None)
            elif now - self._empty_since.setdefault(desk.sandbox, now) > UNWATCHED_S:
                await self.screens.detach(desk, "nobody watches")
                used = desk.viewers or self.recorder.is_running(desk.sandbox)  # by who came meanwhile
                if desk.lease.holder is Holder.AGENT and not used:
                    self._drop_desk(desk)
