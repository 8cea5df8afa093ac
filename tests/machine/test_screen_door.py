"""Raw screenshots on the server's own host come out of the machine's memory, without the server's help."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from desktop_sandbox import AsyncSandbox, Sandbox
from desktop_sandbox.config import SCREEN_DOOR
from desktop_sandbox.sdk.local_screens import LocalScreens
from tests.conftest import RealServer


@pytest.fixture
def at_home(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> RealServer:
    """The SDK looks for the door in HOME."""
    monkeypatch.setenv("DESKTOP_SANDBOX_HOME", str(server.home))
    return server


def fds() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return [path for path in found if path.endswith("/mem")]


def test_the_picture_is_the_servers_and_needs_no_server(at_home: RealServer) -> None:
    with Sandbox.create("minimal") as desktop:
        desktop.commands.run("pkill xclock; pkill xterm", check=False)
        desktop.wait(500)
        for region in (None, (5, 6, 301, 203)):
            for cursor in (True, False):
                mine = desktop.screenshot("raw", region=region, cursor=cursor)
                assert mine == desktop.capture("raw", region=region, cursor=cursor).data
        assert len(fds()) == 1
        assert at_home.process is not None
        os.kill(at_home.process.pid, signal.SIGSTOP)
        try:
            assert len(desktop.screenshot("raw", cursor=False)) == 1280 * 800 * 3
        finally:
            os.kill(at_home.process.pid, signal.SIGCONT)
        desktop.set_screen_size(800, 600)
        assert len(desktop.screenshot("raw")) == 800 * 600 * 3
    assert fds() == []


async def test_the_asynchronous_sdk_does_the_same(at_home: RealServer) -> None:
    async with await AsyncSandbox.create("minimal") as desktop:
        mine = await desktop.screenshot("raw", region=(0, 0, 40, 30), cursor=False)
        assert mine == (await desktop.capture("raw", region=(0, 0, 40, 30), cursor=False)).data
        assert len(fds()) == 1
    assert fds() == []


def test_what_is_not_there_comes_the_long_way(at_home: RealServer, tmp_path: object) -> None:
    door = at_home.home / SCREEN_DOOR
    assert door.stat().st_mode & 0o777 == 0o600
    screens = LocalScreens(lambda: door)
    assert screens.raw("sb-0000000000000000", None, cursor=True) is None
    assert LocalScreens(lambda: at_home.home / "nowhere").raw("sb-0", None, cursor=True) is None
    with Sandbox.create("minimal") as desktop:
        assert screens.raw(desktop.sandbox_id, None, cursor=True) is not None
        assert screens.raw(desktop.sandbox_id, (1200, 0, 100, 10), cursor=True) is None
    assert screens.raw(desktop.sandbox_id, None, cursor=True) is None
    screens.close()
    assert fds() == []


def test_nonsense_at_the_door_does_no_harm(at_home: RealServer) -> None:
    for said in (b"", b"\n", b"x" * 5000, b"\xff\x00\xfe\n", b"../../etc\n"):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(10)
            caller.connect(str(at_home.home / SCREEN_DOOR))
            caller.sendall(said)
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(100) in (b"", b"{}")
    with Sandbox.create("minimal") as desktop:
        assert LocalScreens(lambda: at_home.home / SCREEN_DOOR).raw(desktop.sandbox_id, None, cursor=True)
