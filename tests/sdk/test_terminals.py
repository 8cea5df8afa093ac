"""Terminals, background commands and ports through the SDK."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from desktop_sandbox import AsyncSandbox, Sandbox, errors
from desktop_sandbox.sdk.models import CommandOutput
from tests.api.test_routes import wait_for
from tests.fake_reach import FakeJob
from tests.live_server import Live


def job_of(live: Live, number: int = -1) -> FakeJob:
    return list(live.node.fake_jobs.values())[number]


def cut(live: Live) -> None:
    """Every WebSocket breaks, as if the network did."""
    done: Future[int] = Future()

    def work() -> None:
        sockets = [each for each in live.server.server_state.connections if isinstance(each, WebSocketsSansIOProtocol)]
        for connection in sockets:
            connection.transport.abort()
        done.set_result(len(sockets))

    live.loop.call_soon_threadsafe(work)
    assert done.result(10) > 0, "there was nothing to cut"


def test_a_terminal(live: Live) -> None:
    with Sandbox.create() as desktop:
        with desktop.terminals.create(rows=30, columns=100, user="root", env={"A": "b"}) as terminal:
            assert terminal.read() == b"ready\n"
            terminal.write("ä\r")
            assert terminal.read() == "ä\r".encode()
            terminal.resize(50, 132)
            terminal.send_signal(28)
            wait_for(lambda: (job_of(live).sizes, job_of(live).signals) == ([(50, 132)], [28]))
            assert (job_of(live).spec.rows, job_of(live).spec.user, dict(job_of(live).spec.env)) == (
                30,
                "root",
                {"A": "b"},
            )
            assert terminal.offset == 9
        wait_for(lambda: live.node.attached == 0)
        (info,) = desktop.terminals.list()
        assert (info.id, info.running, info.output_end) == (terminal.id, True, 9)
        with desktop.terminals.connect(info.id) as again, desktop.terminals.connect(info.id, after=6) as third:
            assert again.read() == "ready\nä\r".encode()
            assert third.read() == "ä\r".encode()
            again.write("exit 4")
            assert again.wait().exit_code == 4
            assert list(third) == []
            with pytest.raises(errors.ConflictError):
                again.write("x")
        desktop.terminals.kill(info.id)
        with pytest.raises(errors.NotFoundError):
            desktop.terminals.connect("term-000000000000")


def test_a_connection_that_breaks_is_made_again(live: Live) -> None:
    with Sandbox.create() as desktop, desktop.terminals.create() as terminal:
        assert terminal.read() == b"ready\n"
        assert live.node.resumed == [True]
        for number in range(3):
            cut(live)
            live.loop.call_soon_threadsafe(job_of(live).say, b"%d" % number)
            assert terminal.read() == b"%d" % number
        cut(live)
        assert not any(live.node.resumed[1:])  # nobody asked: a desktop that was paused stays so
        wait_for(lambda: live.node.attached == 0)
        terminal.write("typed")
        assert terminal.read() == b"typed"


def test_a_desktop_that_is_replaced_is_waited_for(live: Live) -> None:
    with Sandbox.create() as desktop, desktop.terminals.create() as terminal:
        assert terminal.read() == b"ready\n"
        live.node.fail["attach_job"] = errors.ChannelError("it is rolled back")
        cut(live)
        threading.Timer(0.3, live.node.fail.clear).start()
        live.loop.call_soon_threadsafe(job_of(live).say, b"back")
        assert terminal.read() == b"back"
        terminal.reconnect = 0.2
        live.node.fail["attach_job"] = errors.ChannelError("it is gone")
        cut(live)
        with pytest.raises(errors.ChannelError):
            terminal.read()


def test_a_background_command(live: Live) -> None:
    with Sandbox.create() as desktop:
        with desktop.commands.start(["make", "all"], stdin=True, cwd="/tmp", timeout=9) as command:
            assert command.read() == CommandOutput("stdout", b"ready\n")
            command.send_stdin("more")
            assert command.read() == CommandOutput("stdout", b"more")
            command.close_stdin()
            assert command.read() == CommandOutput("stdout", b"end of input\n")
        spec = job_of(live).spec
        assert (spec.command, spec.stdin, spec.cwd, spec.timeout_s) == (["make", "all"], True, "/tmp", 9)
        assert [info.id for info in desktop.commands.list()] == [command.id]
        desktop.commands.send_signal(command.id, 2)
        assert job_of(live).signals == [2]
        again = desktop.commands.connect(command.id, after=6)
        desktop.commands.kill(command.id)
        result = again.wait()
        assert (result.stdout, result.exit_code, result.signal) == ("moreend of input\n", 143, 15)
        assert again.get_info().running is False
        with pytest.raises(errors.NotFoundError):
            desktop.commands.start(["/no/such"])


async def test_both_async(live: Live) -> None:
    async with await AsyncSandbox.create() as desktop:
        async with await desktop.terminals.create() as terminal:
            assert await terminal.read() == b"ready\n"
            await terminal.write(b"exit 3")
            assert (await asyncio.wait_for(terminal.wait(), 20)).exit_code == 3
        async with await desktop.commands.start("cat", stdin=True) as command:
            await command.send_stdin("exit 0")
            assert (await command.wait()).stdout == "ready\n"
        async with await desktop.ports.connect(8080) as port:
            assert await port.read() == b"hello "
            await port.write(b"x" * 100_000)
            got = bytearray()
            while len(got) < 100_000:
                got += await port.read()
            await port.end()
            assert [data async for data in port] == []


def test_ports(live: Live) -> None:
    with Sandbox.create() as desktop:
        with desktop.ports.connect(8080) as port:
            assert port.read() == b"hello "
            port.end()
            assert list(port) == []
        with pytest.raises(errors.NotFoundError):
            desktop.ports.connect(81)
        with pytest.raises(errors.InvalidRequestError):
            desktop.ports.connect(0)


async def test_a_ports_address(live: Live) -> None:
    """Both clients; what is made opens the server that listens there."""
    async with await AsyncSandbox.create() as desktop:
        found = await desktop.ports.get_host(3000, expires_in=60)
        assert found.host == f"3000-{desktop.sandbox_id}.localhost"
        assert found.token is not None
        assert found.token in found.url
        assert found.token not in repr(found)
        assert found.expires_at is not None
        public = await asyncio.to_thread(lambda: Sandbox.connect(desktop.sandbox_id).ports.get_host(3000, public=True))
        assert (public.token, public.expires_at, public.public) == (None, None, True)
        with pytest.raises(errors.InvalidRequestError):
            await desktop.ports.get_host(3000, expires_in=0)
