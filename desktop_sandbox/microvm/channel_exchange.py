"""One request to a guest agent and everything that belongs to it: its answer, its streams, its credit."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from desktop_sandbox.errors import ChannelError, DesktopSandboxError
from guest_image.agent.protocol import (
    CHUNK_BYTES,
    STREAM_IN,
    ProtocolError,
    ReceiveWindow,
    SendWindow,
    encode_credit,
    encode_data,
    encode_end,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from desktop_sandbox.microvm.channel_port import ChannelPort

_MAX_PIECES = 512


class Exchange:
    """A request that is under way. Iterating gives (stream, bytes) as they come: 1 stdout or content, 2 stderr.

    Reading slowly slows the guest down. `result` gives the answer once everything has come; leaving the `async with`
    block of `AgentChannel.stream` before that cancels the request.
    """

    def __init__(
        self,
        request: int,
        op: str,
        bulk: ChannelPort,
        outputs: tuple[int, ...],
        finished: Callable[[Exchange], None],
    ) -> None:
        self.id = request
        self.op = op
        self.has_streams = bool(outputs)
        self.timer: asyncio.TimerHandle | None = None
        self._bulk = bulk
        self._open = set(outputs)
        self._windows = {stream: ReceiveWindow() for stream in outputs}
        self._pieces: deque[tuple[int, bytearray]] = deque()
        self._last: dict[int, bytearray] = {}
        self._finished = finished
        self._answered = False
        self._result: Any = None
        self._error: DesktopSandboxError | None = None
        self._news = asyncio.Event()
        self._credit: asyncio.Event | None = None
        self._window = SendWindow()

    @property
    def done(self) -> bool:
        """Whether the guest has answered and ended its streams, or the request failed."""
        return self._error is not None or (self._answered and not self._open)

    # from the channel

    def reply(self, result: Any) -> None:
        """The guest answered. ProtocolError if it had already."""
        if self._answered:
            raise ProtocolError(f"second REPLY to {self.op}")
        self._answered, self._result = True, result
        self._step()

    def fail(self, error: DesktopSandboxError) -> None:
        """It did not work out; what has come of the streams can still be read."""
        if not self.done:
            self._error = error
            self._step()

    def data(self, stream: int, data: bytes) -> None:
        """A piece of a stream came. ProtocolError if it is not open, or beyond the credit."""
        if stream not in self._open:
            raise ProtocolError(f"data on stream {stream} of {self.op}, which is not open")
        self._windows[stream].received(len(data))
        self._keep(stream, data)
        self._news.set()

    def end(self, stream: int) -> None:
        """A stream is over. ProtocolError if it was not open."""
        if stream not in self._open:
            raise ProtocolError(f"end of stream {stream} of {self.op}, which is not open")
        self._open.discard(stream)
        self._step()

    def grant(self, stream: int, granted_bytes: int) -> None:
        """The guest takes more input. ProtocolError if there is none."""
        if stream != STREAM_IN or self._credit is None:
            raise ProtocolError(f"credit for stream {stream} of {self.op}, which takes no input")
        self._window.grant(granted_bytes)
        self._credit.set()

    # for the caller

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> tuple[int, bytes]:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if not self._open:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        stream, piece = self._pieces.popleft()
        if self._last.get(stream) is piece:
            del self._last[stream]
        grant = self._windows[stream].consumed(len(piece))
        if grant and stream in self._open:
            self._bulk.send(encode_credit(self.id, stream, grant))
        return stream, bytes(piece)

    async def result(self) -> Any:
        """The guest's answer; unread pieces are thrown away. Raises what the guest, or the channel, reports."""
        while True:
            if self._pieces:
                await self.__anext__()
            elif self.done:
                break
            else:
                self._news.clear()
                await self._news.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def expect_input(self) -> None:
        """The request will have input: credit for it is welcome."""
        self._credit = asyncio.Event()

    async def upload(self, chunks: AsyncIterable[bytes]) -> None:
        """Send all of `chunks` as the request's input, as fast as the guest takes it."""
        credit = self._credit
        if credit is None:
            raise ChannelError(f"{self.op} was not asked with input")
        async for chunk in chunks:
            view = memoryview(chunk)
            while view:
                while not self._window.available_bytes:
                    credit.clear()
                    await credit.wait()
                await self._bulk.drain()
                taken = self._window.take(min(len(view), CHUNK_BYTES))
                self._bulk.send(encode_data(self.id, STREAM_IN, bytes(view[:taken])))
                view = view[taken:]
        self._bulk.send(encode_end(self.id, STREAM_IN))

    def _keep(self, stream: int, data: bytes) -> None:
        """Queue a piece. Many tiny ones are joined: the guest must not make us hold a list of single bytes."""
        crowded = len(self._pieces) >= _MAX_PIECES and stream in self._last
        if crowded or (self._pieces and self._pieces[-1][0] == stream and len(data) < CHUNK_BYTES // 8):
            self._last[stream] += data
        else:
            self._last[stream] = bytearray(data)
            self._pieces.append((stream, self._last[stream]))

    def _step(self) -> None:
        self._news.set()
        if self.done:
            self._finished(self)
