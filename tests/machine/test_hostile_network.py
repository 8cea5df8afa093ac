"""A guest whose root wants out: frames made by hand, floods, tunnels. Nothing gets through, and its sibling goes on.

What stands witness is not the gateway: a socket that sees every packet that leaves the host of the server, and servers
that would take whatever came to it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox import Policy, Sandbox
from tests.conftest import RealServer
from tests.machine import attacks
from tests.machine.places import Places, Server, get, needs_places, on_host
from tests.machine.support import eventually
from tests.network.worlds import GOOD, METADATA, NAMESERVER, PRIVATE

pytestmark = [pytest.mark.machine, pytest.mark.timeout(400), needs_places]
PORT = 7777
HOST = "203.0.113.1"


class Witness:
    """Sees what leaves the host by its only wire, and what comes to its own TCP and UDP ports."""

    def __init__(self, places: Places) -> None:
        self.came: list[Any] = []
        self.left: set[tuple[str, str, int]] = set()
        self._over = False
        self._tcp = Server(places.host, "0.0.0.0", PORT, lambda connection: self.came.append(connection.getpeername()))
        self._udp = places.host.within(lambda: self._bound(PORT))
        self._wire = places.host.within(self._tapped)
        self._listeners = [threading.Thread(target=work, daemon=True) for work in (self._hear, self._watch)]
        for listener in self._listeners:
            listener.start()

    @staticmethod
    def _bound(port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", port))
        sock.settimeout(0.2)
        return sock

    @staticmethod
    def _tapped() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.bind(("wire0", 0))
        sock.settimeout(0.2)
        return sock

    def _hear(self) -> None:
        while not self._over:
            with suppress(TimeoutError):
                self.came.append(self._udp.recvfrom(2048))

    def _watch(self) -> None:
        while not self._over:
            with suppress(TimeoutError):
                frame = self._wire.recv(65536)
                if struct.unpack_from("!H", frame, 12)[0] == attacks.IP:
                    ends = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
                    if ends[1] != HOST:
                        self.left.add((*ends, frame[23]))

    def close(self) -> None:
        self._over = True
        for listener in self._listeners:
            listener.join()
        self._tcp.close()
        self._udp.close()
        self._wire.close()


@pytest.fixture(scope="module")
def witness(places: Places) -> Iterator[Witness]:
    one = Witness(places)
    yield one
    one.close()


@pytest.fixture(scope="module")
def pair(places: Places, far_server: RealServer) -> Iterator[tuple[Sandbox, Sandbox]]:
    """Whoever attacks, and its sibling."""

    def make() -> tuple[Sandbox, Sandbox]:
        one, other = (Sandbox.create("minimal", freeze_after=0, **far_server.client()) for _ in range(2))
        one.files.write("/root/attacks.py", Path(attacks.__file__).read_bytes(), user="root")
        return one, other

    made = places.host.within(make)
    yield made

    def end() -> None:
        for one in made:
            one.kill()

    places.host.within(end)


def attack(sandbox: Sandbox, *arguments: object, timeout: float = 240) -> dict[str, Any]:
    command = ["python3", "/root/attacks.py", *map(str, arguments)]
    found: dict[str, Any] = json.loads(sandbox.commands.run(command, user="root", timeout=timeout).stdout)
    return found


def packets(sandbox: Sandbox) -> int:
    """How many frames a machine's card has received."""
    return int(sandbox.commands.run("cat /sys/class/net/e*/statistics/rx_packets").stdout)


def gateway_of(server: RealServer) -> int:
    """The pid of a server's gateway."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if b"desktop_sandbox.network.gateway" in words and server.process and parent == server.process.pid:
                return int(entry.name)
    raise AssertionError("the server has no gateway")


def memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def nothing_but(witness: Witness, *targets: str) -> None:
    """Nothing came to the host, and nothing left it but the gateway's own words to these."""
    assert witness.came == []
    assert {(source, target) for source, target, _ in witness.left} <= {(HOST, target) for target in targets}
    witness.left.clear()


