"""What the server asks of the streamer (docs/streaming.md, section 1): requests in, answers and events out."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiortc import RTCIceServer

from desktop_sandbox.errors import DesktopSandboxError
from streamer.clock import now_s
from streamer.control import ControlError, ControlFrame, ControlSocket
from streamer.desktop import Desktop
from streamer.ice_patches import use_ports
from streamer.messages import VERSION, Message
from streamer.peer import OfferError, PeerViewer, ice_servers
from streamer.recording import Recording
from streamer.socket_viewer import SocketViewer
from streamer.sources import open_source
from streamer.viewer import Viewer

_log = logging.getLogger(__name__)
TICK_S = 0.2
STATS_S = 1.0
MAX_FPS = 60
JOIN_S = 2.0
_SOCKET_BACKLOG_BYTES = 8 << 20


class RequestError(Exception):
    """A request that cannot be carried out; `code` is for programs."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code, self.hint = code, hint


class Service:
    """All desktops and viewers of this process."""

    def __init__(self, sock: socket.socket) -> None:
        self.desktops: dict[str, Desktop] = {}
        self.viewers: dict[int, Viewer] = {}
        self._fps = MAX_FPS
        self._ice_servers: list[RTCIceServer] = []
        self._public_address: str | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._ended = asyncio.Event()
        self._control = ControlSocket(sock, self._received, self._closed)

    async def run(self) -> None:
        """Serve until the control socket closes, then close everything."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            ticking = tasks.create_task(self._tick())
            await self._ended.wait()
            ticking.cancel()
            desktops = list(self.desktops.values())
            for sandbox in list(self.desktops):
                # the server may be starting again, and the desktop runs on
                self._detach(sandbox, "the stream server has ended", ended=False)
            for desktop in desktops:
                await asyncio.to_thread(desktop.capture.join, JOIN_S)
        self._tasks = None

    # requests

    def _received(self, frame: ControlFrame) -> None:
        if frame.message is None:
            viewer = self.viewers.get(frame.viewer)
            if isinstance(viewer, SocketViewer):
                viewer.heard(frame.data)
            return
        self.background(self._answer(frame.message, frame.fd))

    async def _answer(self, request: Message, fd: int | None) -> None:
        op = request.get("op")
        handler = self._handlers().get(op) if isinstance(op, str) else None
        reply: Message = {"id": request.get("id")}
        try:
            if handler is None:
                raise RequestError("unknown-op", f"There is no request {op!r}.")
            if handler in (self._attach, self._record_start):
                if fd is None:
                    raise RequestError("no-descriptor", f"{op} needs a descriptor.")
                taken, fd = fd, None
                reply["result"] = await handler(request, taken)
            else:
                reply["result"] = await handler(request)
        except RequestError as error:
            reply["error"] = {"code": error.code, "message": str(error), "hint": error.hint}
        except OfferError as error:
            reply["error"] = {"code": "bad-offer", "message": str(error), "hint": None}
        except DesktopSandboxError as error:
            reply["error"] = {"code": error.slug, "message": error.message, "hint": error.hint}
        except (KeyError, TypeError, ValueError, OSError) as error:
            reply["error"] = {"code": "bad-request", "message": f"{type(error).__name__}: {error}", "hint": None}
        except Exception as error:  # the server waits for an answer, whatever went wrong
            _log.exception("x %s", op)
            reply["error"] = {"code": "internal", "message": f"{type(error).__name__}: {error}", "hint": None}
        finally:
            if fd is not None:
                os.close(fd)
        self._send(reply)

    def _handlers(self) -> dict[str, Callable[..., Awaitable[Message]]]:
        return {
            "configure": self._configure,
            "desktop.attach": self._attach,
            "desktop.detach": self._detach_request,
            "viewer.offer": self._offer,
            "viewer.socket": self._socket,
            "viewer.close": self._close_viewer,
            "tell": self._tell,
            "record.start": self._record_start,
            "record.stop": self._record_stop,
            "stats": self._stats,
            "ping": self._ping,
        }

    async def _configure(self, request: Message) -> Message:
        self._ice_servers = ice_servers(request.get("ice_servers") or [])
        self._public_address = request.get("public_address")
        self._fps = max(1, min(240, int(request.get("max_fps") or MAX_FPS)))
        if ports := request.get("udp_ports"):
            use_ports(asyncio.get_running_loop(), int(ports[0]), int(ports[1]))
        return {"version": VERSION}

    async def _attach(self, request: Message, fd: int) -> Message:
        source = open_source(request.get("source"), fd)
        sandbox = str(request["sandbox"])
        if (desktop := self.desktops.get(sandbox)) is not None:
            desktop.attach(source)
        else:
            self.desktops[sandbox] = Desktop(sandbox, source, self._fps, self)
        return {}

    async def _detach_request(self, request: Message) -> Message:
        ended = bool(request.get("ended", True))
        self._detach(str(request["sandbox"]), str(request.get("reason") or "ended"), ended=ended)
        return {}

    def _detach(self, sandbox: str, reason: str, *, ended: bool = True) -> None:
        desktop = self.desktops.pop(sandbox, None)
        if desktop is not None and (recording := desktop.detach(reason, ended=ended)) is not None:
            self.background(asyncio.to_thread(recording.abandon))

    async def _offer(self, request: Message) -> Message:
        desktop, number, rights = self._new_viewer(request)
        viewer = PeerViewer(number, rights, desktop, self, str(request["sdp"]), self._ice_servers)
        self._add(viewer, desktop)
        try:
            sdp = await viewer.answer(self._fps, self._public_address)
        except BaseException:
            viewer.close("bad offer")
            raise
        return {"sdp": sdp}

    async def _socket(self, request: Message) -> Message:
        desktop, number, rights = self._new_viewer(request)
        codecs = [str(codec) for codec in request.get("codecs") or []]
        viewer = SocketViewer(number, rights, desktop, self, codecs, self._relay)
        self._add(viewer, desktop)
        viewer.start()
        return {}

    async def _close_viewer(self, request: Message) -> Message:
        if (viewer := self.viewers.get(request["viewer"])) is not None:
            viewer.close(str(request.get("reason") or "closed"))
        return {}

    async def _tell(self, request: Message) -> Message:
        message = request["message"]
        if "viewer" in request:
            told = [self.viewers[request["viewer"]]] if request["viewer"] in self.viewers else []
        else:
            told = list(self._desktop(request).viewers.values())
        for viewer in told:
            viewer.tell(message)
        return {}

    async def _record_start(self, request: Message, fd: int) -> Message:
        recording = Recording(fd, cursor=bool(request.get("cursor", True)), fps=self._fps)
        try:
            desktop = self._desktop(request)
            if desktop.recording is not None:
                raise RequestError("recording", "This desktop is being recorded already.")
        except RequestError:
            recording.abandon()
            raise
        desktop.start_recording(recording)
        return {}

    async def _record_stop(self, request: Message) -> Message:
        recording = self._desktop(request).stop_recording()
        if recording is None:
            raise RequestError("not-recording", "This desktop is not being recorded.")
        figures = await asyncio.to_thread(recording.finish)
        return {"frames": figures.frames, "duration_ms": figures.duration_ms}

    async def _stats(self, _request: Message) -> Message:
        desktops = {sandbox: desktop.totals() for sandbox, desktop in self.desktops.items()}
        return {"desktops": desktops, "tasks": len(asyncio.all_tasks())}

    async def _ping(self, _request: Message) -> Message:
        return {}

    def _new_viewer(self, request: Message) -> tuple[Desktop, int, str]:
        number, rights = request["viewer"], request["rights"]
        if type(number) is not int or rights not in ("view", "control"):
            raise RequestError("bad-request", f"viewer {number!r} with rights {rights!r}")
        if number in self.viewers:
            raise RequestError("viewer-exists", f"There is a viewer {number} already.")
        return self._desktop(request), number, rights

    def _desktop(self, request: Message) -> Desktop:
        desktop = self.desktops.get(str(request["sandbox"]))
        if desktop is None:
            raise RequestError("not-attached", f"The desktop {request['sandbox']} is not attached.", "Attach it first.")
        return desktop

    def _add(self, viewer: Viewer, desktop: Desktop) -> None:
        self.viewers[viewer.number] = viewer
        self.state(viewer.number, "connecting", viewer.transport, None)
        desktop.add(viewer)

    # what viewers and desktops tell

    def input(self, viewer: int, events: list[Message]) -> None:
        """See Outward."""
        self._send({"event": "viewer.input", "viewer": viewer, "events": events})

    def message(self, viewer: int, message: Message) -> None:
        """See Outward."""
        self._send({"event": "viewer.message", "viewer": viewer, "message": message})

    def state(self, viewer: int, state: str, transport: str, reason: str | None) -> None:
        """See Outward."""
        if state == "closed":
            self.viewers.pop(viewer, None)
        event = {"event": "viewer.state", "viewer": viewer, "state": state, "transport": transport, "reason": reason}
        self._send(event)

    def stale(self, sandbox: str) -> None:
        """See DesktopEvents."""
        self._send({"event": "desktop.stale", "sandbox": sandbox})

    def watched(self, sandbox: str, watched: bool) -> None:
        """See DesktopEvents."""
        self._send({"event": "desktop.watched", "sandbox": sandbox, "watched": watched})

    def recording_failed(self, sandbox: str, why: str) -> None:
        """See DesktopEvents."""
        self._send({"event": "recording.failed", "sandbox": sandbox, "reason": why})

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; its errors are logged and go no further."""
        if self._tasks is None:
            work.close()
            return
        self._tasks.create_task(_logged(work))

    # the process

    async def _tick(self) -> None:
        stats_due = now_s()
        while True:
            await asyncio.sleep(TICK_S)
            now = now_s()
            for desktop in list(self.desktops.values()):
                desktop.tick(now)
            if now >= stats_due:
                stats_due = now + STATS_S
                self._send_stats()

    def _send_stats(self) -> None:
        for desktop in self.desktops.values():
            for viewer in desktop.viewers.values():
                if viewer.wants_stats:
                    viewer.tell({"t": "stats", **desktop.figures(viewer)})

    def _send(self, message: Message) -> None:
        if self._control.open:
            try:
                self._control.send(message)
            except ControlError as error:
                _log.warning("x control: %s", error)

    def _relay(self, viewer: int, data: bytes) -> None:
        if self._control.open:
            try:
                self._control.send_binary(viewer, data)
            except ControlError as error:
                _log.warning("x viewer %d: %s", viewer, error)

    def _closed(self, error: Exception | None) -> None:
        _log.info("= control socket closed: %s", error)
        self._ended.set()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # what runs beside must not end the process
        _log.exception("x in the background")
