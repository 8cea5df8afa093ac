"""A real machine on the network: what it reaches by its policy, across forks, pauses and servers that die.

No traffic leaves the machine: the server runs in a namespace whose internet is another one (see `places`).
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox import Policy, Sandbox
from tests.conftest import RealServer, end_server, free_port, make_home
from tests.machine.places import Places, Server, get, needs_places, on_host
from tests.machine.support import eventually
from tests.network.worlds import BAD, GOOD, METADATA, NAMESERVER, OTHER, PRIVATE

pytestmark = [pytest.mark.machine, needs_places]


@pytest.fixture
def make(far_server: RealServer, places: Places, request: pytest.FixtureRequest) -> Iterator[Callable[..., Sandbox]]:
    """Make sandboxes; only on the host (`on_host`)."""
    made: list[Sandbox] = []

    def one(**options: Any) -> Sandbox:
        made.append(Sandbox.create("minimal", **options, **far_server.client()))
        return made[-1]

    yield one

    def end() -> None:
        for sandbox in made:
            with suppress(Exception):
                sandbox.kill()

    places.host.within(end)


@on_host
def test_the_internet_is_reached_and_nothing_behind_it(places: Places, make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    assert sandbox.get_info().network == "internet"
    assert get(sandbox, "good.example.org") == "the good page"
    for refused in (PRIVATE, METADATA, "203.0.113.1", "198.18.0.1", "rebind.example.org", "metadata.example.org"):
        assert get(sandbox, refused) == ""
    eventually(lambda: sandbox.network.log()[-1].name == "metadata.example.org")
    entries = sandbox.network.log()
    allowed = [entry for entry in entries if entry.outcome == "allowed"]
    assert [(entry.name, entry.address, entry.port) for entry in allowed] == [("good.example.org", GOOD, 80)]
    refused_at = {entry.address for entry in entries if entry.outcome == "refused"}
    assert {PRIVATE, METADATA, "203.0.113.1", "198.18.0.1"} <= refused_at
    state = sandbox.network.get()
    assert state.available
    assert state.counters["received_bytes"] > 0
    created = next(event for event in sandbox.why()["events"] if event["kind"] == "started")
    assert created["data"]["stages_ms"]["namespace"] < 200


@on_host
def test_a_policy_is_kept_and_changed_while_it_runs(places: Places, make: Callable[..., Sandbox]) -> None:
    sandbox = make(network=Policy(allow=["*.example.org:80"]))
    assert get(sandbox, "good.example.org") == "the good page"
    assert get(sandbox, GOOD, name="bad.example.net") == ""
    assert get(sandbox, "bad.example.net") == ""
    assert get(sandbox, BAD) == ""
    sandbox.network.set(Policy(deny=["good.example.org"]))
    assert get(sandbox, "good.example.org") == ""
    assert get(sandbox, "bad.example.net") == "the bad page"
    assert sandbox.network.set("none").policy == "none"
    assert get(sandbox, BAD) == ""
    nothing = make(network="none")
    assert get(nothing, GOOD) == ""
    assert get(nothing, "good.example.org") == ""


@on_host
def test_a_fork_closes_the_childs_connections_and_keeps_the_parents(
    places: Places, make: Callable[..., Sandbox]
) -> None:
    accepted: list[socket.socket] = []
    over = threading.Event()

    def hold(connection: socket.socket) -> None:
        connection.sendall(b"welcome\n")
        accepted.append(connection)
        over.wait(600)

    server = Server(places.internet, OTHER, 7000, hold)
    try:
        sandbox = make(freeze_after=0)
        sandbox.commands.run(
            f"nohup bash -c 'exec 3<>/dev/tcp/{OTHER}/7000; cat <&3 > /tmp/heard; echo over >> /tmp/heard'"
            " > /dev/null 2>&1 &"
        )
        eventually(lambda: "welcome" in heard(sandbox))
        snapshot = sandbox.checkpoint()
        (child,) = sandbox.fork(1)
        try:
            assert child.get_info().network == "internet"
            eventually(lambda: "over" in heard(child))
            accepted[0].sendall(b"still there\n")
            eventually(lambda: "still there" in heard(sandbox))
            assert "over" not in heard(sandbox)
            assert get(child, "good.example.org") == "the good page"
        finally:
            child.kill()
        sandbox.rollback(snapshot)
        eventually(lambda: "over" in heard(sandbox))
        assert get(sandbox, "good.example.org") == "the good page"
        sandbox.network.set(Policy(allow=["good.example.org"]))
        sandbox.pause()
        sandbox.resume()
        assert get(sandbox, "good.example.org") == "the good page"
        assert get(sandbox, BAD) == ""
    finally:
        over.set()
        server.close()


@on_host
def test_what_comes_for_a_frozen_desktop_wakes_it(places: Places, make: Callable[..., Sandbox]) -> None:
    accepted: list[socket.socket] = []
    over = threading.Event()

    def hold(connection: socket.socket) -> None:
        accepted.append(connection)
        over.wait(600)

    server = Server(places.internet, OTHER, 7001, hold)
    try:
        sandbox = make(freeze_after=2)
        sandbox.commands.run(f"nohup bash -c 'exec 3<>/dev/tcp/{OTHER}/7001; cat <&3 > /tmp/heard' > /dev/null 2>&1 &")
        eventually(lambda: sandbox.get_info().frozen)
        accepted[0].sendall(b"wake up\n")
        eventually(lambda: not sandbox.get_info().frozen)
        eventually(lambda: "wake up" in heard(sandbox))
    finally:
        over.set()
        server.close()


def heard(sandbox: Sandbox) -> str:
    return sandbox.commands.run("cat /tmp/heard 2>/dev/null || true", timeout=60).stdout


@on_host
def test_a_server_that_dies_leaves_the_policy_and_the_next_finds_the_network(places: Places, tmp_path: Path) -> None:
    server = RealServer(make_home(tmp_path / "home"), free_port(), preloaded=False)
    dns = {"DESKTOP_SANDBOX_DNS": f"{NAMESERVER}:53"}
    server.start(**dns)
    try:
        sandbox = Sandbox.create("minimal", network=Policy(allow=["good.example.org"]), **server.client())
        assert get(sandbox, "good.example.org") == "the good page"
        server.kill()
        server.start(**dns)
        sandbox = Sandbox.connect(sandbox.sandbox_id, **server.client())
        eventually(lambda: sandbox.network.get().available)
        assert get(sandbox, "good.example.org") == "the good page"
        assert get(sandbox, BAD) == ""
        sandbox.kill()
    finally:
        end_server(server)


@on_host
def test_nothing_is_left_of_machines_that_ended(
    places: Places, make: Callable[..., Sandbox], far_server: RealServer
) -> None:
    assert far_server.process is not None
    folder = f"/proc/{far_server.process.pid}/fd"
    make().kill()
    before = len(os.listdir(folder))
    for _ in range(3):
        sandbox = make()
        assert get(sandbox, "good.example.org") == "the good page"
        sandbox.kill()
    eventually(lambda: len(os.listdir(folder)) <= before + 4)


def test_the_gateways_log_says_no_error(far_server: RealServer) -> None:
    """Last in this file: nothing that strangers sent, and nothing these tests did, was unexpected."""
    text = (far_server.home / "gateway.log").read_text()
    assert "Traceback" not in text
