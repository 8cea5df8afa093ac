"""One desktop for all tests here, since apps start slowly under emulation; and a page that tells what it feels."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.errors import DesktopSandboxError
from desktop_sandbox.sdk.models import Window
from tests.conftest import RealServer, _failed, keep_evidence

DEADLINE_S = 150.0
LOOK_EVERY_S = 0.6
STATE = "/tmp/page-state.json"
PORT = 8800
T = TypeVar("T")


def until(look: Callable[[], T], what: str, timeout_s: float = DEADLINE_S) -> T:
    """Look again and again until it is true; what it then is. Seldom: apps need the guest's processors themselves."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s still waiting for {what}"
        time.sleep(LOOK_EVERY_S)


def window(desktop: Sandbox, name: str) -> Window | None:
    """The topmost window whose class or title contains `name`, in any case."""
    name = name.lower()
    found = [w for w in desktop.windows() if name in w.window_class.lower() or name in w.title.lower()]
    return found[-1] if found else None


def wait_window(desktop: Sandbox, name: str, timeout_s: float = DEADLINE_S) -> Window:
    """Wait until such a window is there."""
    return until(lambda: window(desktop, name), f"a window called {name!r}", timeout_s)


def wait_active(desktop: Sandbox, name: str) -> Window:
    """Wait until such a window is there and has the focus."""

    def look() -> Window | None:
        found = window(desktop, name)
        return found if found is not None and found.active else None

    return until(look, f"the focus in a window called {name!r}")


def wait_still(desktop: Sandbox, name: str) -> Window:
    """Wait until such a window has the focus and stays where it is: a new one is still being placed and framed."""
    last = wait_active(desktop, name)

    def look() -> bool:
        nonlocal last
        time.sleep(1)
        before, last = last, wait_active(desktop, name)
        return (last.x, last.y, last.width, last.height) == (before.x, before.y, before.width, before.height)

    until(look, f"the window called {name!r} to stay where it is")
    return last


def read(desktop: Sandbox, path: str) -> str:
    """A file in the desktop, "" while there is none."""
    with suppress(DesktopSandboxError):
        return desktop.files.read(path)
    return ""


def close(desktop: Sandbox, program: str) -> None:
    """End a program and wait until its windows are gone."""
    desktop.commands.run(["pkill", "-x", program], check=False)
    until(lambda: not desktop.get_application_windows(program), f"the end of {program}")


@pytest.fixture(scope="package")
def shared(server: RealServer) -> Iterator[Sandbox]:
    """A running desktop that the tests of this folder share; it would not be frozen later, and take half a core."""
    with Sandbox.create("desktop", timeout=3600) as sandbox:
        yield sandbox


@pytest.fixture
def desktop(shared: Sandbox, server: RealServer, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """The shared desktop; its screen and logs are kept where a test fails."""
    yield shared
    if request.node.stash.get(_failed, False):
        keep_evidence(request, server, shared)


@dataclass
class Page:
    """The recorder's page in Chromium: what it told last, and where things are on the screen."""

    desktop: Sandbox
    origin: tuple[int, int] = (0, 0)

    @property
    def state(self) -> dict[str, Any]:
        text = read(self.desktop, STATE)
        return json.loads(text) if text else {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{PORT}/"

    def wait(self, look: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait until what the page told is as `look` wants it."""

        def seen() -> dict[str, Any] | None:
            state = self.state
            return state if state and look(state) else None

        return until(seen, what)

    def at(self, x: int, y: int) -> tuple[int, int]:
        """A place in the page as one on the screen."""
        return self.origin[0] + x, self.origin[1] + y

    def fresh(self) -> None:
        """Load the page anew: empty field, no events, not scrolled."""
        number = self.state["number"]
        self.desktop.press("f5")
        self.wait(lambda state: state["number"] > number and state["drawn"], "the page to be drawn anew")

    def focus_field(self) -> None:
        """Click into the text field."""
        self.desktop.left_click(*self.at(200, 150))
        self.wait(lambda state: any(event["kind"] == "mouseup" for event in state["events"]), "the click")


@pytest.fixture(scope="package")
def opened(shared: Sandbox) -> Page:
    """The recorder's page, opened once the way a user would: with the default app of its address."""
    shared.files.write("/tmp/recorder.py", (Path(__file__).parent / "recorder.py").read_text())
    shared.launch(["python3", "/tmp/recorder.py", STATE, str(PORT)])
    until(lambda: shared.commands.run(f"curl -sf 127.0.0.1:{PORT}", check=False).exit_code == 0, "the recorder")
    page = Page(shared)
    shared.open(page.url)
    page.wait(lambda state: state["drawn"], "the page in Chromium")
    found = wait_active(shared, "recorder")
    shared.left_click(found.x + found.width // 2, found.y + found.height - 100)
    state = page.wait(lambda state: state["origin"], "a click on the page")
    page.origin = (int(state["origin"][0]), int(state["origin"][1]))
    return page


@pytest.fixture
def page(opened: Page, desktop: Sandbox) -> Page:
    """The page, freshly loaded, in the window that has the focus."""
    if not wait_window(desktop, "chromium").active:
        desktop.left_click(*opened.at(800, 400))
        wait_active(desktop, "chromium")
    opened.fresh()
    return opened
