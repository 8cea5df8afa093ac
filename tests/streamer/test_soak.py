"""Ten viewers come and go, over and over: the media process neither grows nor slows down.

For minutes: `python -m bench.stream --soak 10`.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tests.streamer.harness import Screen, Server, eventually
from tests.streamer.peers import Peer

VIEWERS, WARM_UP, ROUNDS = 10, 6, 6  # memory settles in the first five
MOST_KB_A_ROUND = 400  # garbage that is left lying makes 600 to 1500, an encoder that stayed ten times as much
MOST_SLOWER, SLACK_S = 2.0, 1.0  # a crowded host is no fault of the process


@dataclass(frozen=True)
class Held:
    """What the process has."""

    descriptors: int
    threads: int
    resident_kb: int
    tasks: int


def held(pid: int, tasks: int) -> Held:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Held(len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]), int(status["VmRSS"].split()[0]), tasks)


async def come_and_go(server: Server, screen: Screen, first: int) -> float:
    """Ten viewers at once: each sees the screen, then leaves. Seconds until the last saw what changed."""
    peers = [Peer(server, first + number) for number in range(VIEWERS)]
    for peer in peers:
        await peer.join("s")
    colour = (first % 200, 120, 40)
    await asyncio.gather(*(eventually(lambda peer=peer: peer.frames, "a picture") for peer in peers))
    began = time.monotonic()
    screen.pixels[:] = (*colour, 0)
    await asyncio.gather(*(peer.sees(colour, 100, 100) for peer in peers))
    seen_s = time.monotonic() - began
    for peer in peers:
        await peer.leave()
    await eventually(lambda: all("closed" in server.states(peer.number) for peer in peers), "all closed")
    return seen_s


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
    seen_s: list[float] = []
    for turn in range(WARM_UP + ROUNDS):
        took_s = await come_and_go(server, screen, 1 + VIEWERS * turn)
        now = await settled(server)
        if turn >= WARM_UP:
            found.append(now)
            seen_s.append(took_s)
    assert found[-1].descriptors <= found[0].descriptors, found
    assert found[-1].threads <= found[0].threads, found
    assert found[-1].tasks <= found[0].tasks, found
    half = ROUNDS // 2
    assert median(seen_s[half:]) < MOST_SLOWER * median(seen_s[:half]) + SLACK_S, seen_s
    assert slope([one.resident_kb for one in found]) < MOST_KB_A_ROUND, found
    assert (await server.ask("stats"))["desktops"]["s"]["viewers"] == {}


async def settled(server: Server) -> Held:
    """What is held once nothing closes any more: connections take a moment to end."""
    before = held(server.process.pid, 0)
    while True:
        for _ in range(10):
            tasks: int = (await server.ask("stats"))["tasks"]
            await asyncio.sleep(0.05)
        now = held(server.process.pid, tasks)
        if replace(now, resident_kb=0) == replace(before, resident_kb=0):
            return now
        before = now
