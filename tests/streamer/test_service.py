"""The process: requests that cannot be carried out, ports and addresses, and that nothing is left over."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import pytest

from tests.streamer.harness import Screen, Server, eventually, start_process
from tests.streamer.peers import Peer
from tests.streamer.sockets import SocketPage

BLUE, RED = (220, 40, 30), (20, 30, 220)


@pytest.mark.parametrize(
    ("op", "parameters", "code"),
    [
        ("fly", {}, "unknown-op"),
        (["fly"], {}, "unknown-op"),
        ("viewer.offer", {"viewer": 1, "sandbox": "s", "rights": "view", "sdp": "nonsense"}, "bad-offer"),
        ("viewer.offer", {"viewer": 1, "sandbox": "other", "rights": "view", "sdp": ""}, "not-attached"),
        ("viewer.offer", {"viewer": "1", "sandbox": "s", "rights": "view", "sdp": ""}, "bad-request"),
        ("viewer.offer", {"viewer": 1, "sandbox": "s", "rights": "root", "sdp": ""}, "bad-request"),
        ("viewer.offer", {"sandbox": "s"}, "bad-request"),
        ("viewer.offer", {"viewer": 1, "sandbox": "s", "rights": "view", "sdp": "x" * 70_000}, "bad-offer"),
        ("desktop.attach", {"sandbox": "s", "source": {"kind": "xwd"}}, "no-descriptor"),
        ("record.stop", {"sandbox": "other"}, "not-attached"),
        ("tell", {"sandbox": "s"}, "bad-request"),
    ],
)
async def test_requests_that_cannot_be_carried_out(server, screen, op, parameters, code):
    await server.attach("s", screen)
    reply = await server.ask_raw(op, **parameters)
    assert reply["error"]["code"] == code
    assert (await server.ask("stats"))["desktops"]["s"]["viewers"] == {}


async def test_a_viewers_number_is_its_own(server, screen):
    await server.attach("s", screen)
    page = SocketPage(server, 1)
    await page.join("s")
    reply = await server.ask_raw("viewer.socket", viewer=1, sandbox="s", rights="view", codecs=[])
    assert reply["error"]["code"] == "viewer-exists"


async def test_udp_ports_and_the_public_address_are_as_configured(screen):
    sock, process = start_process()
    server = Server(sock, process)
    ports = range(41200, 41264)
    await server.ask(
        "configure",
        ice_servers=[],
        udp_ports=[ports[0], ports[-1]],
        public_address="203.0.113.7",
        max_fps=30,
    )
    await server.attach("s", screen)
    peers = [Peer(server, number) for number in (1, 2)]
    used = set()
    for peer in peers:
        answer = await peer.join("s")
        found = re.findall(r"^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", answer, re.MULTILINE)
        assert found
        assert {address for address, _ in found} == {"203.0.113.7"}
        assert all(int(port) in ports for _, port in found)
        mine = {int(port) for _, port in found}
        assert not used & mine
        used |= mine
    await asyncio.gather(*(peer.leave() for peer in peers))
    assert await server.close() == 0


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def test_viewers_that_join_and_leave_leave_nothing(server, screen):
    pid = server.process.pid
    screen.pixels[..., :3] = BLUE
    await server.attach("s", screen)

    async def a_round(numbers: range) -> None:
        peers = [Peer(server, number) for number in numbers]
        for peer in peers:
            await peer.join("s")
        for peer in peers:
            await peer.sees(BLUE, 0, 0)
        await asyncio.gather(*(peer.leave() for peer in peers))
        await eventually(lambda: all("closed" in server.states(number) for number in numbers), "all closed")

    await a_round(range(1, 4))
    await settled(pid)
    before = descriptors(pid), threads(pid)
    await a_round(range(10, 20))
    await eventually(lambda: (descriptors(pid), threads(pid)) <= before, f"no more than {before}")
    stats = (await server.ask("stats"))["desktops"]["s"]
    assert stats["viewers"] == {}
    assert not stats["watched"]


async def settled(pid: int) -> None:
    """Wait until no viewer's socket is open any more."""
    counts = [0] * 20
    while len(set(counts)) > 1 or counts[0] == 0:
        counts = [*counts[1:], descriptors(pid)]
        await asyncio.sleep(0.02)


async def test_nothing_runs_for_a_desktop_that_nobody_watches(server, screen):
    await server.attach("s", screen)
    pid = server.process.pid
    idle = threads(pid)
    page = SocketPage(server, 1)
    await page.join("s")
    await eventually(lambda: page.frames, "a frame")
    captured = (await server.ask("stats"))["desktops"]["s"]["captured"]
    await server.ask("viewer.close", viewer=1, reason="gone")
    await eventually(lambda: threads(pid) <= idle, "no more threads")
    screen.pixels[..., :3] = RED
    assert (await server.ask("stats"))["desktops"]["s"]["captured"] <= captured + 2


async def test_one_desktops_trouble_is_not_anothers(server, tmp_path):
    good, bad = Screen(tmp_path / "good"), Screen(tmp_path / "bad")
    good.pixels[..., :3] = BLUE
    await server.attach("good", good)
    await server.attach("bad", bad)
    pages = SocketPage(server, 1), SocketPage(server, 2)
    await pages[0].join("good")
    await pages[1].join("bad")
    await eventually(lambda: pages[0].frames and pages[1].frames, "frames")
    await server.ask("desktop.detach", sandbox="bad", reason="gone")
    assert server.states(2)[-1] == "closed"
    good.pixels[..., :3] = RED
    await eventually(lambda: pages[0].shows(RED, 0, 0), "red")


async def test_the_streamer_ends_by_itself_when_its_server_dies(screen):
    sock, process = start_process()
    server = Server(sock, process)
    await server.ask("configure", ice_servers=[], udp_ports=None, public_address=None, max_fps=60)
    await server.attach("s", screen)
    page = SocketPage(server, 1)
    await page.join("s")
    await eventually(lambda: page.frames, "a frame")
    assert await server.close() == 0


async def test_a_killed_streamer_is_seen_by_its_server(screen):
    sock, process = start_process()
    server = Server(sock, process)
    await server.ask("configure", ice_servers=[], udp_ports=None, public_address=None, max_fps=60)
    process.send_signal(signal.SIGKILL)
    await asyncio.wait_for(server.ended.wait(), 10)
    await asyncio.to_thread(process.wait)


async def test_a_silent_page_is_gone_after_a_while(server, screen):
    await server.attach("s", screen)
    page = SocketPage(server, 1)
    await page.join("s")
    page.say(t="ping", at=1)
    await eventually(lambda: page.heard("pong"), "pong")
    page.acks = False
    await eventually(lambda: server.states(1)[-1] == "closed", "closed")
    assert server.of("viewer.state", viewer=1, state="closed")[0]["reason"] == "silent"
