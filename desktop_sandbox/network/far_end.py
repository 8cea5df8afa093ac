"""The end of a connection that lies outside: a socket as it is, or TLS on it. Decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from typing import Protocol

_PIECE = 64 << 10
_HANDSHAKE_S = 15.0


class FarEnd(Protocol):
    """What a flow sends to and receives from."""

    sock: socket.socket
    """What it goes over; whoever has the end closes it."""

    async def receive(self) -> bytes:
        """Some bytes; none at the end. OSError."""

    async def send(self, data: bytes) -> None:
        """Send all of it. OSError."""

    async def finish(self) -> None:
        """Say that nothing more will be sent."""


class PlainEnd:
    """A socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> bytes:
        """Some bytes; none at the end. OSError."""
        return await self._loop.sock_recv(self.sock, _PIECE)

    async def send(self, data: bytes) -> None:
        """Send all of it. OSError."""
        await self._loop.sock_sendall(self.sock, data)

    async def finish(self) -> None:
        """Say that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)


class TlsEnd:
    """TLS as a client, over a socket; made with `handshake`."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._name = name
        self._flushing = asyncio.Lock()

    async def handshake(self) -> None:
        """Agree with the server, which has to prove its name. OSError that says why not."""
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                while True:
                    try:
                        self._tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        await self._flush()
                        await self._fill()
                await self._flush()
        except TimeoutError:
            raise TimeoutError(f"TLS with {self._name}: no answer within {_HANDSHAKE_S:.0f} s") from None
        except OSError as error:
            with contextlib.suppress(OSError):
                await self._flush()  # the alert
            why = getattr(error, "verify_message", None) or error.strerror or str(error)
            raise OSError(f"TLS with {self._name}: {why}") from None

    async def receive(self) -> bytes:
        """Some bytes; none at the end. OSError."""
        while True:
            try:
                data = self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):  # many servers end without a word
                return b""
            else:
                return data

    async def send(self, data: bytes) -> None:
        """Send all of it. OSError."""
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left) :]
            await self._flush()

    async def finish(self) -> None:
        """Say that nothing more will be sent."""
        with contextlib.suppress(OSError):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            await self._flush()
            self.sock.shutdown(socket.SHUT_WR)

    async def _fill(self) -> None:
        piece = await self._loop.sock_recv(self.sock, _PIECE)
        if piece:
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        async with self._flushing:
            while data := self._outgoing.read():
                await self._loop.sock_sendall(self.sock, data)


@functools.cache
def system_trust() -> ssl.SSLContext:
    """Clients' TLS with the certificate authorities of this host."""
    return http_context()


def http_context(authorities: str | None = None) -> ssl.SSLContext:
    """Clients' TLS for HTTP/1.1; `authorities`: PEM to trust instead of the host's."""
    context = ssl.create_default_context(cadata=authorities)
    context.set_alpn_protocols(["http/1.1"])
    return context
