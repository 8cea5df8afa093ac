"""A connection to a port of the guest, as the HTTP client wants it, and as a socket."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable

    from desktop_sandbox.api.port_access import GuestPort
    from desktop_sandbox.node.interface import Node
    from desktop_sandbox.node.reach_interface import PortLink

_QUEUED = 8
_READ_BYTES = 64 << 10


class LinkStream(httpcore.AsyncNetworkStream):
    """A port's connection for httpcore. What is written goes through `pieces`, so that a slow guest slows down."""

    def __init__(self) -> None:
        self._outward: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED)
        self._inward: AsyncIterator[bytes] | None = None
        self._rest = b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """What goes to the guest."""
        while (data := await self._outward.get()) is not None:
            yield data

    def begin(self, link: PortLink) -> None:
        """Read from this connection."""
        self._inward = aiter(link)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most so many bytes, empty at the end."""
        assert self._inward is not None
        if not self._rest:
            try:
                async with asyncio.timeout(timeout):
                    self._rest = await anext(self._inward, b"")
            except TimeoutError:
                raise httpcore.ReadTimeout from None
        data, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes; waits while the guest reads none."""
        if buffer:
            try:
                async with asyncio.timeout(timeout):
                    await self._outward.put(bytes(buffer))
            except TimeoutError:
                raise httpcore.WriteTimeout from None

    async def aclose(self) -> None:
        """Nothing: who made the connection ends it."""

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Not here: the guest is spoken to as it is."""
        raise NotImplementedError

    def get_extra_info(self, info: str) -> Any:
        """Nothing."""
        return None


@asynccontextmanager
async def opened(node: Node, there: GuestPort) -> AsyncIterator[LinkStream]:
    """A connection to the port. NotFoundError where nothing listens."""
    stream = LinkStream()
    async with node.connect_port(there.sandbox, there.port, stream.pieces()) as link:
        stream.begin(link)
        yield stream


@asynccontextmanager
async def as_socket(node: Node, there: GuestPort) -> AsyncIterator[socket.socket]:
    """The same as one end of a socket pair, for a client that takes nothing else; whoever gets it closes it."""
    async with opened(node, there) as stream:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)

        async def outward() -> None:
            while data := await reader.read(_READ_BYTES):
                await stream.write(data)

        async def inward() -> None:
            while data := await stream.read(_READ_BYTES):
                writer.write(data)
                await writer.drain()
            writer.write_eof()

        ways = [asyncio.ensure_future(outward()), asyncio.ensure_future(inward())]
        try:
            yield theirs
        finally:
            await _end(ways)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _end(tasks: Iterable[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
