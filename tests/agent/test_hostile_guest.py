"""A guest that lies: every lie ends its channel with a ChannelError for all who wait, and nothing else."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import time

import pytest
import pytest_asyncio

from desktop_sandbox.errors import ChannelError, DeadlineError, GuestError
from desktop_sandbox.microvm.channel import AgentChannel
from guest_image.agent.protocol import (
    PORTS,
    FrameReader,
    Kind,
    encode,
    encode_data,
    encode_end,
    encode_json,
    load_object,
)


class HostileGuest:
    """Speaks well enough to be greeted, then does what the test says. `answer(port, frame)` gives bytes by port."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.writers: dict[str, asyncio.StreamWriter] = {}
        self.requests: asyncio.Queue = asyncio.Queue()
        self.welcome = True
        self.servers: list[asyncio.Server] = []

    async def start(self) -> None:
        for name in PORTS:

            async def serve(reader, writer, name=name):
                await self._serve(name, reader, writer)

            self.servers.append(await asyncio.start_unix_server(serve, self.folder / name))

    async def _serve(self, name, reader, writer):
        self.writers[name] = writer
        frames = FrameReader(Kind.HELLO, strict=False, max_payload=1 << 20)
        try:
            while data := await reader.read(1 << 16):
                for frame in frames.feed(data):
                    if frame.kind is Kind.HELLO:
                        if self.welcome:
                            nonce = load_object(frame.payload)["nonce"]
                            answer = {"nonce": nonce, "version": 1, "agent": "hostile"}
                            writer.write(encode_json(Kind.WELCOME, 0, answer))
                    else:
                        await self.requests.put((name, frame))
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connect(self, **more) -> AgentChannel:
        paths = [self.folder / name for name in ("control", "bulk", "input")]
        channel = await AgentChannel.connect(*paths, timeout_s=3, **more)
        await channel.open_ports()
        return channel

    def send(self, name: str, data: bytes) -> None:
        self.writers[name].write(data)

    async def stop(self) -> None:
        for server in self.servers:
            server.close()
        for writer in self.writers.values():
            writer.close()


@pytest_asyncio.fixture
async def hostile(tmp_path):
    guest = HostileGuest(tmp_path)
    await guest.start()
    yield guest
    await guest.stop()


def broken(frame: bytes) -> bytes:
    return frame[:-1] + bytes((frame[-1] ^ 1,))


LIES = {
    "zeros": ("control", bytes(100)),
    "junk": ("bulk", b"\xde\xad\xbe\xef" * 10),
    "bad checksum": ("control", broken(encode(Kind.REPLY, 1, b"{}"))),
    "too long": ("control", struct.pack("!2sBBIII", b"DS", 1, 4, 1, 1 << 31, 0)),
    "too long for bulk": ("bulk", encode(Kind.DATA, 1, b"\x01" + bytes(70_000))),
    "unknown kind": ("control", struct.pack("!2sBBIII", b"DS", 1, 99, 1, 0, 0)),
    "a kind for guests": ("control", encode(Kind.REQUEST, 1, b"{}")),
    "reply to nobody": ("control", encode(Kind.REPLY, 77, b"{}")),
    "reply on another port": ("input", encode(Kind.REPLY, 1, b"{}")),
    "reply on bulk": ("bulk", encode(Kind.REPLY, 1, b"{}")),
    "reply is not JSON": ("control", encode(Kind.REPLY, 1, b"{")),
    "reply too deep": ("control", encode(Kind.REPLY, 1, b"[" * 100 + b"]" * 100)),
    "reply beyond recursion": ("control", encode(Kind.REPLY, 1, b"[" * 500_000)),
    "error without code": ("control", encode(Kind.ERROR, 1, b"{}")),
    "error that is a list": ("control", encode(Kind.ERROR, 1, b"[]")),
    "second reply": ("control", encode(Kind.REPLY, 1, b"{}") * 2),
    "data on control": ("control", encode_data(1, 1, b"x")),
    "data for input stream": ("bulk", encode_data(1, 0, b"x")),
    "empty data": ("bulk", encode(Kind.DATA, 1, b"\x01")),
    "data after end": ("bulk", encode_end(1, 1) + encode_data(1, 1, b"x")),
    "end twice": ("bulk", encode_end(1, 1) * 2),
    "end of unknown stream": ("bulk", encode(Kind.END, 1, b"\x09")),
    "data beyond credit": ("bulk", encode_data(1, 1, bytes(32 << 10)) * 9),
    "credit for nothing": ("bulk", encode(Kind.CREDIT, 1, b"\x01\0\0\1\0")),
    "event without name": ("control", encode(Kind.EVENT, 0, b"{}")),
    "event on bulk": ("bulk", encode(Kind.EVENT, 0, b'{"event":"x"}')),
    "event flood": ("control", encode(Kind.EVENT, 0, b'{"event":"x"}') * 1000),
    "wrong welcome": ("control", encode(Kind.WELCOME, 0, b'{"nonce":"other","version":1}')),
}


@pytest.mark.parametrize("lie", LIES)
async def test_every_lie_ends_the_channel(hostile, lie):
    told: list[ChannelError] = []
    channel = await hostile.connect(on_closed=told.append)
    async with asyncio.TaskGroup() as tasks:
        streaming = tasks.create_task(outcome(hold_open(channel)))
        waiting = tasks.create_task(outcome(channel.request("guest.info")))
        await hostile.requests.get()
        await hostile.requests.get()
        hostile.send(*LIES[lie])
    for result in (streaming.result(), waiting.result()):
        assert isinstance(result, ChannelError), result
    assert channel.closed
    assert told == [channel.error]
    with pytest.raises(ChannelError):
        await channel.request("guest.info")
    await channel.aclose()


