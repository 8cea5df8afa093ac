"""Real Chromium watches: H.264 is negotiated, its colours are the screen's, and a still screen stays silent."""

from __future__ import annotations

import asyncio
import shutil
import time

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright

from tests.streamer.harness import Screen, Server

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
]

PAGE = """
<video autoplay muted playsinline></video>
<script>
const video = document.querySelector('video');
const said = [];
let pc;
async function offer(codec) {
  pc = new RTCPeerConnection();
  const receiver = pc.addTransceiver('video', {direction: 'recvonly'});
  const codecs = RTCRtpReceiver.getCapabilities('video').codecs;
  receiver.setCodecPreferences(codecs.filter(c => c.mimeType.endsWith(codec) || c.mimeType.endsWith('rtx')));
  pc.ontrack = event => { video.srcObject = new MediaStream([event.track]); };
  window.input = pc.createDataChannel('input');
  window.input.onmessage = event => said.push(JSON.parse(event.data));
  await pc.setLocalDescription(await pc.createOffer());
  await new Promise(done => { pc.onicecandidate = e => e.candidate || done(); });
  return pc.localDescription.sdp;
}
async function answer(sdp) { await pc.setRemoteDescription({type: 'answer', sdp}); }
function pixel(x, y) {
  if (!video.videoWidth) return null;
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext('2d');
  canvas.drawImage(video, 0, 0);
  return Array.from(canvas.getImageData(x, y, 1, 1).data.slice(0, 3));
}
async function inbound() {
  for (const report of (await pc.getStats()).values())
    if (report.type === 'inbound-rtp') {
      const {framesDecoded, keyFramesDecoded, pliCount, packetsReceived, packetsLost} = report;
      return {framesDecoded, keyFramesDecoded, pliCount, packetsReceived, packetsLost};
    }
}
</script>
"""


@pytest.fixture
async def page():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        await page.set_content(PAGE)
        yield page
        await browser.close()


async def join(page: Page, server: Server, number: int, codec: str) -> str:
    offer = await page.evaluate("codec => offer(codec)", codec)
    reply = await server.ask("viewer.offer", viewer=number, sandbox="s", rights="control", sdp=offer)
    await page.evaluate("sdp => answer(sdp)", reply["sdp"])
    return reply["sdp"]


async def sees(page: Page, colour: tuple[int, ...], x: int, y: int, within: int = 6) -> None:
    """Wait for a colour (red, green, blue) in the page's video."""
    seen = None
    for _ in range(600):
        seen = await page.evaluate("([x, y]) => pixel(x, y)", [x, y])
        if seen is not None and all(abs(a - b) <= within for a, b in zip(seen, colour, strict=True)):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the page shows {seen} at {x}, {y}, not {colour}")


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_chromium_shows_the_screens_colours(server, tmp_path, page, codec):
    screen = Screen(tmp_path / "screen", 1280, 800)
    screen.pixels[:] = (200, 120, 40, 0)
    screen.pixels[400:, :640] = (10, 20, 230, 0)
    screen.pixels[400:, 640:] = (30, 210, 60, 0)
    await server.attach("s", screen)
    answer = await join(page, server, 1, codec)
    assert ("profile-level-id=42e028" in answer) == (codec == "H264")
    await sees(page, (40, 120, 200), 100, 100)
    await sees(page, (230, 20, 10), 100, 700)
    await sees(page, (60, 210, 30), 1200, 700)
    screen.pixels[:] = (255, 255, 255, 0)
    await sees(page, (255, 255, 255), 1279, 799)
    hello = (await eventually_said(page, "hello"))[0]
    assert hello["codec"] == ("avc1.42e028" if codec == "H264" else "vp8")


async def test_a_still_screen_sends_nothing_although_chromium_asks_for_keyframes(server, tmp_path, page):
    screen = Screen(tmp_path / "screen", 1280, 800)
    screen.pixels[:] = (
        np.random.default_rng(1).integers(0, 256, (20, 20, 4), dtype=np.uint8).repeat(40, 0).repeat(64, 1)
    )
    await server.attach("s", screen)
    await join(page, server, 1, "H264")
    await eventually_said(page, "hello")
    await sees(page, tuple(int(v) for v in screen.pixels[400, 640, 2::-1]), 640, 400, within=40)
    before = await quiet(page)
    while (now := await page.evaluate("inbound()"))["pliCount"] == before["pliCount"]:
        await asyncio.sleep(0.05)
    assert now["packetsReceived"] == before["packetsReceived"]
    screen.pixels[:] = (0, 0, 255, 0)
    await sees(page, (255, 0, 0), 640, 400)
    assert (await page.evaluate("inbound()"))["keyFramesDecoded"] == before["keyFramesDecoded"]


async def quiet(page: Page) -> dict[str, int]:
    """The page's counts once no packet came for half a second."""
    before, since = await page.evaluate("inbound()"), time.monotonic()
    while time.monotonic() - since < 0.5:
        await asyncio.sleep(0.02)
        now = await page.evaluate("inbound()")
        if now["packetsReceived"] != before["packetsReceived"]:
            since = time.monotonic()
        before = now
    return before


async def eventually_said(page: Page, kind: str) -> list[dict]:
    for _ in range(600):
        if said := await page.evaluate("kind => said.filter(m => m.t === kind)", kind):
            return said
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {kind} came")
