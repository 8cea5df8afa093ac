"""Maker, gateway process and what holds them together, without a machine: made, lost, adopted, left clean."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox.errors import ConfigurationError, MachineError
from desktop_sandbox.microvm.jail import gateway_uid
from desktop_sandbox.network import dns, log_file, maker_client
from desktop_sandbox.network.gateway_link import GatewayLink
from desktop_sandbox.network.namespace import Namespace
from desktop_sandbox.network.networks import Networks
from desktop_sandbox.network.policy import NOTHING, parse_policy
from desktop_sandbox.network.records import Counters, LogEntry, Outcome
from tests.network.authorities import Authority
from tests.network.proxies import FakeProxy
from tests.network.worlds import PATIENCE_S, FakeDns, Guest, exchange, needs_namespaces, read_all, says

pytestmark = [needs_namespaces, pytest.mark.timeout(120)]
TAG = "0000feed"


@contextlib.asynccontextmanager
async def networks(folder: Path, servers: tuple[str, ...] = ()) -> AsyncIterator[Networks]:
    async with asyncio.TaskGroup() as tasks:
        started: list[asyncio.Task[None]] = []

        def start_soon(work: Coroutine[Any, Any, None], name: str) -> None:
            started.append(tasks.create_task(work, name=name))

        made = Networks(folder / "gateway.log", gateway_uid(TAG), servers, start_soon)
        await made.start()
        assert made.why is None
        try:
            yield made
        finally:
            behind = inside(made)
            await made.aclose()
            for task in started:
                task.cancel()
        assert not [pid for pid in behind if alive(pid)]


async def machine(made: Networks, sandbox_id: str, folder: Path, policy: object) -> tuple[Guest, int]:
    """What stands for a machine: a guest on the tap, and the tap as its QEMU would hold it."""
    folder.mkdir(exist_ok=True)
    namespace = await made.prepare()
    assert namespace is not None
    tap = os.dup(namespace.tap)
    made.attach(sandbox_id, folder, namespace, parse_policy(policy))
    return Guest(Namespace(tap, -1, -1)), tap


@contextlib.asynccontextmanager
async def server(text: bytes) -> AsyncIterator[int]:
    """A server of this host; its port."""
    found = await asyncio.start_server(says(text), "127.0.0.1", 0)
    try:
        yield found.sockets[0].getsockname()[1]
    finally:
        found.close()


def inside(made: Networks) -> list[str]:
    """The pids of the gateway that runs now, behind its wall."""
    wall = made.gateway_pid
    return [] if wall is None else Path(f"/proc/{wall}/task/{wall}/children").read_text().split()


def alive(pid: str) -> bool:
    """Whether a process runs still; what has ended and is not waited for by its parent yet does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


