"""The timeline in Chromium: looking, going back, forking, by keyboard too; and only what the link allows."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.viewer.conftest import Opened, holds, state, until
from tests.viewer.fake_desktop import FakeDesktop
from tests.viewer.fake_timeline import snapshot

pytestmark = pytest.mark.asyncio(loop_scope="module")


def grown(desktop: FakeDesktop) -> None:
    """Four snapshots, one of them on a branch; the desktop stands at the last."""
    desktop.snapshots = [
        snapshot(0, None, name="start"),
        snapshot(1, 0),
        snapshot(2, 1, kind="fork"),
        snapshot(3, 1, name="filled in", description="all fields but the last", tags=["good"]),
    ]
    desktop.at = "ss-03"


async def shown(page: Page) -> list[str]:
    return [text.split("\n")[0] for text in await page.locator(".moment").all_inner_texts()]


async def test_the_timeline_shows_where_the_desktop_stands(opened: Opened, desktop: FakeDesktop) -> None:
    grown(desktop)
    page = await opened()
    assert not [url for _, url, _ in desktop.requests if "/snapshots" in url], "asked for while nobody looks"
    await page.click("#timeline-button")
    await holds(page, "document.querySelectorAll('.moment').length === 4")
    assert await shown(page) == ["start", "Checkpoint", "Before a fork", "filled in"]
    assert await page.locator(".moment[aria-current]").inner_text() == "filled in\n57 min ago\nhere"
    depths = "[...document.querySelectorAll('#moments li')].map((one) => one.style.getPropertyValue('--depth')).join()"
    assert await page.evaluate(depths) == "0,0,1,0"
    await holds(page, "[...document.querySelectorAll('.moment img')].every((one) => one.naturalWidth === 224)")
    # what is saved by others comes by itself
    desktop.snapshots.append(snapshot(4, 3, name="by the agent"))
    desktop.at = "ss-04"
    await holds(page, "document.querySelector('.moment[aria-current]').textContent.includes('by the agent')")
    asked = [url for _, url, _ in desktop.requests if "ss-00/thumbnail" in url]
    assert len(asked) == 1, "a picture is asked for once"
    assert await page.get_attribute("#timeline-button", "aria-expanded") == "true"
    await page.keyboard.press("Escape")
    await page.focus("#timeline-close")
    await page.keyboard.press("Escape")
    await holds(page, "document.getElementById('timeline').hidden")
    assert await page.evaluate("document.activeElement.id") == "timeline-button"


async def test_one_looks_and_goes_back_with_the_keyboard_alone(opened: Opened, desktop: FakeDesktop) -> None:
    grown(desktop)
    page = await opened()
    await page.focus("#timeline-button")
    await page.keyboard.press("Enter")
    await holds(page, "document.querySelectorAll('.moment').length === 4")
    await page.locator(".moment").first.focus()
    for _ in range(3):
        await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#moment[open]")
    assert await page.inner_text("#moment-title") == "filled in"
    assert await page.inner_text("#moment-description") == "all fields but the last"
    assert (await page.inner_text("#moment-facts")).split(" · ")[1:] == ["1280 × 800", "42 MB", "good"]
    await holds(page, "document.getElementById('moment-picture').naturalWidth === 1280")
    await page.keyboard.press("Escape")
    await holds(page, "!document.getElementById('moment').open")
    assert await page.evaluate("document.activeElement.className") == "moment"
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#moment[open]")
    await page.focus("#moment-rollback")
    await page.keyboard.press("Enter")
    await until(page, lambda: desktop.of("rollback"), "rolled back")
    assert desktop.of("rollback") == [{"t": "rollback", "snapshot": "ss-01"}]
    await holds(page, "!document.getElementById('moment').open")
    await holds(page, "document.querySelector('.moment[aria-current]').textContent.startsWith('Checkpoint')")
    await page.get_by_text("Back at Checkpoint.").wait_for()


async def test_a_fork_opens_apart(opened: Opened, desktop: FakeDesktop) -> None:
    grown(desktop)
    page = await opened()
    await page.click("#timeline-button")
    await page.locator(".moment").first.click()
    async with page.context.expect_page() as news:
        await page.click("#moment-fork")
    child = await news.value
    await state(child, "live")
    assert desktop.of("fork") == [{"t": "fork", "snapshot": "ss-00"}]
    assert await child.evaluate("window.opener") is None
    assert "token" not in child.url


async def test_a_desktop_is_saved_from_the_panel(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await page.click("#timeline-button")
    await holds(page, "!document.getElementById('moments-none').hidden")
    assert await page.inner_text("#moments-none") == "Nothing is saved yet."
    await page.click("#save")
    await holds(page, "document.querySelectorAll('.moment').length === 1")
    assert await page.is_hidden("#moments-none")
    assert await page.locator(".moment .here").is_visible()


async def test_who_only_watches_looks_and_is_offered_nothing_else(opened: Opened, desktop: FakeDesktop) -> None:
    grown(desktop)
    page = await opened("/view/sb-1#token=T-view")
    await page.click("#timeline-button")
    await page.locator(".moment").first.click()
    await holds(page, "document.getElementById('moment-picture').naturalWidth === 1280")
    for name in ("#moment-rollback", "#moment-fork", "#save"):
        assert await page.is_hidden(name)


async def test_what_cannot_be_done_says_why(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.snapshots = [snapshot(0, None, id="ss-damaged", name="old")]
    page = await opened()
    await page.click("#timeline-button")
    await page.locator(".moment").first.click()
    await page.click("#moment-rollback")
    note = page.locator('[data-note="timeline"]')
    await note.wait_for()
    assert "the QEMU build is another" in await note.inner_text()


async def test_panels_take_turns(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await page.click("#stats-button")
    await page.click("#timeline-button")
    assert await page.is_hidden("#stats")
    assert await page.is_visible("#timeline")
    await page.click("#stats-button")
    assert await page.is_hidden("#timeline")
    assert await page.get_attribute("#timeline-button", "aria-expanded") == "false"


async def test_on_a_phone_the_menu_leads_there(opened: Opened, desktop: FakeDesktop) -> None:
    grown(desktop)
    page = await opened(viewport={"width": 390, "height": 760}, has_touch=True)
    await page.tap("#menu-button")
    await page.tap("#menu-timeline")
    await page.locator(".moment").first.tap()
    await holds(page, "document.getElementById('moment-picture').naturalWidth === 1280")
    for name in ("#moment-rollback", "#moment-fork", "#moment-close"):
        box = await page.locator(name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 760
    await page.tap("#moment-close")
    await page.tap("#timeline-close")
    assert await page.evaluate("document.activeElement.id") == "menu-button"
