"""The gateway under load, abuse and garbage: limits hold, others go on, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from desktop_sandbox.network import namespace
from desktop_sandbox.network.outlet import Outlet
from desktop_sandbox.network.policy import parse_policy
from desktop_sandbox.network.records import Outcome
from tests.network.worlds import (
    GET,
    GOOD,
    OTHER,
    Guest,
    exchange,
    in_thread,
    internet,
    read_all,
    says,
    served,
    world,
)


@internet
async def test_too_many_connections_are_turned_away_and_the_rest_goes_on() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        await reader.read()
        writer.close()

    async with world({"allow": ["internet"], "max_connections": 3}) as here, served(hold, GOOD, 7000):
        loop = asyncio.get_running_loop()
        held = [await here.guest.connect(GOOD, 7000) for _ in range(3)]
        for sock in held:
            assert await loop.sock_recv(sock, 100) == b"welcome"
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 7000, b"")
        assert "open" in (await here.logged(Outcome.REFUSED)).reason
        held.pop().close()
        await here.logged(Outcome.ALLOWED)
        with await here.guest.connect(GOOD, 7000) as sock:
            assert await loop.sock_recv(sock, 100) == b"welcome"
        for sock in held:
            sock.close()


@internet
async def test_a_limit_on_bandwidth_is_kept() -> None:
    import time

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(600_000))
        writer.close()

    async with world({"allow": ["internet"], "bandwidth_bytes_s": 400_000}) as here, served(pour, GOOD, 7000):
        began = time.monotonic()
        assert len(await exchange(here.guest, GOOD, 7000, b"")) == 600_000
        assert time.monotonic() - began > 1.0


@internet
async def test_a_connection_that_nobody_knows_is_reset() -> None:
    """As after a fork: the guest believes in a connection that this gateway never had."""
    async with world("internet") as here, served(says(b"ok"), GOOD, 80):
        raw = here.guest.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        with raw:
            segment = b"\x9c\x40\0\x50\0\0\0\x09\0\0\0\x07\x50\x18\xff\xff\0\0\0\0"
            pseudo = socket.inet_aton("198.18.0.2") + socket.inet_aton(GOOD) + b"\0\x06\0\x14" + segment
            total = sum(int.from_bytes(pseudo[at : at + 2]) for at in range(0, len(pseudo), 2))
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            await loop.sock_sendto(raw, segment[:16] + (~total & 0xFFFF).to_bytes(2) + segment[18:], (GOOD, 0))
            async with asyncio.timeout(10):
                while True:
                    packet = await loop.sock_recv(raw, 1000)
                    if packet[12:16] == socket.inet_aton(GOOD) and packet[22:24] == b"\x9c\x40":
                        break
            assert packet[33] & 0x04
            assert here.outlet.counters.connections == 0


@internet
async def test_nothing_is_left_when_it_ends() -> None:
    from tests.network.worlds import descriptors

    before = sorted(descriptors())
    for _ in range(3):
        async with world("internet") as here, served(says(b"ok"), GOOD, 80):
            assert await exchange(here.guest, GOOD, 80, GET) == b"ok"
            await here.logged(Outcome.ALLOWED)
    left = [name for name in descriptors() if "tun" in name or "net:" in name]
    assert left == [name for name in before if "tun" in name or "net:" in name]
    assert len(list(descriptors())) <= len(before) + 1


@internet
async def test_a_guest_that_takes_all_it_can_does_not_disturb_another() -> None:
    """Hundreds of connections and lookups of one guest; another guest of the same process goes on meanwhile."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with world("internet") as here, served(hold, OTHER, 7000), served(says(b"ok"), GOOD, 80):
        made = in_thread(lambda: namespace.make_namespace(namespace.load_nftables()))
        guest = Guest(made)
        greedy = []
        for _ in range(700):
            with contextlib.suppress(ConnectionError):  # turned away at once
                greedy.append(await here.guest.connect(OTHER, 7000))
        await here.logged(Outcome.REFUSED)  # too many a second, or too many at once
        assert here.outlet.counters.open <= 512
        lookups = asyncio.gather(*(here.guest.ask("good.example.org") for _ in range(100)))
        async with asyncio.TaskGroup() as tasks:
            outlet = Outlet(
                "sb-other", parse_policy("internet"), socket.socket(fileno=made.listener),
                socket.socket(fileno=made.names), tasks=tasks, resolver=here.outlet.resolver, own=here.outlet.own,
                told=lambda entry: None,
            )  # fmt: skip
            for _ in range(10):
                assert await exchange(guest, GOOD, 80, GET) == b"ok"
            await outlet.aclose()
        guest.close()
        os.close(made.tap)
        await lookups
        for sock in greedy:
            sock.close()


@internet
async def test_the_gateways_own_ports_lead_nowhere() -> None:
    async with world("internet") as here:
        for port in (1, 53, 80):
            with pytest.raises(ConnectionError):
                await exchange(here.guest, "198.18.0.1", port if port != 53 else 54, b"x")
        with here.guest.socket(socket.SOCK_DGRAM) as sock:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("198.18.0.1", 1))
            await loop.sock_sendall(sock, b"x")
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_recv(sock, 10)


@internet
async def test_garbage_of_all_kinds_is_answered_or_dropped_and_the_rest_goes_on() -> None:
    import random

    rng = random.Random(7)
    async with world({"allow": ["good.example.org"]}) as here, served(says(b"ok"), GOOD, 80):
        loop = asyncio.get_running_loop()
        await here.guest.addresses("good.example.org")
        for start in (b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x00\x40\x01", b"\x00"):
            for _ in range(10):
                with contextlib.suppress(ConnectionError), await here.guest.connect(GOOD, 80) as sock:
                    await loop.sock_sendall(sock, start + rng.randbytes(rng.randrange(400)))
                    sock.shutdown(socket.SHUT_WR)
                    await read_all(sock)
        with here.guest.socket(socket.SOCK_DGRAM) as sock:
            await loop.sock_connect(sock, ("198.18.0.1", 53))
            for _ in range(100):
                await loop.sock_sendall(sock, rng.randbytes(rng.randrange(1, 600)))
        assert await exchange(here.guest, GOOD, 80, GET) == b"ok"
        assert not [entry for entry in here.entries() if entry.reason.endswith("Error")]
