"""Handshakes: hosts that come, go, come back, and leave half a frame behind."""

from __future__ import annotations

import asyncio
import time

import pytest

from desktop_sandbox.errors import ChannelError
from desktop_sandbox.microvm.channel import AgentChannel
from guest_image.agent.protocol import (
    FrameReader,
    Kind,
    encode,
    encode_json,
    load_object,
    padding,
)
from guest_image.agent.server import Agent
from tests.agent.conftest import Guest


class RawHost:
    """A host that writes what it likes on one port."""

    def __init__(self, hub, name: str = "control") -> None:
        self.socket = hub.connect_raw(name)
        self.name = name
        self.reader = FrameReader(Kind.WELCOME, strict=True, max_payload=1 << 20)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def hello(self, nonce: str) -> bytes:
        return encode_json(Kind.HELLO, 0, {"nonce": nonce, "versions": [1], "port": self.name})

    async def frames(self, wanted: int, timeout_s: float = 2.0):
        found = []
        async with asyncio.timeout(timeout_s):
            while len(found) < wanted:
                data = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
                assert data, "the agent hung up"
                found += self.reader.feed(data)
        return found


def request(number: int, op: str, **params) -> bytes:
    return encode_json(Kind.REQUEST, number, {"op": op, "params": params, "timeout_ms": None})


async def test_welcome_and_request(guest):
    host = RawHost(guest.hub)
    await host.send(await host.hello("n1") + request(5, "guest.info"))
    welcome, reply = await host.frames(2)
    assert load_object(welcome.payload)["nonce"] == "n1"
    assert (reply.kind, reply.request) == (Kind.REPLY, 5)
    host.socket.close()


@pytest.mark.parametrize("kept", [1, 10, 16, 100, 900])
async def test_hello_in_the_middle_of_a_frame(guest, kept):
    host = RawHost(guest.hub)
    await host.send(await host.hello("old"))
    await host.frames(1)
    half = encode(Kind.REQUEST, 1, b"x" * 1000)[:kept]
    await host.send(half + await host.hello("new"))
    (welcome,) = await host.frames(1, 0.5)
    assert load_object(welcome.payload)["nonce"] == "new"
    await host.send(request(1, "guest.info"))
    assert (await host.frames(1))[0].kind is Kind.REPLY
    host.socket.close()


async def test_padding_ends_the_longest_frame(guest):
    host = RawHost(guest.hub)
    await host.send(await host.hello("old"))
    await host.frames(1)
    await host.send(encode(Kind.REQUEST, 1, b"x" * (1 << 20))[:30])
    await asyncio.sleep(0.1)
    await host.send(padding("control") + await host.hello("new") + request(2, "guest.info"))
    welcome, reply = await host.frames(2)
    assert load_object(welcome.payload)["nonce"] == "new"
    assert reply.request == 2
    host.socket.close()


async def test_repeated_hello_does_not_end_what_runs(guest):
    host = RawHost(guest.hub)
    hello = await host.hello("same")
    await host.send(hello + request(1, "session.wait", conditions=[{"file": "/no/such"}], timeout_ms=300) + hello)
    kinds = [frame.kind for frame in await host.frames(3)]
    assert kinds == [Kind.WELCOME, Kind.WELCOME, Kind.ERROR]
    host.socket.close()


async def test_new_hello_ends_what_runs(guest):
    host = RawHost(guest.hub)
    await host.send(await host.hello("a") + request(1, "command.run", command="sleep 100", user="root"))
    await host.frames(1)
    await asyncio.sleep(0.2)
    assert len(guest.agent.children) == 1
    child = next(iter(guest.agent.children.values()))
    await host.send(await host.hello("b") + request(1, "guest.info"))
    welcome, reply = await host.frames(2)
    assert welcome.kind is Kind.WELCOME
    assert (reply.kind, reply.request) == (Kind.REPLY, 1)
    for _ in range(100):
        if not guest.agent.children:
            break
        await asyncio.sleep(0.02)
    assert not guest.agent.children
    assert child.exited.done()
    host.socket.close()


