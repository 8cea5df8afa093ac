"""One of the three sockets to a guest agent: the handshake, then frames. What it reads is not to be trusted.

A restored guest may sit in the middle of a frame that its old host never finished. Its reader finds our HELLO in there
when nothing follows; for the rest, HELLO is repeated, and later with enough zeros before it to end any frame.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import secrets
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, cast

from desktop_sandbox.errors import ChannelError
from guest_image.agent.protocol import (
    MAX_PAYLOAD,
    RESYNC_AFTER_S,
    VERSION,
    Frame,
    FrameReader,
    Kind,
    ProtocolError,
    encode_json,
    load_object,
    padding,
)

if TYPE_CHECKING:
    from os import PathLike

_PADDING_AFTER_S = 1.0
_RETRY_S = 0.01
_STALL_S = 1.0


class PortOwner(Protocol):
    """Who is told what happens on a port."""

    def frame_received(self, port: ChannelPort, frame: Frame) -> None:
        """A frame after the handshake. ProtocolError ends the channel."""

    def port_failed(self, port: ChannelPort, error: ChannelError) -> None:
        """The port is of no use any more."""


class ChannelPort(asyncio.Protocol):
    """Connects, says HELLO until the guest's WELCOME comes, and passes frames on."""

    def __init__(self, name: str, owner: PortOwner) -> None:
        self.name = name
        self.agent_build = ""
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._nonce = secrets.token_hex(16)
        self._reader = FrameReader(Kind.WELCOME, strict=True, max_payload=MAX_PAYLOAD[name], accept=self._is_welcome)
        self._transport: asyncio.Transport | None = None
        self._welcomed: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._heard_at = 0.0
        self._room = asyncio.Event()
        self._room.set()
        self._held: bytearray | None = None

    @property
    def greeted(self) -> bool:
        """Whether the agent has answered on this port."""
        return self._welcomed.done() and self._welcomed.exception() is None

    async def dial(self, path: str | PathLike[str], timeout_s: float) -> None:
        """Connect to the socket, which needs no guest. ChannelError if that does not work within `timeout_s`."""
        begin = self._loop.time()
        while True:
            try:
                await self._loop.create_unix_connection(lambda: self, str(path))
                break
            except OSError as error:
                if self._loop.time() - begin >= timeout_s:
                    raise ChannelError(
                        f"cannot connect to the guest's {self.name} port at {path}: {error}",
                        hint="the machine may have ended; its serial log says why",
                    ) from error
                await asyncio.sleep(_RETRY_S)

    async def greet(self, timeout_s: float) -> None:
        """Shake hands with the agent. ChannelError if there is no WELCOME within `timeout_s`."""
        begin = self._loop.time()
        while not self._welcomed.done():
            waited_s = self._loop.time() - begin
            if waited_s >= timeout_s:
                raise ChannelError(
                    f"the guest agent did not answer on its {self.name} port within {timeout_s:g} s",
                    hint="the guest may still be starting, or hang; see the machine's serial log",
                )
            self._hello(padded=waited_s >= _PADDING_AFTER_S)
            await asyncio.wait([self._welcomed], timeout=min(RESYNC_AFTER_S, timeout_s - waited_s))
        self._welcomed.result()

    def send(self, data: bytes) -> None:
        """Write a whole frame. Nothing if the port is gone."""
        if self._held is not None:
            self._held += data
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def hold(self) -> None:
        """Send and read nothing until `let_go`: what would be sent is kept."""
        if self._held is None:
            self._held = bytearray()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()

    def let_go(self) -> None:
        """Send what was kept, and go on."""
        kept, self._held = self._held, None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        if kept:
            self.send(bytes(kept))

    def on_the_way(self) -> bool:
        """Whether QEMU has not taken all yet that was sent."""
        if self._transport is None or self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size():
            return True
        waiting = array.array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, waiting)
        return waiting[0] > 0

    @property
    def backlog_bytes(self) -> int:
        """What is waiting for the guest to read it."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until the guest has taken most of what was sent."""
        await self._room.wait()

    def check_stall(self) -> None:
        """Call when an answer is overdue: a guest that stopped in the middle of a frame will not finish it."""
        if self._reader.buffered_bytes and self._loop.time() - self._heard_at > _STALL_S:
            self._fail(f"the guest stopped in the middle of a frame on its {self.name} port")

    async def close(self) -> None:
        """Let go of the socket; returns when it is closed. May be called again."""
        self.abort()
        if self._transport is not None:
            await asyncio.wait([self._gone], timeout=1.0)
        self._settle(ChannelError("the channel to the guest agent was closed"))

    def abort(self) -> None:
        """Cut the connection, without waiting."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected. (uvloop's transports are no subclasses of asyncio's.)"""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        self._heard_at = self._loop.time()
        try:
            for frame in self._reader.feed(data):
                if self._welcomed.done() and frame.kind is not Kind.WELCOME:
                    self._owner.frame_received(self, frame)
                else:
                    self._welcome(frame)
        except ProtocolError as error:
            self._fail(f"the guest broke the protocol on its {self.name} port: {error}")
        except Exception as error:
            self._fail(f"the guest's {self.name} port could not be read: {type(error).__name__}: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: disconnected."""
        self._room.set()
        if not self._gone.done():
            self._gone.set_result(None)
        self._fail(f"the connection to the guest's {self.name} port ended{f': {exc}' if exc else ''}")

    def pause_writing(self) -> None:
        """asyncio: too much is waiting to be sent."""
        self._room.clear()

    def resume_writing(self) -> None:
        """asyncio: go on."""
        self._room.set()

    def _hello(self, *, padded: bool) -> None:
        """Say HELLO, but not into a queue that nobody reads: a guest may take a minute to boot."""
        if self._transport is not None and self._transport.get_write_buffer_size() == 0:
            hello = {"nonce": self._nonce, "versions": [VERSION], "port": self.name}
            frame = encode_json(Kind.HELLO, 0, hello)
            self.send(padding(self.name) + frame if padded else frame)

    def _is_welcome(self, frame: Frame) -> bool:
        with suppress(ProtocolError):
            return load_object(frame.payload).get("nonce") == self._nonce
        return False

    def _welcome(self, frame: Frame) -> None:
        welcome = load_object(frame.payload)
        if frame.kind is not Kind.WELCOME or welcome.get("nonce") != self._nonce:
            raise ProtocolError(f"unexpected {frame.kind.name}")
        if welcome.get("version") != VERSION:
            raise ProtocolError(f"WELCOME for version {welcome.get('version')!r:.40}")
        if not self._welcomed.done():
            self.agent_build = str(welcome.get("agent", ""))[:64]
            self._welcomed.set_result(None)

    def _settle(self, error: ChannelError) -> None:
        if not self._welcomed.done():
            self._welcomed.set_exception(error)
            self._welcomed.exception()

    def _fail(self, message: str) -> None:
        error = ChannelError(message, hint="the machine is replaced or restarted; other desktops go on")
        self._settle(error)
        self.abort()
        self._owner.port_failed(self, error)
