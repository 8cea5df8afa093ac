"""The view in a real Firefox, through WebDriver BiDi: it plays over WebRTC, falls back, and takes input."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.viewer.bidi import Firefox, firefox
from tests.viewer.fake_desktop import FakeDesktop
from tests.viewer.fake_server import FakeServer, running

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(FIREFOX is None, reason="Firefox is not installed: apt-get install firefox-esr"),
]

PICTURE = "document.querySelector('.surface .picture')"
PIXEL = """(() => {
  const shown = document.querySelector('.surface .picture');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [shown.videoWidth || shown.width, shown.videoHeight || shown.height];
  canvas.getContext('2d').drawImage(shown, 0, 0);
  return [...canvas.getContext('2d').getImageData(canvas.width - 40, canvas.height - 40, 1, 1).data].slice(0, 3);
})()"""
BOX = "(({x, y, width, height}) => [x, y, width, height])(document.getElementById('surface').getBoundingClientRect())"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Firefox]:
    assert FIREFOX is not None
    async with firefox(FIREFOX, tmp_path_factory.mktemp("firefox")) as found:
        await found.size(1280, 848)
        yield found
        await found.goto("about:blank")


@pytest_asyncio.fixture(loop_scope="module")
async def desktop() -> FakeDesktop:
    return FakeDesktop(width=640, height=400)


@pytest_asyncio.fixture(loop_scope="module")
async def server(desktop: FakeDesktop) -> AsyncIterator[FakeServer]:
    async with running(desktop) as found:
        yield found


async def opened(tab: Firefox, server: FakeServer, wait: str) -> None:
    await tab.goto(f"{server.url}/view/sb-1#token=T-control")
    await tab.until(f"document.body.dataset.state === '{wait}'")


async def sees(tab: Firefox, colour: tuple[int, int, int]) -> None:
    wanted = " && ".join(f"Math.abs(rgb[{index}] - {value}) < 25" for index, value in enumerate(colour))
    await tab.until(f"((rgb) => {wanted})({PIXEL})")


async def told(condition: Callable[[], Any], what: str, timeout_s: float = 10.0) -> None:
    """Wait until the fake desktop was told something."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"in {timeout_s} s not: {what}"
        await asyncio.sleep(0.02)


async def test_it_plays_over_webrtc(tab: Firefox, server: FakeServer, desktop: FakeDesktop) -> None:
    await opened(tab, server, "live")
    assert await tab.evaluate(f"{PICTURE}.tagName") == "VIDEO"
    await sees(tab, desktop.colour)
    desktop.colour = (200, 60, 40)
    await sees(tab, desktop.colour)


async def test_without_udp_it_falls_back(tab: Firefox, server: FakeServer, desktop: FakeDesktop) -> None:
    desktop.udp = False
    await opened(tab, server, "fallback")
    assert await tab.evaluate(f"{PICTURE}.tagName") == "CANVAS"
    assert await tab.evaluate("document.getElementById('mark-word').innerText") == "Live, fallback"
    await sees(tab, desktop.colour)


async def test_clicks_keys_and_the_wheel_arrive(tab: Firefox, server: FakeServer, desktop: FakeDesktop) -> None:
    await opened(tab, server, "live")
    left, top, width, height = await tab.evaluate(BOX)
    await tab.click(left + width / 2, top + height / 2)  # takes control, since nobody has it
    await tab.until("document.body.classList.contains('driving')")
    await tab.click(left, top)
    await tab.click(left + width - 1, top + height - 1)
    await told(lambda: len(desktop.of("button")) == 6, "three clicks")
    downs = [(one["button"], one["x"], one["y"]) for one in desktop.of("button") if one["down"]]
    assert downs == [("left", 320, 200), ("left", 0, 0), ("left", 639, 399)]
    assert [one["down"] for one in desktop.of("button")] == [True, False] * 3
    await tab.press("\ue009", "b")  # Control
    await told(lambda: len(desktop.of("key")) == 4, "Ctrl+B")
    keys = [(one["down"], one["code"], one["keysym"]) for one in desktop.of("key")]
    control, letter = ("ControlLeft", 0xFFE3), ("KeyB", ord("b"))
    assert keys == [(True, *control), (True, *letter), (False, *letter), (False, *control)]
    await tab.wheel(left + width / 2, top + height / 2, 0, 120)
    await told(lambda: desktop.of("wheel"), "the wheel")
    turned = desktop.of("wheel")[0]
    assert (turned["dx"], turned["x"], turned["y"]) == (0, 320, 200)
    assert turned["dy"] > 0


async def test_a_key_is_let_go_though_no_event_says_that_the_focus_went(
    tab: Firefox, server: FakeServer, desktop: FakeDesktop
) -> None:
    await opened(tab, server, "live")
    left, top, width, height = await tab.evaluate(BOX)
    await tab.click(left + width / 2, top + height / 2)
    await tab.until("document.body.classList.contains('driving')")
    await tab.hold("\ue009")  # Control
    await told(lambda: desktop.of("alive"), "it says that something is held")
    # a headless window has no focus of its own, so nothing in it is told that it lost it
    await tab.evaluate("document.getElementById('menu-button').focus()")
    await told(lambda: desktop.of("release"), "everything is let go")
