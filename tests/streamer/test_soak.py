"""Ten viewers come and go, over and over: the media process does not grow. (For minutes: `python -m bench.stream`.)"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from tests.streamer.harness import Screen, Server, eventually
from tests.streamer.peers import Peer

VIEWERS, WARM_UP, ROUNDS = 10, 6, 6  # memory settles in the first five
MOST_KB_A_ROUND = 1500  # a peer connection that stayed would be more than that each, an encoder ten times as much


@dataclass(frozen=True)
class Held:
    """What the process has."""

    descriptors: int
    threads: int
    resident_kb: int


def held(pid: int) -> Held:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Held(len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]), int(status["VmRSS"].split()[0]))


async def come_and_go(server: Server, screen: Screen, first: int) -> None:
    """Ten viewers at once: each sees the screen, then leaves."""
    peers = [Peer(server, first + number) for number in range(VIEWERS)]
    for peer in peers:
        await peer.join("s")
    colour = (first % 200, 120, 40)
    screen.pixels[:] = (*colour, 0)
    await asyncio.gather(*(peer.sees(colour, 100, 100) for peer in peers))
    for peer in peers:
        await peer.leave()
    await eventually(lambda: all("closed" in server.states(peer.number) for peer in peers), "all closed")


def slope(values: list[int]) -> float:
    """Of a straight line through them (least squares), a step."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    return sum((at - middle) * (value - mean) for at, value in enumerate(values)) / sum(
        (at - middle) ** 2 for at in range(len(values))
    )


async def test_viewers_that_come_and_go_leave_nothing_behind(server, tmp_path):
    screen = Screen(tmp_path / "screen.xwd", 640, 400)
    await server.attach("s", screen)
    found: list[Held] = []
    for turn in range(WARM_UP + ROUNDS):
        await come_and_go(server, screen, 1 + VIEWERS * turn)
        now = await settled(server)
        found += [now] if turn >= WARM_UP else []
    assert found[-1].descriptors <= found[0].descriptors, found
    assert found[-1].threads <= found[0].threads, found
    assert slope([one.resident_kb for one in found]) < MOST_KB_A_ROUND, found
    assert (await server.ask("stats"))["desktops"]["s"]["viewers"] == {}


async def settled(server: Server) -> Held:
    """What is held once nothing closes any more: connections take a moment to end."""
    before = held(server.process.pid)
    while True:
        for _ in range(10):
            await server.ask("stats")
            await asyncio.sleep(0.05)
        now = held(server.process.pid)
        if (now.descriptors, now.threads) == (before.descriptors, before.threads):
            return now
        before = now
