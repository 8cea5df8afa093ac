"""A machine stands still and wakes, its QEMU and its agent played over their sockets."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox.errors import DesktopSandboxError, MachineError
from desktop_sandbox.microvm.channel import AgentChannel
from desktop_sandbox.microvm.command_line import MachineShape
from desktop_sandbox.microvm.guest import Identity
from desktop_sandbox.microvm.host import boot_id, process_start_time
from desktop_sandbox.microvm.machine import Machine
from desktop_sandbox.microvm.process import Process, ProcessId
from desktop_sandbox.microvm.qmp import Qmp
from desktop_sandbox.node.attachment import Attachment
from guest_image.agent.protocol import FrameReader, Kind, encode_json, load_object


class Peer:
    """QEMU and the agent of one machine. `refuses`: what QEMU or the agent answers with an error; `silent`: ports that
    are not greeted, commands that QEMU answers only when it is asked for the next, and what the agent never answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses: set[str] = set()
        self.silent: set[str] = set()

    async def qmp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version = {"qemu": {"major": 9, "minor": 0, "micro": 0}, "package": ""}
        writer.write(json.dumps({"QMP": {"version": version, "capabilities": []}}).encode() + b"\n")
        late: list[dict[str, Any]] = []
        # the client sends one command at a time, and no line end
        while text := await reader.read(1 << 16):
            asked = json.loads(text)
            command = asked["execute"]
            if command != "qmp_capabilities":
                self.asked.append(command)
            answer: dict[str, Any] = {"return": {}}
            if command in self.refuses:
                answer = {"error": {"class": "GenericError", "desc": "no"}}
            if "id" in asked:
                answer["id"] = asked["id"]
            late.append(answer)
            if command not in self.silent:
                for one in late:
                    writer.write(json.dumps(one).encode() + b"\n")
                late.clear()
        writer.close()

    async def agent(self, port: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader(Kind.HELLO, strict=False, max_payload=1 << 20)
        while data := await reader.read(1 << 16):
            for frame in frames.feed(data):
                asked = load_object(frame.payload)
                if frame.kind is Kind.HELLO:
                    self.asked.append(f"hello {port}")
                    if port not in self.silent:
                        answer = {"nonce": asked["nonce"], "version": 1, "agent": "peer"}
                        writer.write(encode_json(Kind.WELCOME, 0, answer))
                elif frame.kind is Kind.REQUEST:
                    self.asked.append(asked["op"])
                    if asked["op"] in self.silent:
                        continue
                    if asked["op"] in self.refuses:
                        refusal = {"code": "internal", "message": "no"}
                        writer.write(encode_json(Kind.ERROR, frame.request, refusal))
                    else:
                        writer.write(encode_json(Kind.REPLY, frame.request, {}))
        writer.close()


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
async def machine(peer: Peer, tmp_path: Path) -> AsyncIterator[Machine]:
    shape, pid = MachineShape(256, 1), os.getpid()
    servers = [await asyncio.start_unix_server(peer.qmp, tmp_path / "qmp.test")]
    start_time = process_start_time(pid)
    assert start_time is not None
    process = Process(ProcessId(pid, start_time, boot_id()))
    qmp = await Qmp.connect(str(tmp_path / "qmp.test"), "test")
    made = Machine("sb-1", tmp_path, shape, process, qmp)
    for name, path in zip(("control", "bulk", "input"), made.port_paths(), strict=True):

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str = name) -> None:
            await peer.agent(name, reader, writer)

        servers.append(await asyncio.start_unix_server(serve, path))
    yield made
    await qmp.close()
    for server in servers:
        server.close()


def attachment(machine: Machine) -> Attachment:
    """To a machine whose process is this one, which must not become nice."""
    live = Attachment(machine)
    live.standing.close()
    return live


async def until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_stop_that_is_refused_is_taken_back(peer: Peer, machine: Machine) -> None:
    live = attachment(machine)
    peer.refuses.add("stop")
    with pytest.raises(MachineError):
        await live.freeze(time.monotonic())
    assert peer.asked == ["stop", "cont"]
    assert not live.frozen