async def test_bad_frame_skips_to_the_next_hello(guest):
    host = RawHost(guest.hub)
    await host.send(await host.hello("a"))
    await host.frames(1)
    bad = bytearray(request(1, "guest.info"))
    bad[-3] ^= 1
    await host.send(bytes(bad) + request(2, "guest.info"))
    await asyncio.sleep(0.1)
    await host.send(await host.hello("b") + request(3, "guest.info"))
    assert [frame.request for frame in await host.frames(2)] == [0, 3]
    host.socket.close()


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"op":5}', b'{"op":"guest.info","params":[]}', b'{"op":"guest.info","timeout_ms":"1"}'],
)
async def test_bad_request_is_answered(guest, payload):
    host = RawHost(guest.hub)
    await host.send(await host.hello("a") + encode(Kind.REQUEST, 1, payload))
    _, error = await host.frames(2)
    assert error.kind is Kind.ERROR
    assert load_object(error.payload)["code"] == "invalid"
    await host.send(encode(Kind.CANCEL, 77) + encode(Kind.DATA, 5, b"") + request(2, "guest.info"))
    assert [frame.kind for frame in await host.frames(2)] == [Kind.ERROR, Kind.REPLY]
    host.socket.close()


async def test_cancel_right_behind_its_request(guest):
    host = RawHost(guest.hub)
    slow = request(1, "session.wait", conditions=[{"file": "/no/such"}])
    await host.send(await host.hello("a") + slow + encode(Kind.CANCEL, 1))
    _, error = await host.frames(2)
    assert load_object(error.payload)["code"] == "cancelled"
    assert not guest.agent._calls
    host.socket.close()


async def test_server_restart(guest):
    first = await guest.hub.channel()
    assert (await first.request("guest.info"))["session_pid"] == 0
    await first.aclose()
    await first.aclose()
    with pytest.raises(ChannelError):
        await first.request("guest.info")
    second = await guest.hub.channel()
    assert second.agent_build == (await second.request("guest.info"))["agent"]
    await second.aclose()


async def test_host_vanishes_under_load(guest):
    channel = await guest.hub.channel()
    async with asyncio.TaskGroup() as tasks:
        runs = [
            tasks.create_task(swallow(channel.request("command.run", {"command": "yes", "user": "root"})))
            for _ in range(3)
        ]
        await asyncio.sleep(0.3)
        await channel.aclose()
    assert all(isinstance(each.result(), ChannelError) for each in runs)
    channel = await guest.hub.channel()
    await channel.request("guest.info")
    for _ in range(100):
        if not guest.agent.children:
            break
        await asyncio.sleep(0.02)
    assert not guest.agent.children
    await channel.aclose()


async def swallow(work):
    try:
        return await work
    except Exception as error:
        return error


async def test_agent_that_was_killed_says_so(tmp_path):
    guest = Guest(tmp_path)
    guest.hub.keep = True
    told = []
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(guest.agent.run())
        channel = await guest.hub.channel(on_closed=told.append)
        guest.agent.stop()
        await serving
        successor = Agent(guest.config)
        serving = tasks.create_task(successor.run())
        with pytest.raises(ChannelError, match="started anew"):
            await channel.request("guest.info", timeout_s=2)
        assert told == [channel.error]
        guest.hub.kept.clear()
        await channel.aclose()
        channel = await guest.hub.channel()
        await channel.request("guest.info")
        await channel.aclose()
        successor.stop()
    guest.hub.close()


async def test_no_guest_is_a_clear_error(tmp_path):
    begin = time.monotonic()
    with pytest.raises(ChannelError, match="cannot connect"):
        await AgentChannel.connect(tmp_path / "a", tmp_path / "b", tmp_path / "c", timeout_s=0.2)
    assert time.monotonic() - begin < 1


async def test_many_small_requests_are_quick(channel):
    await channel.request("clock.set", {"wall_ns": 1})
    begin = time.perf_counter()
    for _ in range(500):
        await channel.request("clock.set", {"wall_ns": 1})
    assert (time.perf_counter() - begin) / 500 < 0.003
