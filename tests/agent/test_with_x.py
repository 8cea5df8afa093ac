"""The agent with a real X server: actions, windows, and an X server that is killed and comes back."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import pytest
import pytest_asyncio

from desktop_sandbox.errors import GuestError
from tests.agent.conftest import DISPLAY, Guest

pytestmark = pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb")


class XServer:
    def __init__(self, name: str) -> None:
        self.name = name
        self.process: subprocess.Popen | None = None

    async def start(self) -> None:
        command = ["Xvfb", self.name, "-screen", "0", "800x600x24", "-noreset", "-nolisten", "tcp"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(200):
            probe = subprocess.run(["xdpyinfo", "-display", self.name], capture_output=True, check=False)
            if probe.returncode == 0:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("Xvfb does not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest_asyncio.fixture
async def x_server():
    server = XServer(DISPLAY)
    await server.start()
    yield server
    server.kill()


async def test_actions_windows_and_a_new_x_server(x_server, guest: Guest, channel):
    moves = [{"type": "move", "x": 0, "y": 0}, {"type": "move", "x": 799, "y": 599}, {"type": "cursor_position"}]
    answer = await channel.request("actions.run", {"actions": moves})
    assert answer == {"results": [{}, {}, {"x": 799, "y": 599}], "failed": None}
    unknown = await channel.request("actions.run", {"actions": [{"type": "key", "keys": ["Retrun"]}]})
    assert unknown["failed"]["code"] == "invalid"
    assert await channel.request("windows.list") == []
    assert (await channel.request("windows.active"))["id"] is None
    x_server.kill()
    with pytest.raises(GuestError) as caught:
        await channel.request("windows.list")
    assert caught.value.evidence["code"] == "unavailable"
    assert (await channel.request("actions.run", {"actions": moves}))["failed"]["code"] == "no_display"
    await x_server.start()
    assert (await channel.request("actions.run", {"actions": moves}))["failed"] is None
    assert await channel.request("windows.list") == []
