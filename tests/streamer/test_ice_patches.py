"""UDP ports within a range, on both event loops."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from streamer.ice_patches import use_ports


def free_range(count: int) -> int:
    """The first of some ports that are all free."""
    for first in range(20_000, 30_000, count):
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                held[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return first
        finally:
            for taken in held:
                taken.close()
    raise AssertionError("no free ports")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_every_port_of_the_range_is_used_once_and_then_there_is_an_error(new_loop):
    async def bind_all() -> None:
        loop = asyncio.get_running_loop()
        first = free_range(4)
        use_ports(loop, first, first + 3)
        bound = []
        for _ in range(4):
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
            bound.append(transport)
        assert sorted(t.get_extra_info("sockname")[1] for t in bound) == list(range(first, first + 4))
        with pytest.raises(OSError, match="no UDP port"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        for transport in bound:
            transport.close()

    loop = new_loop()
    try:
        loop.run_until_complete(bind_all())
    finally:
        loop.close()


def test_a_range_that_is_none_is_refused():
    loop = asyncio.new_event_loop()
    for first, last in ((0, 5), (5, 4), (65_535, 65_536)):
        with pytest.raises(ValueError, match="UDP ports"):
            use_ports(loop, first, last)
    loop.close()
