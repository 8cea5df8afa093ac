"""The way out of a sandbox, with real sockets in real namespaces and no machine: what passes, and what never does."""

from __future__ import annotations

import asyncio
import socket

import pytest

from desktop_sandbox.network import dns
from desktop_sandbox.network.records import Outcome
from tests.network.worlds import (
    BAD,
    GOOD,
    METADATA,
    OTHER,
    PRIVATE,
    exchange,
    internet,
    read_all,
    says,
    served,
    world,
)

GET = b"GET / HTTP/1.1\r\nHost: good.example.org\r\n\r\n"


@internet
async def test_a_public_address_is_reached_and_logged() -> None:
    async with world("internet") as here, served(says(b"hello"), GOOD, 80):
        assert await here.guest.addresses("good.example.org") == [GOOD]
        assert await exchange(here.guest, GOOD, 80, GET) == b"hello"
        entry = await here.logged(Outcome.ALLOWED, address=GOOD)
        assert (entry.name, entry.port, entry.sent_bytes, entry.received_bytes) == ("good.example.org", 80, len(GET), 5)
        assert here.outlet.counters.received_bytes == 5


@internet
async def test_any_port_of_any_address_comes_to_the_gateway() -> None:
    async with world("internet") as here:
        for port in (1, 22, 5353, 65535):
            async with served(says(b"%d" % port), OTHER, port):
                assert await exchange(here.guest, OTHER, port, b"\r\n\r\n") == b"%d" % port
