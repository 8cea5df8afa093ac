"""The guest's end of the network, in a namespace that stands for a guest: address, and connections of another life."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from pathlib import Path

import pytest

from desktop_sandbox.network import namespace
from guest_image.agent import network
from tests.network.worlds import in_thread, needs_namespaces


def make_card(name: str) -> int:
    """A network card in this thread's namespace, without anybody at its other end."""
    card = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(card, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))
    return card


@needs_namespaces
def test_the_card_gets_its_address_and_route_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "interface", lambda: "eth0")

    def guest() -> tuple[bool, bool, str, str]:
        namespace.unshare(namespace.CLONE_NEWNET)
        card = make_card("eth0")
        first, second = network.bring_up(), network.bring_up()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("93.184.216.34", 9))
            own = sock.getsockname()[0]
        routes = Path("/proc/thread-self/net/route").read_text()
        os.close(card)
        return first, second, own, routes

    first, second, own, routes = in_thread(guest)
    assert (first, second, own) == (True, True, "198.18.0.2")
    ways = [line.split() for line in routes.splitlines()[1:]]
    assert [way[1:3] for way in ways if way[1] == "00000000"] == [["00000000", "010012C6"]]


@needs_namespaces
def test_without_a_card_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    assert network.interface("/nonexistent") is None
    monkeypatch.setattr(network, "interface", lambda: None)
    assert not network.bring_up()


@needs_namespaces
def test_connections_that_leave_the_machine_are_closed_and_its_own_stay() -> None:
    def guest() -> tuple[int, bytes, type[BaseException] | None]:
        namespace.unshare(namespace.CLONE_NEWNET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            namespace._bring_up(control, "lo")
            namespace._set_address(control, "lo:1", "93.184.216.34", 32)
        pairs = []
        for address in ("127.0.0.1", "93.184.216.34"):
            with socket.create_server((address, 0)) as server:
                ours = socket.create_connection(server.getsockname(), 10)
                theirs, _ = server.accept()
                pairs.append((ours, theirs))
        closed = network.close_connections()
        pairs[0][1].sendall(b"still there")
        heard = pairs[0][0].recv(100)
        failed: type[BaseException] | None = None
        pairs[1][0].settimeout(10)
        try:
            pairs[1][0].recv(1)
        except OSError as error:
            failed = type(error)
        for pair in pairs:
            for sock in pair:
                sock.close()
        return closed, heard, failed

    closed, heard, failed = in_thread(guest)
    assert closed == 2  # both ends lie in this namespace
    assert heard == b"still there"
    assert failed in (ConnectionAbortedError, ConnectionResetError)


@needs_namespaces
def test_it_takes_no_time_that_anybody_would_notice() -> None:
    began = time.monotonic()
    in_thread(lambda: (namespace.unshare(namespace.CLONE_NEWNET), network.close_connections()))
    assert time.monotonic() - began < 2