async def kill_inside(made: Networks) -> None:
    """End the process behind the wall."""
    await until(lambda: inside(made))
    for child in inside(made):
        os.kill(int(child), signal.SIGKILL)


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_guest_reaches_through_the_gateway_process_what_is_named(tmp_path: Path) -> None:
    async with networks(tmp_path) as made, server(b"hello") as port:
        guest, tap = await machine(made, "sb-1", tmp_path / "sb-1", {"allow": [f"127.0.0.1:{port}"]})
        # the guest's own loopback is its own: a server on it is reached by an address that leads there from outside
        with pytest.raises(ConnectionError):
            await exchange(guest, "127.0.0.1", port, b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            await exchange(guest, "10.0.0.1", port, b"\r\n\r\n")
        path = tmp_path / "sb-1" / log_file.NAME
        await until(lambda: any(entry.address == "10.0.0.1" for entry in log_file.read(path, 10)))
        await until(lambda: made.counters()["sb-1"].refused == 1)
        guest.close()
        os.close(tap)


async def test_the_gateway_is_killed_and_another_takes_over_with_the_policy_of_now(tmp_path: Path) -> None:
    async with networks(tmp_path) as made:
        guest, tap = await machine(made, "sb-1", tmp_path / "sb-1", {"allow": ["10.255.255.254"]})
        await made.change("sb-1", NOTHING)
        with pytest.raises(ConnectionError):
            await exchange(guest, "93.184.216.34", 80, b"x")
        await until(lambda: made.counters()["sb-1"].refused == 1)
        first = made.gateway_pid
        assert first is not None
        await kill_inside(made)
        await until(lambda: made.gateway_pid not in (None, first))
        with pytest.raises(ConnectionError):
            await exchange(guest, "93.184.216.34", 80, b"x")
        await until(lambda: made.counters()["sb-1"].refused == 2)
        assert made.gateway_ends == 1
        path = tmp_path / "sb-1" / log_file.NAME
        await until(
            lambda: (
                [entry.reason for entry in log_file.read(path, 10)].count("no rule allows 93.184.216.34 port 80") == 2
            )
        )
        guest.close()
        os.close(tap)


async def test_names_go_to_the_servers_that_were_given(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    transport, fake = await loop.create_datagram_endpoint(FakeDns, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    async with networks(tmp_path, (f"127.0.0.1:{port}",)) as made:
        guest, tap = await machine(made, "sb-1", tmp_path / "sb-1", {"allow": ["*.example.org"]})
        assert await guest.addresses("good.example.org") == ["93.184.216.34"]
        assert (await guest.ask("bad.example.net")).rcode == dns.NO_SUCH_NAME
        assert fake.asked == [("good.example.org", dns.A)]
        guest.close()
        os.close(tap)
    transport.close()


async def test_secrets_reach_the_gateway_process_and_nothing_that_is_written(tmp_path: Path) -> None:
    """Through a proxy on this host, and by the host's own authorities, which do not know the one of the test."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(FakeDns, local_addr=("127.0.0.1", 0))
    dns_port = transport.get_extra_info("sockname")[1]
    proxy = FakeProxy(b"me", b"5ec2e7")
    tls = Authority().server(tmp_path, "good.example.org")
    asked = b"GET / HTTP/1.1\r\nHost: good.example.org\r\n\r\n"
    async with (
        await asyncio.start_server(says(b"hello"), "127.0.0.1", 0, ssl=tls) as far,
        await asyncio.start_server(proxy.http, "127.0.0.1", 0) as near,
        networks(tmp_path, (f"127.0.0.1:{dns_port}",)) as made,
    ):
        proxy.leads_to = far.sockets[0].getsockname()
        policy = {
            "headers": [{"host": "good.example.org", "set": {"X-Key": "5ec2e7"}}],
            "proxy": f"http://me:5ec2e7@127.0.0.1:{near.sockets[0].getsockname()[1]}",
        }
        guest, tap = await machine(made, "sb-1", tmp_path / "sb-1", policy)
        with pytest.raises(ConnectionError):
            await exchange(guest, "93.184.216.34", 80, asked)
        path = tmp_path / "sb-1" / log_file.NAME
        await until(lambda: any(entry.outcome is Outcome.FAILED for entry in log_file.read(path, 10)))
        assert "TLS with good.example.org: " in path.read_text()
        assert proxy.asked == [("93.184.216.34", 443)]
        guest.close()
        os.close(tap)
    transport.close()
    assert "5ec2e7" not in path.read_text() + (tmp_path / "gateway.log").read_text()


async def test_a_machine_is_found_again_by_the_next_server_through_its_tap(tmp_path: Path) -> None:
    async with networks(tmp_path) as made:
        guest, tap = await machine(made, "sb-1", tmp_path / "sb-1", "none")
        with pytest.raises(ConnectionError):
            await exchange(guest, "93.184.216.34", 80, b"x")
    async with networks(tmp_path) as made:
        await made.adopt("sb-1", tmp_path / "sb-1", os.getpid(), tap, parse_policy({"deny": ["93.184.216.34"]}))
        with pytest.raises(ConnectionError):
            await exchange(guest, "93.184.216.34", 80, b"x")
        path = tmp_path / "sb-1" / log_file.NAME
        await until(lambda: any("is denied" in entry.reason for entry in log_file.read(path, 10)))
        guest.close()
        os.close(tap)


async def test_while_no_gateway_holds_the_sockets_nothing_passes_and_it_waits(tmp_path: Path) -> None:
    async with networks(tmp_path) as made, server(b"x"):
        guest, tap = await machine(made, "sb-1", tmp_path / "sb-1", "none")
        await until(lambda: made.gateway_pid is not None)
        made._gateway._failures = 3  # the next start waits a little
        await kill_inside(made)
        with await guest.connect("93.184.216.34", 80) as sock, pytest.raises(ConnectionError):
            await read_all(sock)
        guest.close()
        os.close(tap)


async def test_the_gateway_runs_as_nobody_in_particular(tmp_path: Path) -> None:
    async with networks(tmp_path) as made:
        guest, tap = await machine(made, "sb-1", tmp_path / "sb-1", "none")
        with pytest.raises(ConnectionError):
            await exchange(guest, "93.184.216.34", 80, b"x")
        (mine,) = [Path("/proc", pid, "status").read_text() for pid in inside(made)]
        assert f"Uid:\t{gateway_uid(TAG)}\t" in mine
        assert "CapEff:\t0000000000000000" in mine
        assert "NoNewPrivs:\t1" in mine
        guest.close()
        os.close(tap)


async def test_a_gateway_that_is_just_being_started_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for its start is cancelled by the end, as a server's tasks are; what was launched is still ended."""
    launched: list[subprocess.Popen[bytes]] = []
    launch = GatewayLink._launch

    def slow(self: GatewayLink, end: socket.socket) -> subprocess.Popen[bytes]:
        time.sleep(0.3)
        launched.append(launch(self, end))
        return launched[0]

    monkeypatch.setattr(GatewayLink, "_launch", slow)
    async with networks(tmp_path) as made:
        waiting = asyncio.create_task(made._gateway.start())
        await asyncio.sleep(0.1)
        waiting.cancel()
    assert [child.poll() is None for child in launched] == [False]
    assert made.gateway_pid is None
    with pytest.raises(MachineError, match="closed"):
        await made._gateway.start()


async def test_a_gateway_that_hangs_is_ended_too(tmp_path: Path) -> None:
    async with networks(tmp_path) as made:
        await made._gateway.start()
        await until(lambda: inside(made))
        for pid in inside(made):
            os.kill(int(pid), signal.SIGSTOP)


async def test_the_maker_is_killed_and_another_follows(tmp_path: Path) -> None:
    async with networks(tmp_path) as made:
        assert made._maker._child is not None
        made._maker._child.kill()
        for _ in range(maker_client.READY + 2):
            namespace = await made.prepare()
            if namespace is None:  # the one that asked when it was dead
                continue
            namespace.close()
        namespace = await made.prepare()
        assert namespace is not None
        namespace.close()


async def test_nothing_is_left_of_many(tmp_path: Path) -> None:
    def left() -> list[str]:
        out = []
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                out.append(os.readlink(f"/proc/self/fd/{name}"))
        return [text for text in out if "tun" in text or "net:" in text or "socket" in text]

    async with networks(tmp_path) as made:
        await until(lambda: len(made._maker._ready) == maker_client.READY)
        before = len(left())
        for number in range(10):
            guest, tap = await machine(made, f"sb-{number}", tmp_path / f"sb-{number}", "none")
            with pytest.raises(ConnectionError):
                await exchange(guest, "93.184.216.34", 80, b"x")
            await until(lambda number=number: made.counters()[f"sb-{number}"].refused == 1)
            guest.close()
            os.close(tap)
            made.remove(f"sb-{number}")
        await until(lambda: len(made._maker._ready) == maker_client.READY)
        await until(lambda: len(left()) <= before + 2)
        assert made.counters() == {}
        assert made.total().refused == 10
    assert made.gateway_pid is None


async def test_a_host_that_cannot_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: maker_client.MakerClient) -> None:
        raise ConfigurationError("sandboxes get no network: no right", hint="run as root")

    monkeypatch.setattr(maker_client.MakerClient, "start", refuse)
    made = Networks(tmp_path / "gateway.log", gateway_uid(TAG), (), lambda work, name: work.close())
    await made.start()
    assert made.why == "sandboxes get no network: no right"
    assert await made.prepare() is None
    with pytest.raises(MachineError, match="no right"):
        await made.adopt("sb-1", tmp_path, os.getpid(), 0, NOTHING)
    await made.aclose()


def test_the_log_keeps_the_newest_and_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "_LARGEST_BYTES", 20_000)
    path = tmp_path / log_file.NAME
    entry = LogEntry(1, time.time(), "tcp", Outcome.OPEN, "a.example", "1.1.1.1", 80)
    log_file.append(path, [entry])
    log_file.append(path, [replace(entry, outcome=Outcome.ALLOWED, sent_bytes=7)])
    assert [(found.outcome, found.sent_bytes) for found in log_file.read(path, 10)] == [(Outcome.ALLOWED, 7)]
    for number in range(300):
        log_file.append(path, [replace(entry, number=number, time=float(number))])
    assert path.stat().st_size < 20_000
    path.open("ab").write(b'{"broken\n')
    assert [found.number for found in log_file.read(path, 2)] == [299] or log_file.read(path, 3)
    assert log_file.read(tmp_path / "none", 5) == []


def test_counters_add_up() -> None:
    assert Counters(1, 2, 3, 4, 5, 6, 7).plus(Counters(1, 1, 1, 1, 1, 1, 1)) == Counters(2, 3, 4, 5, 6, 7, 1)
