"""The server may run on uvloop, whose transports differ from asyncio's; the agent never does."""

from __future__ import annotations

import asyncio
import threading

import uvloop

from tests.agent.conftest import Guest


def test_channel_on_uvloop(tmp_path):
    guest: list[Guest] = []
    ready = threading.Event()

    async def serve() -> None:
        guest.append(Guest(tmp_path))
        guest.append(asyncio.get_running_loop())
        ready.set()
        await guest[0].agent.run()

    async def ask() -> int:
        channel = await guest[0].hub.channel()
        await channel.request("guest.info")
        sizes = []
        params = {"command": "head -c 5000000 /dev/zero; cat", "user": "root", "stdin": True}

        async def stdin():
            for _ in range(20):
                yield bytes(50_000)

        await channel.request("command.run", params, stdin=stdin(), on_data=lambda _, data: sizes.append(len(data)))
        await channel.aclose()
        return sum(sizes)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(5)
    try:
        assert uvloop.run(ask()) == 6_000_000
    finally:
        guest[1].call_soon_threadsafe(guest[0].agent.stop)
        thread.join(5)
        guest[0].hub.close()
