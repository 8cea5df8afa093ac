"""A real agent on unix sockets instead of virtio ports: what a host writes is what the agent reads."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from desktop_sandbox.microvm.channel import AgentChannel
from guest_image.agent.config import AgentConfig
from guest_image.agent.protocol import PORTS
from guest_image.agent.server import Agent

DISPLAY = f":{1000 + os.getpid()}"  # an X server's name is its process's alone: other test runs may be on this host


class Hub:
    """Listens like QEMU; a host's connection becomes the port's descriptor."""

    def __init__(self, folder: Path) -> None:
        self.paths = {name: folder / name for name in PORTS}
        self._listening = {}
        self.keep = False
        self.kept: dict[str, socket.socket] = {}
        for name, path in self.paths.items():
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(str(path))
            sock.listen(4)
            sock.setblocking(False)
            self._listening[name] = sock

    def open_port(self, name: str) -> int:
        if name in self.kept:
            return os.dup(self.kept[name].fileno())
        connection, _ = self._listening[name].accept()
        connection.setblocking(False)
        if self.keep:
            self.kept[name] = connection
            return os.dup(connection.fileno())
        return connection.detach()

    def connect_raw(self, name: str) -> socket.socket:
        """A host that is not AgentChannel."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(self.paths[name]))
        sock.setblocking(False)
        return sock

    async def channel(self, **more) -> AgentChannel:
        return await AgentChannel.connect(
            self.paths["control"], self.paths["bulk"], self.paths["input"], timeout_s=5, **more
        )

    def close(self) -> None:
        for sock in [*self._listening.values(), *self.kept.values()]:
            sock.close()


class Guest:
    """A running agent, its hub and its folders."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder = folder
        self.session = folder / "session"
        self.etc = folder / "etc"
        for path in (self.session, self.etc):
            path.mkdir()
        (folder / "ports").mkdir()
        self.hub = Hub(folder / "ports")
        self.config = AgentConfig(
            open_port=self.hub.open_port,
            session_dir=str(self.session),
            cgroup_root=str(folder / "cgroup"),
            etc_dir=str(self.etc),
            dbus_machine_id=str(folder / "dbus-machine-id"),
            set_clock=False,
            realtime=False,
            set_hostname=False,
            network=False,
            user="root",
            display=DISPLAY,
            **settings,
        )
        self.agent = Agent(self.config)


@asynccontextmanager
async def running_guest(folder: Path, **settings) -> AsyncIterator[Guest]:
    guest = Guest(folder, **settings)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(guest.agent.run())
        try:
            yield guest
        finally:
            guest.agent.stop()
            await asyncio.wait([serving], timeout=5)
            assert serving.done()
    guest.hub.close()


@pytest_asyncio.fixture
async def guest(tmp_path: Path) -> AsyncIterator[Guest]:
    before = len(os.listdir("/proc/self/fd"))
    async with running_guest(tmp_path) as guest:
        yield guest
    for _ in range(50):
        leaked = len(os.listdir("/proc/self/fd")) - before
        if leaked <= 0:
            break
        await asyncio.sleep(0.02)
    assert leaked <= 0, f"{leaked} descriptors leaked"


@pytest_asyncio.fixture
async def channel(guest: Guest) -> AsyncIterator[AgentChannel]:
    channel = await guest.hub.channel()
    yield channel
    await channel.aclose()


@pytest.fixture
def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("changes users: needs root")
