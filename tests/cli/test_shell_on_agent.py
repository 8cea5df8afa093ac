"""From the command line to a real shell: SDK, API and the node's way in, on a real agent without a machine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.node.guest_calls import GuestCalls
from desktop_sandbox.node.reaching import Reaching
from tests.agent.conftest import running_guest
from tests.cli.test_cli import Run, run  # noqa: F401
from tests.cli.test_shell import CLI, HEARING, screen
from tests.fake_node import FakeNode
from tests.live_server import Live, serving


class AgentNode(FakeNode):
    """A fake node whose machines' inside is this host's, through one real agent."""

    channel: Any = None
    _channel_of = Reaching._channel_of
    _tell_guest = Reaching._tell_guest
    _ask = GuestCalls._ask
    stat_file = GuestCalls.stat_file
    watch_files = Reaching.watch_files
    read_archive = Reaching.read_archive
    write_archive = Reaching.write_archive
    start_job = Reaching.start_job
    jobs = Reaching.jobs
    attach_job = Reaching.attach_job
    resize_job = Reaching.resize_job
    signal_job = Reaching.signal_job
    end_job = Reaching.end_job
    connect_port = Reaching.connect_port

    async def live(self, sandbox_id: str, *, resume: bool = True) -> Any:
        self._sandbox(sandbox_id, running=True)

        async def guest() -> Any:
            return SimpleNamespace(channel=self.channel)

        return SimpleNamespace(guest=guest)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    node = AgentNode()
    ended, ready = threading.Event(), threading.Event()
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "guest").mkdir()

    async def guest() -> None:
        async with running_guest(tmp_path / "guest") as agent:
            node.channel = await agent.hub.channel()
            ready.set()
            while not ended.is_set():
                await asyncio.sleep(0.05)
            await node.channel.aclose()

    with serving(home, node) as server:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", server.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", server.key)
        monkeypatch.chdir(tmp_path)
        running = asyncio.run_coroutine_threadsafe(guest(), server.loop)
        assert ready.wait(20)
        yield server
        ended.set()
        running.result(20)


@pytest.fixture
def box(live: Live) -> str:
    return Sandbox.create().sandbox_id


def test_a_shell(live: Live, run: Run, box: str) -> None:  # noqa: F811
    command = ["shell", box, "--user", "root", "--", "/bin/bash", "--norc"]
    with screen(*command) as first:
        first.until(b"# ")
        first.type(b"stty size; x=kept\r")
        first.until(b"30 100")
        first.resize(50, 132)
        first.type(b"while [ $(stty size | cut -d' ' -f1) != 50 ]; do sleep 0.1; done; echo it is $(stty size)\r")
        first.until(b"it is 50 132")
        first.type(b"sh -c 'echo up; exec sleep 1000'\r")
        first.until(b"\rup\r\n")  # it has the terminal: before, Ctrl-C would be the shell's
        first.type(b"\x03")
        first.until(b"^C")
        first.type(b"\x1d")
        assert first.end() == 0
    name = run("shell", box, "--list").out.split("term-")[1][:12]
    with screen("shell", box, "--attach", f"term-{name}") as second:
        second.until(b"it is 50 132")  # what it showed before
        second.type(b"echo $x; exit 7\r")
        second.until(b"kept")
        assert second.end() == 7


def test_a_command_in_the_background(live: Live, run: Run, box: str) -> None:  # noqa: F811
    name = run("jobs", "start", box, "-i", "--user", "root", "--", "tr a-z A-Z; echo done >&2; exit 3").out.strip()
    done = subprocess.run(
        [*CLI, "jobs", "attach", box, name, "-i"], input=b"hello\n", capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"HELLO\n", b"done\n")


def test_folders(live: Live, run: Run, box: str, tmp_path: Path) -> None:  # noqa: F811
    guests = tmp_path / "in the guest"
    (guests / "deep").mkdir(parents=True)
    (guests / "deep" / "file").write_bytes(os.urandom(2_000_000))
    (guests / "out").symlink_to("/etc")
    with Sandbox.connect(box) as desktop:
        done = desktop.files.download_folder(str(guests), tmp_path / "here", user="root")
        assert (done.files, done.skipped) == (1, ["./out"])
        desktop.files.upload_folder(tmp_path / "here", f"{tmp_path}/back", user="root")
    assert (tmp_path / "back" / "deep" / "file").read_bytes() == (guests / "deep" / "file").read_bytes()
    assert os.listdir(tmp_path / "here") == ["deep"]


def test_forward(live: Live, box: str, tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"x" * 500_000)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    forward = subprocess.Popen([*HEARING, "forward", box, f"0:{port}"], stderr=subprocess.PIPE)
    try:
        assert forward.stderr is not None
        here = int(forward.stderr.readline().decode().partition(" ")[0].rpartition(":")[2])
        got = b""
        while not got:  # the server may not be up yet
            with socket.create_connection(("127.0.0.1", here), timeout=30) as peer:
                peer.sendall(b"GET /page HTTP/1.0\r\n\r\n")
                while data := peer.recv(65536):
                    got += data
        assert got.startswith(b"HTTP/1.0 200")
        assert got.endswith(b"x" * 500_000)
        forward.send_signal(signal.SIGINT)
        assert forward.wait(20) == 130
    finally:
        for process in (server, forward):
            process.kill()
            process.wait()
