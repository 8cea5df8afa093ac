"""The view in Chromium: picture, states, transports, links, control."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.viewer.conftest import Opened, drive, holds, passes, state, until
from tests.viewer.fake_desktop import FakeDesktop
from tests.viewer.fake_server import FakeServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

PIXEL = """([x, y]) => {
  const shown = document.querySelector('.surface video, .surface canvas');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [shown.videoWidth || shown.width, shown.videoHeight || shown.height];
  const context = canvas.getContext('2d');
  context.drawImage(shown, 0, 0);
  return [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
}"""


async def pixel(page: Page, x: int, y: int) -> list[int]:
    return list(await page.evaluate(PIXEL, [x, y]))


def near(found: list[int], colour: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 25 for one, other in zip(found, colour, strict=True))


async def sees(page: Page, colour: tuple[int, int, int], timeout_s: float = 10) -> None:
    last: list[int] = []
    for _ in range(int(timeout_s * 20)):
        last = await pixel(page, 1200, 700)
        if near(last, colour):
            return
        await page.wait_for_timeout(50)
    pytest.fail(f"the page shows {last}, not {colour}")


async def test_the_desktops_pixels_are_in_the_page(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await sees(page, desktop.colour)
    desktop.colour = (200, 60, 40)
    await sees(page, desktop.colour)
    assert await page.evaluate("document.querySelector('.surface video').videoWidth") == 1280
    assert await page.inner_text("#name") == "invoice run"


async def test_the_token_leaves_the_address_at_once_and_is_in_no_url(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    assert page.url.endswith("/view/sb-1")
    await page.reload()
    await state(page, "live")
    assert all("T-control" not in url for _, url, _ in desktop.requests)
    assert len([1 for method, url, _ in desktop.requests if method == "POST" and url.endswith("/whep")]) == 2


async def test_another_link_in_the_same_tab_is_followed(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened("/view/sb-1#token=expired", wait="ended")
    await page.evaluate("location.hash = 'token=T-view'")
    await state(page, "live")
    assert page.url.endswith("/view/sb-1"), "the token left the address"
    await page.wait_for_selector("body.view-only")
    await page.evaluate("location.hash = 'token=T-control'")
    await page.wait_for_selector('[data-want="take"]')
    await state(page, "live")
    assert page.url.endswith("/view/sb-1")
    await page.evaluate("window.stays = true; location.hash = 'elsewhere'")
    await page.wait_for_timeout(200)
    assert await page.evaluate("window.stays") is True, "that was no link"


async def test_why_nobody_may_watch_is_said(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.refusal = "too many people watch already"
    page = await opened(wait="reconnecting")
    said = "document.getElementById('cover-text').textContent"
    await holds(page, f"{said}.startsWith('Too many people watch already. Next try in')")
    await page.evaluate(f"""window.seen = new Set(); new MutationObserver(() => window.seen.add({said}))
        .observe(document.getElementById('cover-text'), {{ childList: true, characterData: true, subtree: true }})""")
    await page.click("#cover-retry")
    await holds(page, "window.seen.size >= 2")
    assert all(text.startswith("Too many") for text in await page.evaluate("[...window.seen]"))
    desktop.refusal = None
    await state(page, "live")
    desktop.answers = 503
    for viewer in list(desktop.viewers):
        await viewer.close()
    await holds(page, f"{said}.startsWith('The test says so. Next try in')")
    desktop.answers = None
    await state(page, "live")


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/view/sb-1#token=forged", "This link no longer works"),
        ("/view/sb-1", "This link no longer works"),
        ("/view/gone#token=T-control", "This desktop has ended"),
    ],
)
async def test_what_cannot_be_shown_says_why(opened: Opened, path: str, title: str) -> None:
    page = await opened(path, wait="ended")
    assert await page.inner_text("#cover-title") == title
    assert len(await page.inner_text("#cover-text")) > 10


async def test_states_of_the_desktop(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    for name in ("frozen", "paused", "live"):
        desktop.tell({"t": "state", "state": name, "reason": None})
        await state(page, name)
    desktop.tell({"t": "state", "state": "ended", "reason": "its time was up"})
    await state(page, "ended")
    assert await page.inner_text("#cover-text") == "its time was up"


async def test_a_paused_desktop_is_waited_for(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.state = "paused"
    page = await opened(wait="paused")
    desktop.state = "running"
    await state(page, "live")


async def test_a_link_taken_back_ends_the_view(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    desktop.tokens.clear()
    for viewer in list(desktop.viewers):
        await viewer.close()
    await state(page, "ended")
    assert await page.inner_text("#cover-title") == "This link no longer works"


async def test_without_udp_it_falls_back_and_comes_back_without_a_gap(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.udp = False
    page = await opened(wait="fallback")
    await sees(page, desktop.colour)
    assert await page.evaluate("document.querySelector('.surface .picture').tagName") == "CANVAS"
    await until(page, lambda: desktop.of("visible"), "input over the WebSocket")
    await page.evaluate("""() => {
      window.gaps = 0;
      const look = () => {
        const shown = document.querySelector('.surface video, .surface canvas.picture');
        if (!shown || !(shown.videoWidth || shown.width) || !document.getElementById('cover').hidden) window.gaps += 1;
        requestAnimationFrame(look);
      };
      look();
    }""")
    desktop.udp = True
    await page.evaluate("dispatchEvent(new Event('online'))")
    await state(page, "live")
    assert await page.evaluate("document.querySelector('.surface .picture').tagName") == "VIDEO"
    assert await page.evaluate("window.gaps") == 0
    await sees(page, desktop.colour)


async def test_jpeg_where_there_is_neither_webrtc_nor_a_decoder(opened: Opened, desktop: FakeDesktop) -> None:
    without = "delete window.RTCPeerConnection; delete window.VideoDecoder;"
    page = await opened(init=without, wait="fallback")
    await sees(page, desktop.colour)
    await drive(page, desktop)
    await page.keyboard.press("a")
    assert await until(page, lambda: len(desktop.of("key")) == 2, "a key over the WebSocket")


async def test_it_comes_back_after_the_server_was_restarted(
    opened: Opened, desktop: FakeDesktop, server: FakeServer
) -> None:
    page = await opened()
    await sees(page, desktop.colour)
    await server.stop()
    await page.wait_for_selector('body[data-state="reconnecting"] #cover-retry:not([hidden])', timeout=20_000)
    # between its tries: while one goes on, something else is said
    await holds(page, "document.querySelector('#cover-text').textContent.includes('Next try in')")
    assert await page.evaluate("document.querySelector('.still').width") == 1280
    desktop.colour = (30, 160, 90)
    await server.start()
    await state(page, "live")
    await sees(page, desktop.colour)


async def test_a_silent_peer_is_left(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    desktop.viewers[0].send = lambda message: None
    await passes(page, "live", "reconnecting", "live")
    await until(page, lambda: len(desktop.viewers) == 1, "the old one gone, a new one there")


async def test_view_only_shows_no_controls_and_sends_no_input(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened("/view/sb-1#token=T-view")
    assert await page.inner_text("#lease") == "View only"
    assert await page.locator("#lease button, #upload:visible, [data-layout=resize]:visible").count() == 0
    await page.mouse.click(400, 300)
    await page.keyboard.type("abc")
    await page.mouse.wheel(0, 100)
    desktop.tell({"t": "state", "state": "frozen", "reason": None})
    await state(page, "frozen")
    assert {one["t"] for one in desktop.seen} <= {"visible", "stats"}


async def test_who_else_drives_is_seen_pointing(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.holder = "agent"
    page = await opened()
    desktop.tell({"t": "pointer", "x": 640, "y": 400})
    await page.wait_for_selector("#remote:not([hidden])")
    box: Any = await page.locator("#remote").bounding_box()
    assert abs(box["x"] - 639.5) < 2
    assert abs(box["y"] - (48 + 399.5)) < 2


async def test_the_desktop_takes_the_size_of_the_window(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await page.click('#layouts [data-layout="resize"]')
    await page.set_viewport_size({"width": 1101, "height": 749})
    await drive(page, desktop)
    await until(page, lambda: desktop.of("resize"), "a size is asked for")
    assert desktop.of("resize") == [{"t": "resize", "width": 1100, "height": 700}]
    desktop.tell({"t": "size", "width": 1100, "height": 700})
    await holds(page, "Math.abs(document.getElementById('surface').offsetWidth - 1100) <= 1")


async def test_statistics(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened(permissions=["clipboard-read", "clipboard-write"])
    await page.click("#stats-button")
    await until(page, lambda: desktop.of("stats"), "figures are asked for")
    await holds(page, "document.querySelector('#stats dl').innerText.includes('2,100 kbit/s')")
    await holds(page, "/Frames shown\\s+\\d+ .s/.test(document.querySelector('#stats dl').innerText)")
    await page.click("[data-copy]")
    copied = await page.evaluate("navigator.clipboard.readText().then(JSON.parse)")
    assert copied["transport"] == "WebRTC"
    assert copied["figures"]["Frames shown (/s)"] > 0
    await page.click("#stats-close")
    await until(page, lambda: desktop.of("stats")[-1]["on"] is False, "no figures while nobody looks")


async def test_in_a_frame_of_another_site(opened: Opened, desktop: FakeDesktop, server: FakeServer) -> None:
    page = await opened(f"http://localhost:{server.port}/framed", wait="")
    frame = page.frame_locator("iframe")
    await frame.locator('body[data-state="live"]').wait_for(timeout=20_000)
    await frame.locator('[data-want="take"]').click()
    await frame.locator("body.driving").wait_for()
    await frame.locator("#stage").click(position={"x": 300, "y": 300})
    await page.keyboard.press("x")
    await until(page, lambda: len(desktop.of("key")) == 2, "keys reach the desktop in the frame")
    await frame.locator("#fullscreen").click()
    note = frame.locator('[data-note="fullscreen"]')
    await note.wait_for()
    assert "must allow fullscreen" in await note.inner_text()
    await frame.locator("#stage").click(position={"x": 300, "y": 300})
    desktop.tell({"t": "clipboard", "text": "from the desktop"})
    await frame.locator('[data-note="copy"]').wait_for()


async def test_in_a_frame_that_may_more(opened: Opened, desktop: FakeDesktop, server: FakeServer) -> None:
    page = await opened(f"http://localhost:{server.port}/framed?allow=fullscreen;clipboard-write", wait="")
    frame = page.frame_locator("iframe")
    await frame.locator('body[data-state="live"]').wait_for(timeout=20_000)
    await frame.locator("#fullscreen").click()
    await frame.locator("body.fullscreen").wait_for()
    assert await frame.locator('[data-note="fullscreen"]').count() == 0
