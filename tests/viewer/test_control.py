"""Who drives, in Chromium: taken, asked for, given back, lost with a connection and had again."""

from __future__ import annotations

import pytest

from tests.viewer.conftest import Opened, drive, passes, state, until
from tests.viewer.fake_desktop import FakeDesktop, FakeViewer

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_control_is_taken_given_back_and_released(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.holder = "agent"
    page = await opened()
    assert "Agent drives" in await page.inner_text("#lease")
    await page.mouse.click(400, 300)
    await page.wait_for_selector('[data-note="who-drives"]')
    assert desktop.of("button") == []
    await page.click('#lease [data-want="take"]')
    await page.wait_for_selector("body.driving")
    await page.click('[data-want="give"]')
    await until(page, lambda: desktop.holder == "agent", "given back to the agent")
    await page.wait_for_selector("body:not(.driving)")
    await page.click('[data-want="take"]')
    await page.click('[data-want="release"]')
    await until(page, lambda: desktop.holder == "none", "released")
    assert [one["want"] for one in desktop.of("lease")] == ["take", "give", "take", "release"]


async def test_the_holder_is_asked_and_may_keep_or_give(opened: Opened, desktop: FakeDesktop) -> None:
    first, second = await opened(), await opened()
    await drive(first, desktop)
    await second.click('[data-want="request"]')
    note = first.locator('[data-note="request"]')
    await note.wait_for()
    assert "Grace asks for control" in await note.inner_text()
    await note.get_by_role("button", name="Keep").click()
    await note.wait_for(state="detached")
    await second.click('[data-want="take"]')
    await second.wait_for_selector("body.driving")
    await first.wait_for_selector("body:not(.driving)")


async def test_a_first_press_takes_control_where_nobody_has_it(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await page.mouse.click(400, 348)
    await until(page, lambda: len(desktop.of("button")) == 2, "the press itself is not lost")
    assert [one["t"] for one in desktop.of("lease", "button")] == ["lease", "button", "button"]


async def test_control_comes_back_after_the_connection_broke(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await drive(page, desktop)
    for viewer in list(desktop.viewers):
        await viewer.close()
    await until(
        page, lambda: len(desktop.of("lease")) == 2 and isinstance(desktop.holder, FakeViewer), "taken again", 20
    )
    await page.wait_for_selector("body.driving")


async def test_back_from_the_fallback_while_driving_nothing_was_lost(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.udp = False
    page = await opened(wait="fallback")
    await drive(page, desktop)
    last = desktop.left

    def left(viewer: FakeViewer) -> None:  # as the server: the same person over another connection has it then
        if viewer not in desktop.viewers:
            return
        heir = next((one for one in desktop.viewers if one is not viewer), None)
        if desktop.holder is viewer and heir is not None:
            desktop.viewers.remove(viewer)
            desktop.give(FakeViewer("away", "control", lambda message: None, lambda: None))
            desktop.give(heir)
        else:
            last(viewer)

    desktop.left = left  # type: ignore[method-assign]
    await page.evaluate("""() => {
      window.notes = [];
      new MutationObserver(() => window.notes.push(document.getElementById('notes').textContent))
        .observe(document.getElementById('notes'), { childList: true });
    }""")
    desktop.udp = True
    await page.evaluate("dispatchEvent(new Event('online'))")
    await state(page, "live")
    await page.wait_for_selector("body.driving")
    await page.wait_for_timeout(1300)
    assert await page.evaluate("window.notes.filter((one) => one.includes('no longer')).length") == 0
    assert "You drive" in await page.inner_text("#lease")
    # somebody else takes it: no word of a loss that was not the connection's
    desktop.give("agent")
    await page.wait_for_selector("body:not(.driving)")


def forgetful(desktop: FakeDesktop) -> None:
    """A server that starts again knows of no person."""

    def left(viewer: FakeViewer) -> None:
        if viewer in desktop.viewers:
            desktop.viewers.remove(viewer)
            desktop.give("agent")

    desktop.left = left  # type: ignore[method-assign]


async def test_control_that_a_restart_took_is_said_to_be_lost(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await drive(page, desktop)
    await page.wait_for_selector("body.driving")

    forgetful(desktop)
    await desktop.viewers[0].close()
    await passes(page, "live", "reconnecting", "live")
    await page.wait_for_selector('[data-note="lost-control"] >> text=You no longer drive. Agent drives.')
    await page.click('[data-note="lost-control"] >> text=Take control')
    await page.wait_for_selector("body.driving")
    assert await page.query_selector('[data-note="lost-control"]') is None


async def test_the_word_of_a_loss_goes_when_control_comes_back(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await drive(page, desktop)
    forgetful(desktop)
    await desktop.viewers[0].close()
    await page.wait_for_selector('[data-note="lost-control"]')
    desktop.give(desktop.viewers[0])
    await page.wait_for_selector("body.driving")
    assert await page.query_selector('[data-note="lost-control"]') is None
