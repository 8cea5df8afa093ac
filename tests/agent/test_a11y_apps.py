"""From the node's calls to a real app and back, without a machine: the agent, a window manager, Chromium's elements."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from actions.model import to_wire
from desktop_sandbox.elements import Element
from desktop_sandbox.errors import DeadlineError, DesktopSandboxError, NotFoundError
from desktop_sandbox.node.elements import Elements
from desktop_sandbox.node.facts import BatchResult, ClickSpec, ElementQuery, TreeSpec, WindowChange
from tests.agent.conftest import DISPLAY, Guest
from tests.agent.test_with_x import XServer

BUS_LAUNCHER = Path("/usr/libexec/at-spi-bus-launcher")
NEEDED = ("Xvfb", "openbox", "xterm", "chromium", "dbus-daemon")
pytestmark = pytest.mark.skipif(
    not (all(map(shutil.which, NEEDED)) and BUS_LAUNCHER.exists()), reason=f"needs at-spi2-core, {', '.join(NEEDED)}"
)
PAGE = """<!doctype html><meta charset="utf-8"><title>Shop</title><body style="font: 20px sans-serif">
<h1>Buy things</h1> <label>Name <input id="buyer"></label>
<button onclick="document.title = 'Bought by ' + buyer.value">Order now</button>
<label><input type="checkbox"> I agree</label>
<div style="height: 3000px"></div><button onclick="document.title = 'Far'">Far below</button>
"""
T = TypeVar("T")


class HostDesk(Elements):
    """A node whose only sandbox is an agent on this host."""

    def __init__(self, guest: Guest, channel: Any) -> None:
        self._channel = channel
        self.started: list[int] = []

    async def get(self, sandbox_id: str) -> Any:
        return SimpleNamespace(resolution=(800, 600))

    async def live(self, sandbox_id: str, *, resume: bool = True) -> Any:
        async def guest() -> Any:
            return SimpleNamespace(channel=self._channel, launch=self._start)

        return SimpleNamespace(guest=guest)

    async def _start(self, argv: Any, uri: str | None) -> int:
        answer = await self._channel.request("app.launch", {"argv": list(argv), "uri": uri}, timeout_s=30)
        self.started.append(answer["pid"])
        return self.started[-1]

    async def act(self, sandbox_id: str, actions: Any, **more: Any) -> BatchResult:
        done = await self._channel.request("actions.run", {"actions": [to_wire(action) for action in actions]})
        return BatchResult(done["results"], done["failed"], {})

    async def found(self, role: str, name: str, **more: Any) -> Element:
        query = ElementQuery(role, name)
        return (await self.find_elements("", query, TreeSpec(timeout_s=20, **more))).elements[0]

    async def titled(self, part: str) -> dict[str, Any]:
        """The window with that in its title, once there is one."""
        return await until(lambda: self._titled(part), part)

    async def _titled(self, part: str) -> dict[str, Any] | None:
        return next((each for each in await self.windows("") if part in each["title"]), None)


async def until(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    for _ in range(300):
        try:
            if found := await look():
                return found
        except DesktopSandboxError:
            pass
        await asyncio.sleep(0.2)
    raise AssertionError(f"waited 60 s for {what}")


@pytest_asyncio.fixture
async def desk(guest: Guest, channel, tmp_path: Path) -> AsyncIterator[HostDesk]:
    server = XServer(DISPLAY)
    await server.start()
    address = f"unix:path={tmp_path}/session-bus"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path),
        "DISPLAY": DISPLAY, "DBUS_SESSION_BUS_ADDRESS": address, "ACCESSIBILITY_ENABLED": "1",
    }  # fmt: skip
    guest.agent.accounts.environment = lambda account: dict(environment)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"], **quiet)
    manager = subprocess.Popen(["openbox"], **quiet)
    desk = HostDesk(guest, channel)
    yield desk
    for pid in desk.started:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    while any(os.path.exists(f"/proc/{pid}") for pid in desk.started):  # until the agent has reaped them
        await asyncio.sleep(0.05)
    for process in (manager, bus):
        process.terminate()
        process.wait(20)
    server.kill()
    await guest.agent.a11y.aclose()


async def browse(desk: HostDesk, folder: Path) -> int:
    """Chromium with the page, told of itself: its process."""
    (folder / "page.html").write_text(PAGE)
    flags = ["--no-sandbox", "--no-first-run", "--window-size=780,560", "--window-position=5,20", "--disable-gpu"]
    data = f"--user-data-dir={folder}/profile"
    command = ["chromium", *flags, data, "--force-renderer-accessibility=basic", f"file://{folder}/page.html"]
    _, window = await desk.launch_window("", command, None, 60)
    assert window["pid"] > 0
    await desk.titled("Shop")
    return int(window["pid"])


async def test_a_page_is_used_by_its_elements_in_real_windows(desk: HostDesk, tmp_path: Path) -> None:
    await until(lambda: _managed(desk), "the window manager")
    with pytest.raises(NotFoundError, match=r"no window has the focus|has no accessibility tree"):
        await desk.tree("", TreeSpec())
    pid = await browse(desk, tmp_path)
    field = await until(lambda: desk.found("entry", "Name"), "the page's elements")
    assert (await desk.set_element("", field.id, "Grüße", batch_id="a")).value == "Grüße"
    assert (await desk.set_element("", field.id, "Ada", batch_id="b")).value == "Ada"

    # another window covers the button: its own comes to front, and the click is felt
    _, cover = await desk.launch_window("", ["xterm", "-geometry", "120x40+0+0"], None, 60)
    await until(lambda: _active(desk, cover["id"]), "the terminal in front")
    with pytest.raises(NotFoundError, match=r"no accessibility tree.*apps that have one: Chromium"):
        await desk.tree("", TreeSpec(timeout_s=20))
    button = await desk.found("button", "order", app="chromium")
    await desk.click_element("", button.id, ClickSpec(), batch_id="c")
    bought = await desk.titled("Bought by Ada")
    assert await until(lambda: _active(desk, bought["id"]), "the browser in front")
    assert (await desk.change_window("", WindowChange("xterm", "close")))["window"] is None

    far = await desk.found("button", "far below", hidden=True)
    assert "hidden" in far.states
    await desk.click_element("", far.id, ClickSpec(), batch_id="d")
    await desk.titled("Far")
    outline = (await desk.tree("", TreeSpec(hidden=True, timeout_s=20))).text
    assert 'heading "Buy things"' in outline

    os.kill(pid, signal.SIGSTOP)
    try:
        tree = await desk.tree("", TreeSpec(scope="all", timeout_s=2))
        assert [bool(app.error) for app in tree.apps] == [True]
        assert tree.apps[0].name.startswith("chrom")
        with pytest.raises(DeadlineError, match="does not answer"):
            await desk.click_element("", far.id, ClickSpec(), batch_id="e")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await until(lambda: desk.element("", far.id, "look"), "the browser to be back")).name == "Far below"
    await desk.change_window("", WindowChange("far", "close"))
    with pytest.raises(NotFoundError, match="read the tree again"):
        await until_gone(desk, far.id)


async def until_gone(desk: HostDesk, element: str) -> None:
    for _ in range(300):
        await desk.element("", element, "look")
        await asyncio.sleep(0.2)


async def _active(desk: HostDesk, number: int) -> bool:
    return any(each["id"] == number and each["active"] for each in await desk.windows(""))


async def _managed(desk: HostDesk) -> bool:
    command = ["xprop", "-display", DISPLAY, "-root", "_NET_SUPPORTING_WM_CHECK"]
    probe = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    return b"window id" in probe.stdout
