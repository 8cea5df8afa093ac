"""The server's side of a guest agent: requests, streams and events over three sockets.

The guest is hostile by assumption. Whatever it sends, the worst that happens is a ChannelError for those who wait on
this one channel; memory stays bounded by windows and caps.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from desktop_sandbox.errors import ChannelError, DeadlineError, InvalidRequestError
from desktop_sandbox.microvm.channel_errors import first_leaf, guest_error
from desktop_sandbox.microvm.channel_exchange import Exchange
from desktop_sandbox.microvm.channel_port import ChannelPort
from guest_image.agent.protocol import (
    OUTPUT_STREAMS,
    Frame,
    Kind,
    ProtocolError,
    encode,
    encode_json,
    load_json,
    load_object,
    parse_credit,
    parse_data,
    parse_end,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
    from os import PathLike

    OnData = Callable[[int, bytes], Awaitable[None] | None]
    OnEvent = Callable[[dict[str, Any]], None]
    OnClosed = Callable[[ChannelError], None]
    OnAwaited = Callable[[bool], None]

_log = logging.getLogger(__name__)
_LEFT = 4096
_PORT_S = 20.0
_LOOKS, _LOOK_S = 300, 0.001
_MAX_BACKLOG_BYTES = 8 << 20
_EVENT_BURST, _EVENTS_A_SECOND = 500.0, 100.0


class AgentChannel:
    """An open channel. `on_event` gets the guest's events, `on_closed` the error when the channel breaks by itself.

    `on_awaited` is told True when a first request is under way, and False when none is any more.
    """

    def __init__(
        self,
        on_event: OnEvent | None = None,
        on_closed: OnClosed | None = None,
        on_awaited: OnAwaited | None = None,
    ) -> None:
        self.on_event = on_event
        self.on_closed = on_closed
        self._on_awaited = on_awaited
        self.error: ChannelError | None = None
        self._loop = asyncio.get_running_loop()
        self._control = ChannelPort("control", self)
        self._bulk = ChannelPort("bulk", self)
        self._input = ChannelPort("input", self)
        self._opening = asyncio.Lock()
        self._next = 0
        self._exchanges: dict[int, tuple[ChannelPort, Exchange]] = {}
        self._left: OrderedDict[int, None] = OrderedDict()
        self._events_left = _EVENT_BURST
        self._event_at = self._loop.time()

    @classmethod
    async def connect(
        cls,
        control: str | PathLike[str],
        bulk: str | PathLike[str],
        input: str | PathLike[str],
        *,
        timeout_s: float = 10.0,
        on_event: OnEvent | None = None,
        on_closed: OnClosed | None = None,
        on_awaited: OnAwaited | None = None,
    ) -> AgentChannel:
        """Connect to the sockets at these paths and shake hands with the agent behind them.

        The handshake on the other ports follows when they are needed first, so that a machine that was restored a
        moment ago has less to do before its first answer.
        ChannelError if that is not done within `timeout_s`; then nothing is left open.
        """
        channel = cls(on_event, None, on_awaited)
        try:
            for port, path in ((channel._control, control), (channel._bulk, bulk), (channel._input, input)):
                await port.dial(path, timeout_s)
            await channel._control.greet(timeout_s)
        except BaseException:
            await channel.aclose()
            raise
        if channel.error is not None:
            raise channel.error
        channel.on_closed = on_closed
        return channel

    def __repr__(self) -> str:
        state = f"closed: {self.error}" if self.error else f"{len(self._exchanges)} requests"
        return f"<AgentChannel {state}>"

    @property
    def closed(self) -> bool:
        """Whether the channel is of no use any more; `error` says why."""
        return self.error is not None

    @property
    def busy(self) -> bool:
        """Whether something was asked that is not answered yet, or the guest has not taken all that was sent."""
        if self.error is not None:
            return False
        return (
            bool(self._exchanges)
            or self._opening.locked()
            or any(port.on_the_way() for port in (self._control, self._bulk, self._input))
        )

    @property
    def agent_build(self) -> str:
        """The digest by which the guest's agent named itself. As trustworthy as the guest."""
        return self._control.agent_build

    @asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """Nothing passes between host and guest inside the block; what would be sent goes afterwards.

        QEMU lays what it is sent into guest memory also while the vCPUs stand still, and changes its devices with that:
        a snapshot taken meanwhile would hold the one from before and the other from after.
        """
        ports = (self._control, self._bulk, self._input)
        for port in ports:
            port.hold()
        try:
            for _ in range(_LOOKS):  # a guest that hangs takes nothing, and QEMU then touches nothing either
                if not any(port.on_the_way() for port in ports):
                    break
                await asyncio.sleep(_LOOK_S)
            yield
        finally:
            for port in ports:
                port.let_go()

    async def aclose(self) -> None:
        """Close; whoever waits gets a ChannelError. May be called again."""
        self.on_closed = None
        self._break(ChannelError("the channel to the guest agent was closed"))
        for port in (self._control, self._bulk, self._input):
            await port.close()

    async def request(
        self,
        op: str,
        params: dict[str, Any] | None = None,
        *,
        timeout_s: float | None = 30.0,
        stdin: AsyncIterable[bytes] | None = None,
        on_data: OnData | None = None,
        port: str = "control",
    ) -> Any:
        """Ask the guest and return its answer, a JSON value that the caller still has to check.

        `stdin` is sent as input, `on_data(stream, bytes)` gets the output (it may be a coroutine function; while it
        runs, the guest is slowed down). Raises NotFoundError, InvalidRequestError, ConflictError, DeadlineError,
        GuestError as the guest reports, DeadlineError when it does not answer in time, ChannelError when the channel
        breaks.
        """
        async with self.stream(op, params, timeout_s=timeout_s, stdin=stdin, port=port) as exchange:
            if on_data is not None:
                async for stream, data in exchange:
                    told = on_data(stream, data)
                    if inspect.isawaitable(told):
                        await told
            return await exchange.result()

    @asynccontextmanager
    async def stream(
        self,
        op: str,
        params: dict[str, Any] | None = None,
        *,
        timeout_s: float | None = 30.0,
        stdin: AsyncIterable[bytes] | None = None,
        port: str = "control",
    ) -> AsyncIterator[Exchange]:
        """Ask the guest: an Exchange to iterate over and take the result from. Leaving early cancels the request.

        The guest is told `timeout_s`, so that it can say what was done by then; a guest that does not is given up a
        moment later.
        """
        if port == "input":
            await self._greet(self._input)
        if stdin is not None or OUTPUT_STREAMS.get(op):
            await self._greet(self._bulk)
        exchange = self._ask(op, params or {}, timeout_s, port, takes_input=stdin is not None)
        try:
            if stdin is None:
                yield exchange
            else:
                async with asyncio.TaskGroup() as tasks:
                    upload = tasks.create_task(exchange.upload(stdin))
                    yield exchange
                    upload.cancel()
        except BaseExceptionGroup as group:
            raise first_leaf(group) from None
        finally:
            self.cancel(exchange)
            self._forget(exchange)

    def tell(self, op: str, params: dict[str, Any], *, timeout_s: float = 30.0) -> None:
        """Ask on the control port without waiting: the guest does it before whatever it is asked there next."""
        self._ask(op, params, timeout_s, "control", takes_input=False)

    async def open_ports(self) -> None:
        """Shake hands on the other ports now, rather than when they are needed first."""
        for port in (self._bulk, self._input):
            await self._greet(port)

    def cancel(self, exchange: Exchange) -> None:
        """Ask the guest to stop; its answer, with what was done, still comes to `exchange`. Nothing if it is done.

        What was asked on the input port is over before it could be stopped.
        """
        held = self._exchanges.get(exchange.id)
        if held is not None and held[0] is not self._input:
            held[0].send(encode(Kind.CANCEL, exchange.id))

    # from the ports

    def frame_received(self, port: ChannelPort, frame: Frame) -> None:
        """A frame came. ProtocolError for whatever a well-behaved agent would not send."""
        kind, request, payload = frame
        if kind is Kind.EVENT and port is self._control and request == 0:
            self._event(load_object(payload))
            return
        held = self._exchanges.get(request)
        if held is None:
            if request not in self._left:
                raise ProtocolError(f"{kind.name} for request {request}, which nobody asked")
            return
        asked_on, exchange = held
        if kind in (Kind.REPLY, Kind.ERROR) and port is asked_on:
            if kind is Kind.REPLY:
                exchange.reply(load_json(payload))
            else:
                exchange.fail(guest_error(load_object(payload)))
        elif kind is Kind.DATA and port is self._bulk:
            exchange.data(*parse_data(payload))
        elif kind is Kind.END and port is self._bulk:
            exchange.end(parse_end(payload))
        elif kind is Kind.CREDIT and port is self._bulk:
            exchange.grant(*parse_credit(payload))
        else:
            raise ProtocolError(f"unexpected {kind.name} on the {port.name} port")

    def port_failed(self, port: ChannelPort, error: ChannelError) -> None:
        """One port is gone: so is the channel."""
        if self.error is None:
            _log.warning("x agent channel: %s", error.message)
            self._break(error)

    # inside

    async def _greet(self, port: ChannelPort) -> None:
        """Shake hands on a port that was not needed before. ChannelError if the agent does not answer on it."""
        if not port.greeted:
            async with self._opening:
                if not port.greeted and self.error is None:
                    await port.greet(_PORT_S)

    def _ask(
        self, op: str, params: dict[str, Any], timeout_s: float | None, port_name: str, *, takes_input: bool
    ) -> Exchange:
        if self.error is not None:
            raise ChannelError(self.error.message, hint=self.error.hint)
        port = self._input if port_name == "input" else self._control
        if port.backlog_bytes > _MAX_BACKLOG_BYTES:
            raise ChannelError("the guest agent does not read what it is asked", hint="its desktop may be stopped")
        self._next = self._next % 0xFFFF_FFFF + 1
        request = self._next
        timeout_ms = None if timeout_s is None else max(1, int(timeout_s * 1000))
        asked = {"op": op, "params": params, "timeout_ms": timeout_ms}
        try:
            frame = encode_json(Kind.REQUEST, request, asked)
        except ProtocolError as error:
            raise InvalidRequestError(f"{op} cannot be asked: {error}", hint="send less at once") from error
        exchange = Exchange(request, op, self._bulk, OUTPUT_STREAMS.get(op, ()), self._done)
        if takes_input:
            exchange.expect_input()
            exchange.has_streams = True
        if timeout_s is not None:
            grace_s = min(0.5, timeout_s / 4)
            exchange.timer = self._loop.call_later(timeout_s + grace_s, self._expire, exchange, timeout_s)
        if not self._exchanges and self._on_awaited is not None:
            self._on_awaited(True)
        self._exchanges[request] = (port, exchange)
        port.send(frame)
        return exchange

    def _expire(self, exchange: Exchange, timeout_s: float) -> None:
        self.cancel(exchange)
        self._leave(exchange.id)
        for port in (self._control, self._bulk, self._input):
            port.check_stall()
        exchange.fail(
            DeadlineError(
                f"the desktop did not answer {exchange.op} within {timeout_s:g} s",
                hint="it may be busy or hang; ask again with a longer timeout",
            )
        )

    def _done(self, exchange: Exchange) -> None:
        """An exchange is over: late frames of its streams are still welcome, others are not."""
        if exchange.timer is not None:
            exchange.timer.cancel()
        if self._take_out(exchange) and exchange.has_streams:
            self._leave(exchange.id)

    def _forget(self, exchange: Exchange) -> None:
        """Its caller has gone: whatever still comes is ignored."""
        if exchange.timer is not None:
            exchange.timer.cancel()
        if self._take_out(exchange):
            self._leave(exchange.id)

    def _take_out(self, exchange: Exchange) -> bool:
        """Whether it was under way until now."""
        if self._exchanges.pop(exchange.id, None) is None:
            return False
        if not self._exchanges and self._on_awaited is not None:
            self._on_awaited(False)
        return True

    def _leave(self, request: int) -> None:
        self._left[request] = None
        while len(self._left) > _LEFT:
            self._left.popitem(last=False)

    def _event(self, event: dict[str, Any]) -> None:
        now = self._loop.time()
        refill = (now - self._event_at) * _EVENTS_A_SECOND
        self._events_left = min(_EVENT_BURST, self._events_left + refill) - 1
        self._event_at = now
        if self._events_left < 0:
            raise ProtocolError(f"more than {_EVENTS_A_SECOND:g} events a second")
        if not isinstance(event.get("event"), str):
            raise ProtocolError("EVENT without a name")
        if event["event"] == "agent":
            hint = "connect again; the agent was killed and started anew, windows and programs go on"
            self.port_failed(self._control, ChannelError("the guest agent was started anew", hint=hint))
        elif self.on_event is not None:
            try:
                self.on_event(event)
            except Exception:
                _log.exception("x agent channel: an event could not be handled")

    def _break(self, error: ChannelError) -> None:
        if self.error is not None:
            return
        self.error = error
        for _, exchange in list(self._exchanges.values()):
            exchange.fail(ChannelError(error.message, hint=error.hint, op=exchange.op))
        for port in (self._control, self._bulk, self._input):
            port.abort()
        if self.on_closed is not None:
            self.on_closed(error)
