"""The real media process behind its real wall: what it may and may not do, and that it comes back when it is killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from desktop_sandbox.errors import StreamerError
from desktop_sandbox.microvm.jail import media_uid
from desktop_sandbox.microvm.wall import find_wall
from desktop_sandbox.stream.launch import launcher
from desktop_sandbox.stream.supervisor import PING_S, Supervisor

UID = media_uid("0000feed")
SETTINGS = {"ice_servers": [], "udp_ports": None, "public_address": None, "max_fps": 60}


class Host:
    """Who would be the views: notes what it is told."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.fresh = asyncio.Event()

    async def again(self) -> None:
        self.fresh.set()


@pytest_asyncio.fixture
async def host(tmp_path: Path) -> AsyncIterator[tuple[Supervisor, Host]]:
    async with hosting(tmp_path) as found:
        yield found


@asynccontextmanager
async def hosting(tmp_path: Path, ping_s: float = PING_S) -> AsyncIterator[tuple[Supervisor, Host]]:
    host = Host()
    launch = launcher(find_wall(UID), tmp_path / "streamer.log", file_limit_bytes=1 << 30)
    async with asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(
            launch,
            SETTINGS,
            event=lambda _: None,
            binary=lambda *_: None,
            lost=host.lost.set,
            tasks=tasks,
            fresh=host.again,
            ping_s=ping_s,
        )
        yield supervisor, host
        await supervisor.aclose()


def inside(outer: int) -> int:
    """The media process itself, below bubblewrap's outer one."""
    children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    return int(children[0]) if children else outer


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def test_it_runs_without_any_rights(host: tuple[Supervisor, Host]) -> None:
    supervisor, _ = host
    link = await supervisor.link()
    assert (await link.request("stats", {}))["desktops"] == {}
    assert supervisor.pid is not None
    pid = inside(supervisor.pid)
    found = status(pid)
    assert found["NoNewPrivs"] == "1"
    assert set(found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")) == {"0" * 16}
    if os.geteuid() == 0:
        assert found["Uid"].split() == [str(UID)] * 4
        assert found["Gid"].split() == [str(UID)] * 4
        assert found["Groups"] == ""
    for space in ("mnt", "pid", "ipc", "uts"):
        assert os.readlink(f"/proc/{pid}/ns/{space}") != os.readlink(f"/proc/self/ns/{space}")
    assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
    root = Path(f"/proc/{pid}/root")
    for hidden in ("root/.ssh", "home", "var", "etc/shadow", "boot", "srv"):
        assert not (root / hidden).exists(), hidden
    environ = Path(f"/proc/{pid}/environ").read_bytes().decode()
    assert "API_KEY" not in environ
    # what it could write to: nothing but its own /tmp
    mounts = [line.split() for line in Path(f"/proc/{pid}/mounts").read_text().splitlines()]
    writable = {mount[1] for mount in mounts if "rw" in mount[3].split(",")}
    assert {place for place in writable if not place.startswith(("/proc", "/dev"))} == {"/tmp"}


async def test_it_is_started_again_when_it_was_killed(host: tuple[Supervisor, Host]) -> None:
    supervisor, listener = host
    await supervisor.link()
    first = supervisor.pid
    assert first is not None
    os.kill(inside(first), 9)
    async with asyncio.timeout(10):
        await listener.lost.wait()
        await listener.fresh.wait()
    assert not supervisor.running
    link = await supervisor.link()
    assert supervisor.pid != first
    assert supervisor.restarts == 1
    assert (await link.request("stats", {}))["desktops"] == {}


async def test_one_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    async with hosting(tmp_path, ping_s=0.4) as (supervisor, listener):
        link = await supervisor.link()
        first = supervisor.pid
        assert first is not None
        hung = inside(first)
        await asyncio.sleep(1.0)
        assert supervisor.running, "one that answers is left alone"
        os.kill(hung, 19)
        async with asyncio.timeout(15):
            await listener.lost.wait()
            await listener.fresh.wait()
            while Path(f"/proc/{hung}").exists() and status(hung).get("State", "Z")[0] != "Z":
                await asyncio.sleep(0.02)
        assert not link.open
        again = await supervisor.link()
        assert (await again.request("stats", {}))["desktops"] == {}
        assert supervisor.restarts == 1


async def test_a_request_that_waits_is_told_of_the_end(host: tuple[Supervisor, Host]) -> None:
    supervisor, _ = host
    link = await supervisor.link()
    assert supervisor.pid is not None
    os.kill(inside(supervisor.pid), 19)  # it says nothing any more
    asking = asyncio.create_task(link.request("stats", {}, deadline_s=30))
    with pytest.raises(StreamerError, match="did not answer"):
        await link.request("stats", {}, deadline_s=0.2)
    os.kill(inside(supervisor.pid), 9)
    with pytest.raises(StreamerError, match="ended"):
        await asking


async def test_it_ends_with_its_server(tmp_path: Path) -> None:
    """A server that was killed leaves no media process behind."""
    script = tmp_path / "server.py"
    script.write_text(
        "import socket, sys, time\n"
        "from pathlib import Path\n"
        "from desktop_sandbox.stream.launch import launcher\n"
        "from desktop_sandbox.microvm.wall import find_wall\n"
        f"ours, theirs = socket.socketpair()\n"
        f"launch = launcher(find_wall({UID}), Path({str(tmp_path / 'log')!r}), file_limit_bytes=1 << 30)\n"
        "print(launch(theirs).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command: list[Any] = ["python3", script]
    import sys

    command[0] = sys.executable
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        server.kill()
        deadline = asyncio.get_running_loop().time() + 10
        while Path(f"/proc/{pid}").exists():
            if status(pid).get("State", "Z").startswith("Z"):
                break  # ended; whoever inherited it has not looked yet
            assert asyncio.get_running_loop().time() < deadline, "it runs on"
            await asyncio.sleep(0.02)
