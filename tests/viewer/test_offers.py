"""What the page offers to whom, and what it is configured with, in a real Chromium."""

from __future__ import annotations

import pytest

from tests.viewer.conftest import Opened, until
from tests.viewer.fake_desktop import FakeDesktop

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_key_combinations_are_offered_only_to_who_drives(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.holder = "agent"
    page = await opened()
    await page.click("#menu-button")
    assert await page.is_disabled("#combinations >> text=Ctrl W")
    assert "Take control" in await page.inner_text("#combinations-hint")
    await page.keyboard.press("Escape")
    await page.click('#lease [data-want="take"]')
    await page.wait_for_selector("body.driving")
    await page.click("#menu-button")
    assert await page.is_hidden("#combinations-hint")
    await page.click("#combinations >> text=Ctrl W")
    await until(page, lambda: len(desktop.of("key")) == 4, "Ctrl W, down and up")
    assert [key["code"] for key in desktop.of("key")] == ["ControlLeft", "KeyW", "KeyW", "ControlLeft"]


async def test_the_ice_servers_of_the_settings_reach_the_connection(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.ice_servers = [{"urls": ["turn:127.0.0.1:9?transport=udp"], "username": "u", "credential": "c"}]
    keep = """const Real = RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(how) { super(how); window.iceServers = how.iceServers; }
    };"""
    page = await opened(init=keep)
    assert await page.evaluate("window.iceServers") == desktop.ice_servers
