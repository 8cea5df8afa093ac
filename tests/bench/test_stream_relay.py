"""The bench's own bad network: delay, loss and the packet that is lost on demand, over real sockets of this host."""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import time

import pytest

from bench.stream.lines import child
from bench.stream.network import Network, network
from bench.stream.relay import Line

DELAY_MS = 60
ENDS_A_FRAME, GOES_ON = b"\x80\xe0" + bytes(30), b"\x80\x60" + bytes(30)


def test_a_network_by_name():
    assert network("20/1") == Network(20, 0.01)
    assert str(network("80/3")) == "80 ms, 3 %"
    for wrong in ("20", "a/b", "-1/0", "20/80", "1/2/3"):
        with pytest.raises(argparse.ArgumentTypeError):
            network(wrong)


def test_a_stream_keeps_its_order_and_waits_a_round_trip_for_what_was_lost():
    line = Line(0.02, 0.5, random.Random(1))
    arrivals = [line.stream_arrives(1000, at / 1000) - at / 1000 for at in range(0, 1000, 100)]
    assert {round(delay, 3) for delay in arrivals} == {0.02, 0.06}
    clean = Line(0.02, 0.0, random.Random(1))
    assert clean.stream_arrives(10**6, 5.0) == pytest.approx(5.02)


def test_many_segments_are_lost_more_often_than_one():
    line = Line(0.0, 0.01, random.Random(1))
    assert sum(line.loses(100) for _ in range(1000)) > 10 * sum(line.loses() for _ in range(1000))


async def test_datagrams_are_late_and_the_end_of_a_frame_is_lost_on_demand():
    loop = asyncio.get_running_loop()
    there, here = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for one in (there, here):
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
    async with child("the relay", "bench.stream.relay", str(DELAY_MS), "0") as relay:
        await relay.ready()
        port = (await relay.ask(op="udp", host="127.0.0.1", port=there.getsockname()[1]))["port"]
        began = time.monotonic()
        await loop.sock_sendto(here, b"hello", ("127.0.0.1", port))
        data, way_back = await asyncio.wait_for(loop.sock_recvfrom(there, 2000), 10)
        assert data == b"hello"
        assert time.monotonic() - began >= DELAY_MS / 2000
        assert (await relay.ask(op="drop"))["udp"] == 1
        for packet in (GOES_ON, ENDS_A_FRAME, b"\x80\xe0 the next frame's end"):
            await loop.sock_sendto(there, packet, way_back)
        got = [await asyncio.wait_for(loop.sock_recv(here, 2000), 10) for _ in range(2)]
        assert got == [GOES_ON, b"\x80\xe0 the next frame's end"]
        log = await relay.ask(op="log")
        assert log["dropped"] == 1
        assert log["bytes"] > 80
    there.close()
    here.close()