async def test_a_stop_that_nobody_waited_for_is_taken_back(peer: Peer, machine: Machine) -> None:
    live = attachment(machine)
    peer.silent.add("stop")
    freezing = asyncio.create_task(live.freeze(time.monotonic()))
    await until(lambda: peer.asked == ["stop"])
    freezing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await freezing
    # the answer to it came late, before that to the next
    assert peer.asked == ["stop", "cont"]
    assert not live.frozen
    # the control connection is whole
    peer.silent.clear()
    assert await live.freeze(time.monotonic())


async def test_one_that_cannot_be_waked_at_once_is_waked_by_the_next_call(peer: Peer, machine: Machine) -> None:
    live = attachment(machine)
    peer.refuses |= {"stop", "cont"}
    with pytest.raises(MachineError, match="stop"):
        await live.freeze(time.monotonic())
    assert live.frozen
    peer.refuses.clear()
    await live.thaw()
    assert not live.frozen


async def test_what_was_used_meanwhile_does_not_stand_still(peer: Peer, machine: Machine) -> None:
    live = attachment(machine)
    assert not await live.freeze(live.used_at - 1)
    assert peer.asked == []
    assert await live.freeze(live.used_at)
    assert peer.asked == ["stop"]


async def test_one_that_woke_without_an_identity_is_given_it_later(peer: Peer, machine: Machine) -> None:
    live = attachment(machine)
    await live.sleep(Identity.new("sb-1"))
    peer.refuses.add("identity.set")
    with pytest.raises(DesktopSandboxError):
        await live.thaw()
    assert not live.frozen
    assert live.stands_still
    peer.refuses.clear()
    await live.thaw()
    assert not live.stands_still
    assert peer.asked.count("identity.set") == 2


async def test_a_channel_that_shakes_hands_is_busy(peer: Peer, machine: Machine) -> None:
    peer.silent.add("bulk")
    channel = await AgentChannel.connect(*machine.port_paths())
    assert not channel.busy
    opening = asyncio.create_task(channel.open_ports())
    await until(lambda: "hello bulk" in peer.asked)
    assert channel.busy
    opening.cancel()
    await asyncio.wait([opening])
    assert not channel.busy
    await channel.aclose()


async def test_what_is_held_has_not_come_to_rest(peer: Peer, machine: Machine) -> None:
    live = attachment(machine)
    assert live.has_just_begun
    assert await live.freeze(time.monotonic(), hold=True)
    assert live.held_at is not None
    await live.thaw()
    assert (live.held_at, live.frozen, live.has_just_begun) == (None, False, True)
    await until(lambda: not live.busy)
    assert await live.freeze(time.monotonic())
    assert live.held_at is None
    await live.thaw()
    assert not live.has_just_begun


async def test_what_is_watched_does_not_stand_still(peer: Peer, machine: Machine) -> None:
    live = attachment(machine)
    live.standing.watched = True
    assert not await live.freeze(time.monotonic())
    assert peer.asked == []
    live.standing.watched = False
    peer.silent.add("stop")
    freezing = asyncio.create_task(live.freeze(time.monotonic()))
    await until(lambda: peer.asked == ["stop"])
    live.standing.watched = True  # it came while it was being stopped
    await machine.qmp.execute("query-status")
    assert not await freezing
    assert peer.asked[-1] == "cont"


async def test_who_waits_is_told_also_where_no_answer_comes(peer: Peer, machine: Machine) -> None:
    said: list[bool] = []
    peer.silent.add("never")
    channel = await AgentChannel.connect(*machine.port_paths(), on_awaited=said.append)
    await channel.request("some.op")
    assert said == [True, False]
    waiting = [asyncio.create_task(channel.request("never")) for _ in range(2)]
    await until(lambda: peer.asked.count("never") == 2)
    await channel.request("some.op")
    assert said == [True, False, True]
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    assert said == [True, False, True]
    await channel.aclose()
    await asyncio.wait(waiting)
    assert said == [True, False, True, False]
