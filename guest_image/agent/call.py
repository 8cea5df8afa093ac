"""One request while it is being worked on, with its streams over the bulk port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from guest_image.agent.protocol import (
    CHUNK_BYTES,
    ReceiveWindow,
    SendWindow,
    encode_credit,
    encode_data,
    encode_end,
)

if TYPE_CHECKING:
    from guest_image.agent.port import Port
    from guest_image.agent.server import Agent


class OutStream:
    """Bytes to the host, as fast as it grants credit."""

    def __init__(self, bulk: Port, epoch: int, request: int, stream: int) -> None:
        self._bulk = bulk
        self._epoch = epoch
        self._request = request
        self._stream = stream
        self._window = SendWindow()
        self._credit = asyncio.Event()
        self.ended = False

    async def room(self) -> int:
        """Wait until something may be sent: how many bytes (at most one chunk)."""
        await self._bulk.drain()
        while not self._window.available_bytes:
            self._credit.clear()
            await self._credit.wait()
        return min(self._window.available_bytes, CHUNK_BYTES)

    async def write(self, data: bytes) -> None:
        """Send all of `data`, waiting for credit where need be."""
        view = memoryview(data)
        while view:
            taken = self._window.take(min(await self.room(), len(view)))
            self._bulk.send(encode_data(self._request, self._stream, bytes(view[:taken])), self._epoch)
            view = view[taken:]

    def grant(self, granted_bytes: int) -> None:
        """The host gave credit."""
        self._window.grant(granted_bytes)
        self._credit.set()

    def end(self) -> None:
        """Say that no more comes; once."""
        if not self.ended:
            self.ended = True
            self._bulk.send(encode_end(self._request, self._stream), self._epoch)


class InStream:
    """Bytes from the host; reading them grants credit for more."""

    def __init__(self, bulk: Port, epoch: int, request: int) -> None:
        self._bulk = bulk
        self._epoch = epoch
        self._request = request
        self._window = ReceiveWindow()
        self._chunks: list[bytes] = []
        self._ended = False
        self._news = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """Data came. ProtocolError if the host had no credit for it."""
        self._window.received(len(data))
        self._chunks.append(data)
        self._news.set()

    def feed_end(self) -> None:
        """The host has no more."""
        self._ended = True
        self._news.set()

    async def read(self) -> bytes:
        """Everything that has come since, at least one byte; b"" at the end."""
        while not self._chunks and not self._ended:
            self._news.clear()
            await self._news.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        grant = self._window.consumed(len(data))
        if grant:
            self._bulk.send(encode_credit(self._request, 0, grant), self._epoch)
        return data


class Call:
    """A request: who asked, over which port, and why it was cancelled if it was.

    `cause` is None, "cancelled" (the host asked), "deadline" (its time is over) or "superseded" (another host said
    HELLO, or this one did again).
    """

    def __init__(self, agent: Agent, port: Port, bulk: Port, request: int, op: str) -> None:
        self.agent = agent
        self.port = port
        self.epoch = port.epoch
        self.bulk = bulk
        self.bulk_epoch = bulk.epoch
        self.id = request
        self.op = op
        self.cause: str | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.started = False
        self._incoming: InStream | None = None
        self.outgoing: dict[int, OutStream] = {}

    @property
    def incoming(self) -> InStream:
        """What the host sends with the request."""
        if self._incoming is None:
            self._incoming = InStream(self.bulk, self.bulk_epoch, self.id)
        return self._incoming

    def out(self, stream: int) -> OutStream:
        """The output stream of that number."""
        if stream not in self.outgoing:
            self.outgoing[stream] = OutStream(self.bulk, self.bulk_epoch, self.id, stream)
        return self.outgoing[stream]

    def end_streams(self) -> None:
        """END whatever is still open."""
        for stream in self.outgoing.values():
            stream.end()

    def cancel(self, cause: str) -> None:
        """Stop the work; the first cause counts. A task that has not begun yet looks at `cause` itself."""
        if self.cause is None:
            self.cause = cause
            if self.started and self.task is not None:
                self.task.cancel()
