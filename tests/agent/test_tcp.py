"""Connections to ports of the guest, through the channel."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress

import pytest

from desktop_sandbox.errors import InvalidRequestError, NotFoundError


@asynccontextmanager
async def listening(handle, host="127.0.0.1"):
    server = await asyncio.start_server(handle, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def talk(channel, port, *pieces, then=None):
    async def typed():
        for piece in pieces:
            yield piece
        if then is not None:
            await then.wait()

    got = bytearray()
    async with channel.stream("tcp.connect", {"port": port}, timeout_s=None, stdin=typed()) as stream:
        async for _, data in stream:
            got += data
        assert await stream.result() == {}
    assert got[:1] == b"\0"
    return bytes(got[1:])


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_large_both_ways(channel):
    body = os.urandom(3_000_000)
    async with listening(echo) as port:
        assert await asyncio.wait_for(talk(channel, port, body[:5], body[5:]), 60) == body


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_server_speaks_first(channel, host):
    async def greet(reader, writer):
        writer.write(b"hello\n")
        await reader.read()
        writer.close()

    async with listening(greet, host) as port:
        assert await asyncio.wait_for(talk(channel, port), 20) == b"hello\n"


async def test_nobody_listens(channel):
    async with listening(echo) as port:
        pass
    with pytest.raises(NotFoundError, match=f"port {port}"):
        await talk(channel, port)
    with pytest.raises(InvalidRequestError):
        await channel.request("tcp.connect", {"port": 0})


async def test_leaving_closes(channel):
    gone = asyncio.Event()

    async def wait(reader, writer):
        writer.write(b"x")
        with suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        gone.set()

    async with listening(wait) as port:
        never = asyncio.Event()
        task = asyncio.create_task(talk(channel, port, then=never))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait_for(gone.wait(), 20)
        await asyncio.wait([task])
