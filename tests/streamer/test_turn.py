"""Through a real TURN server: the streamer has a relayed address there, and a peer that knows no other one watches."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiortc import RTCSessionDescription

from tests.conftest import free_port
from tests.streamer.harness import eventually
from tests.streamer.peers import Peer

TURNSERVER = shutil.which("turnserver", path="/usr/bin:/usr/sbin:/usr/local/bin")
USER, PASSWORD = "watcher", "secret"


def own_address() -> str:
    """An address of this host that peers have, too; loopback is none of theirs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 9))  # sends nothing
        return str(one.getsockname()[0])


@dataclass
class Turn:
    """A running TURN server, and how a server would be configured with it."""

    process: subprocess.Popen[bytes]
    ice_servers: list[dict[str, str | list[str]]]


@pytest.fixture
async def turn(tmp_path: Path):
    """coturn."""
    assert TURNSERVER is not None, "coturn is not installed (scripts/debian-packages)"
    port, address, log = free_port(), own_address(), tmp_path / "turn.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                TURNSERVER, "-n", "--listening-ip", address, "--relay-ip", address, "--listening-port", str(port),
                "--lt-cred-mech", "--user", f"{USER}:{PASSWORD}", "--realm", "test", "--no-tls", "--no-dtls",
                "--no-cli", "--log-file", "stdout", "--pidfile", f"{tmp_path}/pid", "--userdb", f"{tmp_path}/db",
            ],
            stdout=output, stderr=output,
        )  # fmt: skip

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex((address, port)) == 0

    try:
        await eventually(answers, "coturn answers")
        servers = [{"urls": [f"turn:{address}:{port}?transport=udp"], "username": USER, "credential": PASSWORD}]
        yield Turn(process, servers)
    finally:
        process.terminate()
        process.wait(10)


def behind_a_firewall(peer: Peer, through: set[tuple[str, int]]) -> None:
    """Nothing reaches the peer but what comes from these addresses."""
    for protocol in peer.receiver.transport.transport._connection._protocols:
        received = protocol.datagram_received

        def only(data: bytes, addr: tuple[str, int], received=received) -> None:
            if tuple(addr[:2]) in through:
                received(data, addr)

        protocol.datagram_received = only


async def test_a_peer_watches_through_turn(server, screen, turn):
    await server.ask("configure", ice_servers=turn.ice_servers, udp_ports=None, public_address=None, max_fps=60)
    screen.pixels[:] = (200, 120, 40, 0)
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.pc.setLocalDescription(await peer.pc.createOffer())
    through: set[tuple[str, int]] = set()
    behind_a_firewall(peer, through)
    offer = peer.pc.localDescription.sdp
    reply = await server.ask("viewer.offer", viewer=1, sandbox="s", rights="control", sdp=offer)
    relayed = re.findall(r"a=candidate:\S+ \d+ udp \d+ (\S+) (\d+) typ relay", reply["sdp"])
    assert relayed, reply["sdp"]
    through.update((host, int(port)) for host, port in relayed)
    await peer.pc.setRemoteDescription(RTCSessionDescription(reply["sdp"], "answer"))
    await peer.sees((200, 120, 40), 320, 200)
    screen.pixels[:] = (20, 30, 220, 0)
    await peer.sees((20, 30, 220), 320, 200)
    peer.say(t="key", down=True, code="KeyA", keysym=97)
    await eventually(lambda: server.inputs(1), "a key through TURN")
    turn.process.kill()
    turn.process.wait()
    ended = time.monotonic()
    assert await server.close() == 0
    assert time.monotonic() - ended < 20, "a TURN server that is gone is told goodbye for half a minute"
    await peer.leave()


async def test_a_turn_server_that_is_not_there_costs_seconds_and_no_viewer(server, screen):
    nobody = {"urls": [f"turn:127.0.0.1:{free_port()}?transport=udp"], "username": "u", "credential": "p"}
    await server.ask("configure", ice_servers=[nobody], udp_ports=None, public_address=None, max_fps=60)
    screen.pixels[:] = (200, 120, 40, 0)
    await server.attach("s", screen)
    peer = Peer(server, 1)
    await peer.join("s")
    await peer.sees((200, 120, 40), 320, 200)
    await peer.leave()