@on_host
def test_frames_made_by_hand_reach_nobody(
    places: Places, far_server: RealServer, witness: Witness, pair: tuple[Sandbox, Sandbox]
) -> None:
    hostile, sibling = pair
    before = packets(sibling)
    witness.left.clear()
    found = attack(hostile, "raw")
    assert found["sent"] > 3000
    # its own gateway answers ARP, an echo, resets and refusals, in the name of whom it refuses; nobody else's MAC does
    assert {kind for kind, _, _ in found["heard"]} <= {"ip", "arp"}
    assert {number for kind, number, _ in found["heard"] if kind == "ip"} <= {1, 6, 17}
    assert packets(sibling) == before
    nothing_but(witness, NAMESERVER)
    assert get(hostile, "good.example.org") == "the good page"
    assert get(sibling, "good.example.org") == "the good page"
    nothing_but(witness, NAMESERVER, GOOD)


@on_host
def test_what_is_shut_is_shut_from_every_address(
    places: Places, far_server: RealServer, witness: Witness, pair: tuple[Sandbox, Sandbox]
) -> None:
    hostile, _ = pair
    witness.left.clear()
    found = attack(hostile, "connect", PORT, far_server.port)
    assert found["reached"] == []
    assert attack(hostile, "moved")["reached"] == []
    nothing_but(witness, NAMESERVER)
    refused = {(entry.address, entry.port) for entry in hostile.network.log(1000) if entry.outcome == "refused"}
    for address in (HOST, PRIVATE, METADATA, "198.18.0.1", "100.64.0.1", "192.168.1.1"):
        assert {(address, 80), (address, PORT), (address, far_server.port)} <= refused
    assert get(hostile, "good.example.org") == "the good page"


@on_host
def test_names_lead_nowhere_inside_and_lookups_without_end_cost_their_own_guest_alone(
    places: Places, far_server: RealServer, witness: Witness, pair: tuple[Sandbox, Sandbox]
) -> None:
    hostile, sibling = pair
    witness.left.clear()
    told = attack(hostile, "names")["told"]
    assert any("tunnel" in name for name in places.asked)  # `internet` allows that: names have to be named to stop it
    assert told.pop("good.example.org") > 0
    assert set(told.values()) == {0}
    assert get(sibling, "good.example.org") == "the good page"
    nothing_but(witness, NAMESERVER, GOOD)
    # with a list of names no other is even asked for outside: no tunnel
    hostile.network.set(Policy(allow=["good.example.org"]))
    places.asked.clear()
    attack(hostile, "names")
    assert set(places.asked) <= {"good.example.org"}
    assert get(hostile, "good.example.org") == "the good page"
    hostile.network.set("internet")


@on_host
def test_floods_and_hoards_take_what_is_the_guests_and_no_more(
    places: Places, far_server: RealServer, witness: Witness, pair: tuple[Sandbox, Sandbox]
) -> None:
    hostile, sibling = pair
    gateway = gateway_of(far_server)
    assert get(sibling, "good.example.org") == "the good page"
    before, descriptors = memory_mib(gateway), len(os.listdir(f"/proc/{gateway}/fd"))
    for what in (("flood",), ("hoard", 20)):
        # threads are born in the namespace of whoever starts them
        with ThreadPoolExecutor(1) as worker:
            attacking = worker.submit(attack, hostile, *what)
            served = 0
            while not attacking.done():
                assert get(sibling, "good.example.org") == "the good page"
                served += 1
        assert served > 0
        assert sum(attacking.result().values()) > 100
    assert gateway_of(far_server) == gateway
    assert memory_mib(gateway) < before + 150
    eventually(lambda: len(os.listdir(f"/proc/{gateway}/fd")) <= descriptors + 8)
    eventually(lambda: get(hostile, "good.example.org") == "the good page", every_s=1)
    assert "Traceback" not in (far_server.home / "gateway.log").read_text()
