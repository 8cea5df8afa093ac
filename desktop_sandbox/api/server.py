"""Serves an app with uvicorn (uvloop, httptools), started from code: binds first, says clearly what is in the way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from desktop_sandbox.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

    from desktop_sandbox.config import ServerConfig

MAX_MESSAGE_BYTES = 2 << 20
"""Of one message from a viewer's WebSocket: text for the clipboard is the longest."""


def listen(config: ServerConfig) -> socket.socket:
    """A listening socket at the configured address; ConfigurationError says who may be in the way."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, proto)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(2048)
            found.setblocking(False)
        except BaseException:
            found.close()
            raise
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise ConfigurationError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror or error}",
            hint=f"is another server running? Choose another port: --bind {config.host}:0 takes any free one"
            if taken
            else "choose an address of this host with --bind host:port",
        ) from error
    return found


def address_of(bound: socket.socket, *, tls: bool = False) -> str:
    """The URL of a listening socket; an address that means "all" is shown as loopback."""
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _SocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket whose client is just leaving does not keep the server from its own end."""

    def shutdown(self) -> None:
        """As uvicorn does it, whose close is refused where the client's is already being answered (uvicorn 0.54)."""
        try:
            super().shutdown()
        except InvalidState:
            self.transport.close()


class Server(uvicorn.Server):
    """A uvicorn server whose signals belong to its caller: `stop` ends it, letting running requests finish."""

    def __init__(self, app: FastAPI, config: ServerConfig) -> None:
        self._ready = asyncio.Event()
        tls = config.stream.tls
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                ws=_SocketProtocol,
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_ping_interval=20.0,
                ws_ping_timeout=20.0,
                ws_per_message_deflate=False,
                ssl_certfile=None if tls is None else str(tls[0]),
                ssl_keyfile=None if tls is None else str(tls[1]),
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, int(config.shutdown_seconds)),
                h11_max_incomplete_event_size=64 << 10,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield

    def stop(self) -> None:
        """End soon: no new connections, running requests finish, then the lifespan ends."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and tell who waits for it."""
        await super().startup(sockets=sockets)
        self._ready.set()

    async def serve_on(self, bound: socket.socket, ready: asyncio.Event | None = None) -> None:
        """Serve until `stop`; sets `ready` once requests are answered (or never will be). Closes the socket."""
        self._ready = ready or self._ready
        try:
            await self.serve(sockets=[bound])
        except SystemExit:  # how uvicorn reports a lifespan that failed; it has logged why
            raise ConfigurationError("the server did not start", hint="the log above says why") from None
        finally:
            bound.close()
            self._ready.set()
