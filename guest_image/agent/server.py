"""The agent itself: ports, the requests that are running, and what all operations share.

No failure of a request leaves its task; only SIGTERM ends the agent.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from guest_image.agent import registry
from guest_image.agent.a11y.helper import Reader
from guest_image.agent.accounts import Accounts
from guest_image.agent.call import Call
from guest_image.agent.cgroups import UserCgroups
from guest_image.agent.clipboard import Clipboard
from guest_image.agent.errors import OpError
from guest_image.agent.file_threads import FileThreads
from guest_image.agent.jobs import Jobs
from guest_image.agent.journal import log
from guest_image.agent.lane import Lane
from guest_image.agent.pages import SessionPages
from guest_image.agent.port import Port
from guest_image.agent.protocol import (
    OUTPUT_STREAMS,
    STREAM_IN,
    Frame,
    Kind,
    ProtocolError,
    encode_json,
    load_object,
    parse_credit,
    parse_data,
    parse_end,
)
from guest_image.agent.remembered import Batches
from guest_image.agent.session_watch import SessionWatch
from guest_image.agent.xworker import XWorker

if TYPE_CHECKING:
    from typing import Any

    from guest_image.agent.config import AgentConfig
    from guest_image.agent.spawn import Child

_EARLY_BYTES = 4 << 20
_FINISHED = 4096
# what a restored machine may be asked before it is all awake; it has its own clock and names before anything else
_BEFORE_THAW = frozenset({"actions.run", "display.get", "display.set_size"})


class Agent:
    """Serves the ports until `stop` is called: control and bulk in its event loop, input in the lane."""

    def __init__(self, config: AgentConfig) -> None:
        self.config = config
        self.accounts = Accounts(config)
        self.cgroups = UserCgroups(config)
        self.files = FileThreads()
        self.pages = SessionPages(config)
        self.actor = Lane(self, self._connect_actor)
        self.viewer = XWorker("queries", self._connect_viewer)
        self.clipboard = Clipboard(config.display, config.x_timeout_s)
        self.a11y = Reader(self)
        self.batches = Batches()
        self.generation = 0
        self.children: dict[int, Child] = {}
        self.jobs = Jobs()
        self._calls: dict[int, Call] = {}
        self._early: OrderedDict[int, list[Frame]] = OrderedDict()
        self._early_bytes = 0
        self._finished: OrderedDict[int, None] = OrderedDict()
        self._ports: dict[str, Port] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._loose: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until `stop`."""
        from guest_image.agent import ops

        ops.load()
        async with asyncio.TaskGroup() as self._tasks:
            watch = SessionWatch(self.config, self.event)
            self._ports = {name: Port(name, self.config, self._received) for name in ("control", "bulk")}
            self.actor.open(asyncio.get_running_loop())
            try:
                await self._stopping.wait()
            finally:
                await self.a11y.aclose()
                watch.close()
                for port in self._ports.values():
                    port.close()
                for task in list(self._loose):
                    task.cancel()
        self.files.close()
        self.actor.close()
        self.viewer.close()
        self.clipboard.close()

    def _connect_actor(self) -> Any:
        """In the actions' thread: what performs actions. Importing X takes a while, so it is done here."""
        from guest_image.agent.x.performer import Performer

        return Performer(self.config.display)

    def _connect_viewer(self) -> Any:
        """In the queries' thread: a connection that long batches do not hold up."""
        from Xlib.display import Display

        return Display(self.config.display)

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stopping.set()

    def background(self, work: Any, name: str) -> asyncio.Task[Any]:
        """Run a coroutine beyond the request that started it; it must not raise, and ends with the agent."""
        if self._tasks is None:
            raise RuntimeError("the agent is not running")
        task = self._tasks.create_task(work, name=name)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)
        return task

    def calls(self) -> list[Call]:
        """The requests that are running now."""
        return list(self._calls.values())

    def event(self, name: str, **facts: object) -> None:
        """Tell the host something it did not ask for."""
        control = self._ports.get("control")
        if control is not None and control.nonce is not None:
            control.send(encode_json(Kind.EVENT, 0, {"event": name, **facts}), control.epoch)

    def _received(self, port: Port, frame: Frame) -> None:
        """A frame came. What makes no sense is reported in the log and otherwise ignored."""
        try:
            if frame.kind is Kind.HELLO:
                self._hello(port, frame)
            elif frame.kind is Kind.REQUEST:
                self._request(port, frame)
            elif frame.kind is Kind.CANCEL:
                self._cancel(port, frame)
            elif frame.kind in (Kind.DATA, Kind.END, Kind.CREDIT):
                self._stream(frame)
        except Exception as error:
            log(f"x {port.name}: {frame.kind.name} {frame.request}: {type(error).__name__}: {error}")

    def _hello(self, port: Port, frame: Frame) -> None:
        if port.welcome(frame):
            for call in list(self._calls.values()):
                if call.port is port or (port.name == "bulk" and call.op in OUTPUT_STREAMS):
                    call.cancel("superseded")
                    del self._calls[call.id]
            if port.name == "bulk":
                self._early.clear()
                self._early_bytes = 0
            elif port.name == "control":
                self.actor.let_go()
            self._finished.clear()

    def _request(self, port: Port, frame: Frame) -> None:
        call = Call(self, port, self._ports["bulk"], frame.request, "")
        try:
            asked = load_object(frame.payload)
            op, params, timeout_ms = asked.get("op"), asked.get("params", {}), asked.get("timeout_ms")
            if not isinstance(op, str) or not isinstance(params, dict) or type(timeout_ms) not in (int, type(None)):
                raise OpError("invalid", "a request has op (string), params (object), timeout_ms (integer or null)")
            if frame.request in self._calls:
                raise OpError("invalid", f"request {frame.request} is still running")
            if len(self._calls) >= self.config.max_calls:
                raise OpError("busy", f"{len(self._calls)} requests are running in this desktop")
        except (OpError, ProtocolError) as error:
            self._answer_error(call, error if isinstance(error, OpError) else OpError("invalid", str(error)))
            return
        call.op = op
        if self.cgroups.waiting and op not in _BEFORE_THAW:
            self.cgroups.first_action_done()
        for stream in OUTPUT_STREAMS.get(op, ()):
            call.out(stream)
        self._calls[call.id] = call
        call.task = self.background(self._serve(call, params), f"{op} {call.id}")
        for early in self._early.pop(call.id, ()):
            self._early_bytes -= len(early.payload)
            self._stream(early)
        if timeout_ms is not None:
            loop = asyncio.get_running_loop()
            call.timer = loop.call_later(max(0, timeout_ms) / 1000, call.cancel, "deadline")

    def _cancel(self, port: Port, frame: Frame) -> None:
        call = self._calls.get(frame.request)
        if call is not None:
            call.cancel("cancelled")
        elif frame.request not in self._finished:
            gone = Call(self, port, self._ports["bulk"], frame.request, "")
            self._answer_error(gone, OpError("cancelled", "no such request"))

    def _stream(self, frame: Frame) -> None:
        call = self._calls.get(frame.request)
        if call is None:
            self._hold(frame)
        elif frame.kind is Kind.DATA:
            stream, data = parse_data(frame.payload)
            if stream != STREAM_IN:
                raise ProtocolError(f"data for stream {stream}")
            call.incoming.feed(data)
        elif frame.kind is Kind.END:
            parse_end(frame.payload)
            call.incoming.feed_end()
        else:
            stream, granted = parse_credit(frame.payload)
            if stream in call.outgoing:
                call.outgoing[stream].grant(granted)

    def _hold(self, frame: Frame) -> None:
        """Data may overtake its request, since they come over two ports: keep it for a moment."""
        if frame.request in self._finished or frame.kind is Kind.CREDIT:
            return
        self._early.setdefault(frame.request, []).append(frame)
        self._early_bytes += len(frame.payload)
        while self._early_bytes > _EARLY_BYTES:
            _, dropped = self._early.popitem(last=False)
            self._early_bytes -= sum(len(each.payload) for each in dropped)

    async def _serve(self, call: Call, params: dict[str, Any]) -> None:
        try:
            call.started = True
            if call.cause is not None:
                raise asyncio.CancelledError
            result = await registry.perform(call, call.op, params)
            reply = encode_json(Kind.REPLY, call.id, result)
        except asyncio.CancelledError:
            if call.cause is None:
                raise
            self._answer_error(call, OpError("cancelled", f"{call.op} was cancelled"))
        except OpError as error:
            self._answer_error(call, error)
        except ProtocolError as error:
            self._answer_error(call, OpError("too-large", f"the answer of {call.op} does not fit: {error}"))
        except Exception as error:
            traceback.print_exc()
            self._answer_error(call, OpError("failed", f"{call.op}: {type(error).__name__}: {error}"))
        else:
            call.end_streams()
            call.port.send(reply, call.epoch)
        finally:
            self._finish(call)

    def _answer_error(self, call: Call, error: OpError) -> None:
        if call.cause == "deadline":
            error = OpError("deadline", f"{call.op} took longer than allowed", detail=error.detail)
        call.end_streams()
        with suppress(ProtocolError):
            call.port.send(encode_json(Kind.ERROR, call.id, error.to_wire()), call.epoch)

    def _finish(self, call: Call) -> None:
        if call.timer is not None:
            call.timer.cancel()
        if self._calls.get(call.id) is call:
            del self._calls[call.id]
            self._finished[call.id] = None
            if len(self._finished) > _FINISHED:
                self._finished.popitem(last=False)