async def hold_open(channel):
    """Request 1: has output streams, and is not read."""
    async with channel.stream("command.run", {"command": "x"}):
        while not channel.closed:
            await asyncio.sleep(0.01)
        raise channel.error


async def outcome(work):
    try:
        return await asyncio.wait_for(work, 5)
    except Exception as error:
        return error


@pytest.mark.parametrize("seed", range(20))
async def test_random_bytes_on_any_port(hostile, seed):
    chance = random.Random(seed)
    channel = await hostile.connect()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(outcome(channel.request("guest.info", timeout_s=2)))
        await hostile.requests.get()
        hostile.send(chance.choice(PORTS), chance.randbytes(chance.randint(16, 5000)))
    assert isinstance(waiting.result(), ChannelError)
    await channel.aclose()


async def test_hang_up_frees_everybody(hostile):
    channel = await hostile.connect()
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(outcome(channel.request("guest.info"))) for _ in range(5)]
        await hostile.requests.get()
        hostile.writers["input"].close()
    assert all(isinstance(each.result(), ChannelError) for each in waits)
    await channel.aclose()


async def test_silence_is_a_deadline(hostile):
    channel = await hostile.connect()
    begin = time.monotonic()
    with pytest.raises(DeadlineError, match=r"within 0\.2 s"):
        await channel.request("guest.info", timeout_s=0.2)
    assert time.monotonic() - begin < 0.5
    hostile.send("control", encode(Kind.REPLY, 1, b"{}"))
    await asyncio.sleep(0.05)
    assert not channel.closed
    await channel.aclose()


async def test_cancelled_caller_is_free_at_once_and_the_guest_is_told(hostile):
    channel = await hostile.connect()
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(channel.request("guest.info"), 0.1)
    assert time.monotonic() - begin < 0.3
    assert [(await hostile.requests.get())[1].kind for _ in range(2)] == [Kind.REQUEST, Kind.CANCEL]
    late = encode_json(Kind.ERROR, 1, {"code": "cancelled", "message": "x"})
    hostile.send("control", late)
    hostile.send("bulk", encode_data(1, 1, b"late"))
    await asyncio.sleep(0.05)
    assert not channel.closed
    await channel.aclose()


async def test_guest_that_never_welcomes(hostile):
    hostile.welcome = False
    begin = time.monotonic()
    paths = [hostile.folder / name for name in ("control", "bulk", "input")]
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ChannelError, match="did not answer"):
        await AgentChannel.connect(*paths, timeout_s=1.4)
    assert 1.3 < time.monotonic() - begin < 2
    await asyncio.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_guest_that_floods_before_the_welcome(hostile):
    hostile.welcome = False

    async def flood():
        while "control" not in hostile.writers:
            await asyncio.sleep(0.01)
        writer = hostile.writers["control"]
        while not writer.is_closing():
            writer.write(b"DS\x01\x02" + os.urandom(60_000))
            try:
                await writer.drain()
            except ConnectionError:
                return

    paths = [hostile.folder / name for name in ("control", "bulk", "input")]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(flood())
        with pytest.raises(ChannelError):
            await AgentChannel.connect(*paths, timeout_s=0.5)


async def test_crumbs_are_joined(hostile):
    channel = await hostile.connect()
    async with channel.stream("command.run", {"command": "x"}, timeout_s=10) as exchange:
        await hostile.requests.get()
        crumbs = b"".join(encode_data(1, 1 + n % 2, b"x") for n in range(20_000))
        hostile.send("bulk", crumbs + encode_end(1, 1) + encode_end(1, 2))
        hostile.send("control", encode(Kind.REPLY, 1, b"{}"))
        await asyncio.sleep(0.8)
        assert len(exchange._pieces) < 1000
        total = 0
        async for _, data in exchange:
            total += len(data)
        assert total == 20_000
        assert await exchange.result() == {}
    await channel.aclose()


async def test_words_of_the_guest_are_cut(hostile):
    channel = await hostile.connect()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(outcome(channel.request("guest.info")))
        await hostile.requests.get()
        hostile.send("control", encode_json(Kind.ERROR, 1, {"code": "c" * 999, "message": "m" * 99_999}))
    error = waiting.result()
    assert isinstance(error, GuestError)
    assert len(error.message) == 4000
    assert len(error.evidence["code"]) == 64
    await channel.aclose()


async def test_guest_that_stops_in_the_middle_of_a_frame(hostile):
    channel = await hostile.connect()
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(outcome(channel.request("guest.info", timeout_s=1.2 + n))) for n in range(2)]
        await hostile.requests.get()
        hostile.send("control", encode(Kind.REPLY, 1, b"{}")[:-1])
    assert isinstance(waits[0].result(), (DeadlineError, ChannelError))
    assert isinstance(waits[1].result(), ChannelError)
    await channel.aclose()


async def test_upload_to_a_guest_that_takes_nothing(hostile):
    channel = await hostile.connect()
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 32 << 10
            yield bytes(32 << 10)

    with pytest.raises(DeadlineError):
        await channel.request("file.write", {"path": "/x"}, stdin=endless(), timeout_s=0.3)
    assert sent <= (256 << 10) + (64 << 10)
    await channel.aclose()


async def test_event_handler_that_fails(hostile):
    seen = []

    def handle(event):
        seen.append(event["event"])
        raise RuntimeError("no")

    channel = await hostile.connect(on_event=handle)
    hostile.send("control", encode(Kind.EVENT, 0, b'{"event":"one"}') + encode(Kind.EVENT, 0, b'{"event":"two"}'))
    await asyncio.sleep(0.05)
    assert seen == ["one", "two"]
    assert not channel.closed
    await channel.aclose()
