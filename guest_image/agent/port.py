"""One virtio-serial port, seen from the guest: frames in, frames out, and no work while no host listens.

With no host connected a port reads as end of file at once, every time. It is then taken off the event loop and
watched edge-triggered (a connecting host is an edge), with a slow timer beside it, which also opens it again
where it went away altogether. A host that was talking to an agent before this one (killed, and started anew) learns
so from an event; any other host has not been greeted yet and passes over it.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat
from typing import TYPE_CHECKING

from guest_image.agent import digest
from guest_image.agent.protocol import (
    MAX_PAYLOAD,
    VERSION,
    Frame,
    FrameReader,
    Kind,
    ProtocolError,
    encode_json,
    load_object,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from guest_image.agent.config import AgentConfig
    from guest_image.agent.reactor import Reactor, Timer

_READ_BYTES = 64 << 10
_READS_A_TURN = 16
_HIGH_WATER_BYTES = 256 << 10
_WATCHED = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET


class Port:
    """A port and its buffers. `on_frame(port, frame)` gets every frame, HELLO included; it must not raise.

    `epoch` counts HELLOs and hang-ups: what was meant for an earlier host is dropped by `send`.
    """

    def __init__(
        self,
        name: str,
        config: AgentConfig,
        on_frame: Callable[[Port, Frame], None],
        loop: asyncio.AbstractEventLoop | Reactor | None = None,
    ) -> None:
        self.name = name
        self.nonce: str | None = None
        self.epoch = 0
        self._config = config
        self._on_frame = on_frame
        self._loop = loop or asyncio.get_running_loop()
        self._fd = -1
        self._lasting = True
        self._fresh = False
        self._edges = select.epoll()
        self._connected = False
        self._out = bytearray()
        self._writing = False
        self._writable = asyncio.Event()
        self._timer: asyncio.TimerHandle | Timer | None = None
        self._stall: asyncio.TimerHandle | Timer | None = None
        self._last_read = 0.0
        self._reader = self._new_reader()
        self._loop.add_reader(self._edges.fileno(), self._edge)
        self._wake()

    def _new_reader(self) -> FrameReader:
        return FrameReader(Kind.HELLO, strict=False, max_payload=MAX_PAYLOAD[self.name])

    def begin_session(self, nonce: str) -> None:
        """A host said HELLO: what is still to be sent was for another one."""
        self.nonce = nonce
        self.epoch += 1
        self._out.clear()
        self._writable.set()

    def welcome(self, frame: Frame) -> bool:
        """Answer a HELLO; whether another session began with it. ProtocolError for a HELLO that is none of ours."""
        hello = load_object(frame.payload)
        nonce = hello.get("nonce")
        if not isinstance(nonce, str) or VERSION not in hello.get("versions", ()):
            raise ProtocolError("HELLO without nonce, or for other versions")
        new = nonce != self.nonce
        if new:
            self.begin_session(nonce)
        self.send(
            encode_json(Kind.WELCOME, 0, {"nonce": nonce, "version": VERSION, "agent": digest.build()}), self.epoch
        )
        return new

    def send(self, frame: bytes, epoch: int) -> None:
        """Queue a frame for the host of that epoch; dropped if it is gone."""
        if epoch != self.epoch or not self._connected:
            return
        self._out += frame
        if not self._writing:
            self._flush()

    async def drain(self) -> None:
        """Wait until there is room to send. With the host gone that is when the next one comes."""
        await self._writable.wait()

    def close(self) -> None:
        """Let go of the port."""
        self._hang_up()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._drop()
        self._loop.remove_reader(self._edges.fileno())
        self._edges.close()

    def move(self, loop: Reactor) -> None:
        """Go on in another thread's loop, whose thread calls this; the old one's thread hangs in `on_frame`."""
        for fd in (self._edges.fileno(), self._fd):
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
        self._loop = loop
        for timer in (self._stall, self._timer):
            if timer is not None:
                timer.cancel()
        self._stall = self._timer = None
        loop.add_reader(self._edges.fileno(), self._edge)
        if self._connected:
            loop.add_reader(self._fd, self._read)
            if self._writing:
                loop.add_writer(self._fd, self._flush)
        else:
            self._timer = loop.call_later(self._config.reopen_s, self._wake)

    def _wake(self) -> None:
        """Timer: open the port if need be, and see whether a host is there."""
        self._timer = None
        if self._fd < 0:
            try:
                self._fd = self._config.open_port(self.name)
                self._fresh = True
                self._lasting = stat.S_ISCHR(os.fstat(self._fd).st_mode)
                self._edges.register(self._fd, _WATCHED)
            except OSError:
                self._drop()
        if self._fd >= 0:
            self._read()
        if not self._connected and self._timer is None:
            self._timer = self._loop.call_later(self._config.reopen_s, self._wake)

    def _edge(self) -> None:
        self._edges.poll(0)
        if not self._connected and self._fd >= 0:
            self._read()

    def _connect(self) -> None:
        self._connected = True
        self._reader = self._new_reader()
        self._edges.unregister(self._fd)
        self._loop.add_reader(self._fd, self._read)
        if self._fresh and self.name == "control":
            self._out += encode_json(Kind.EVENT, 0, {"event": "agent", "state": "started"})
            self._flush()
        self._fresh = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read(self) -> None:
        for _ in range(_READS_A_TURN):
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                if not self._connected:
                    self._connect()
                return
            except OSError:
                self._hang_up()
                self._drop()
                return
            if not data:
                self._hang_up()
                return
            if not self._connected:
                self._connect()
            loop = self._loop
            self._received(data)
            if len(data) < 4096 or self._fd < 0 or self._loop is not loop:
                return

    def _received(self, data: bytes) -> None:
        loop = self._loop
        self._last_read = loop.time()
        for frame in self._reader.feed(data):
            self._on_frame(self, frame)
            if self._loop is not loop:
                return  # moved meanwhile: the port is another thread's
        if self._reader.buffered_bytes and self._stall is None:
            self._stall = self._loop.call_later(self._config.stall_s, self._check_stall)

    def _check_stall(self) -> None:
        self._stall = None
        if not self._reader.buffered_bytes or not self._connected:
            return
        rest = self._last_read + self._config.stall_s - self._loop.time()
        if rest > 0:
            self._stall = self._loop.call_later(rest, self._check_stall)
            return
        for frame in self._reader.stalled():
            self._on_frame(self, frame)

    def _flush(self) -> None:
        try:
            while self._out:
                written = os.write(self._fd, memoryview(self._out)[:_READ_BYTES])
                del self._out[:written]
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._fd, self._flush)
        except OSError:
            self._hang_up()
            return
        if not self._out and self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)
        if len(self._out) > _HIGH_WATER_BYTES:
            self._writable.clear()
        else:
            self._writable.set()

    def _hang_up(self) -> None:
        """The host is gone: forget what was for it, and wait for the next. A socket does not come back."""
        if self._connected:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._edges.register(self._fd, _WATCHED)
            self._out.clear()
            self._writable.clear()
            self.nonce = None
            self.epoch += 1
        self._writing = self._connected = False
        if not self._lasting:
            self._drop()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if self._timer is None:
            self._timer = self._loop.call_later(self._config.reopen_s, self._wake)

    def _drop(self) -> None:
        """Give the descriptor up; the timer opens the port again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
