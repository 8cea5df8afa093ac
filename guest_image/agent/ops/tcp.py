"""tcp.connect: a connection to a port on which something in the guest listens, streamed both ways."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError
from guest_image.agent.protocol import CHUNK_BYTES, STREAM_OUT
from guest_image.agent.registry import integer, op

if TYPE_CHECKING:
    from guest_image.agent.call import Call

MAX_CONNECTIONS = 96
CONNECT_S = 10.0
_HOSTS = ("127.0.0.1", "::1")
CONNECTED = b"\0"


@op("tcp.connect", port=integer(minimum=1, maximum=65535))
async def tcp_connect(call: Call, *, port: int) -> dict[str, Any]:
    """Connect to the guest's own loopback, over IPv4, else IPv6: {} once both ways are at their end.

    The first byte of stream 1 is 0 and says that the connection stands. END is passed on both ways, as a half-close.
    """
    if sum(each.op == call.op for each in call.agent.calls()) > MAX_CONNECTIONS:
        raise OpError("busy", f"{MAX_CONNECTIONS} connections into this desktop are open", hint="close some")
    reader, writer = await _open(port)
    stream = call.out(STREAM_OUT)
    try:
        await stream.write(CONNECTED)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_feed(call, writer))
            with suppress(OSError):
                while data := await reader.read(CHUNK_BYTES):
                    await stream.write(data)
            stream.end()
    finally:
        writer.transport.abort()
    return {}


async def _open(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    failed: OSError | None = None
    for host in _HOSTS:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.open_connection(host, port, limit=CHUNK_BYTES)
        except TimeoutError:
            raise OpError("deadline", f"port {port} did not answer within {CONNECT_S:g} s") from None
        except OSError as error:
            failed = failed or error
    reason = os.strerror(failed.errno) if failed is not None and failed.errno else failed
    raise OpError(
        "not-found",
        f"nothing answers on port {port} in the desktop: {reason}",
        hint="start the server there first; it must listen on localhost or on all addresses",
    )


async def _feed(call: Call, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await call.incoming.read():
            writer.write(data)
            await writer.drain()
        writer.write_eof()
