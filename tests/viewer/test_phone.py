"""The view on a phone: fingers, its keyboard, and what a small bar has no room for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.viewer.conftest import Opened, drive, holds, until
from tests.viewer.fake_desktop import FakeDesktop

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


async def touch(cdp: Any, kind: str, *points: tuple[int, int]) -> None:
    touches = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(points)]
    await cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


async def test_a_phone(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(**PHONE)
    box: Any = await page.locator("#surface").bounding_box()
    scale = 1280 / box["width"]
    x, y = int(box["x"] + 100), int(box["y"] + 100)
    cdp = await page.context.new_cdp_session(page)
    await touch(cdp, "touchStart", (x, y))
    await touch(cdp, "touchEnd")
    await until(page, lambda: len(desktop.of("button")) == 2, "a tap")
    tap = desktop.of("button")[0]
    assert (tap["button"], tap["down"]) == ("left", True)
    assert abs(tap["x"] - 100 * scale) < scale
    await touch(cdp, "touchStart", (x + 60, y))
    await until(page, lambda: len(desktop.of("button")) == 4, "a long press")
    assert [one["button"] for one in desktop.of("button")[2:]] == ["right", "right"]
    await touch(cdp, "touchEnd")
    await touch(cdp, "touchStart", (x, y), (x + 80, y))
    for step in range(1, 6):
        await touch(cdp, "touchMove", (x, y - 8 * step), (x + 80, y - 8 * step))
    await touch(cdp, "touchEnd")
    await until(page, lambda: sum(one["dy"] for one in desktop.of("wheel")) >= 100, "two fingers scroll")
    assert len(desktop.of("button")) == 4
    assert await page.evaluate("visualViewport.scale") == 1


async def test_a_phones_keyboard(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(**PHONE)
    assert await page.evaluate("document.activeElement.id") != "keys", "it would cover the desktop"
    await page.tap("#keyboard")
    await holds(page, "document.activeElement.id === 'keys'")
    await page.keyboard.insert_text("hello")
    typed = """text => {
      const field = document.getElementById('keys');
      field.value = text(field.value);
      field.dispatchEvent(new InputEvent('input', { bubbles: true }));
    }"""
    await page.evaluate(typed.replace("text(field.value)", "field.value.slice(0, -1)").replace("text =>", "() =>"))
    await page.evaluate(typed.replace("text(field.value)", "field.value + '\\nö'").replace("text =>", "() =>"))
    await until(page, lambda: len(desktop.of("text")) == 2, "what was typed")
    sent = [one.get("text") or one["keysym"] for one in desktop.of("text", "key") if one.get("down", True)]
    assert sent == ["hello", 0xFF08, 0xFF0D, "ö"]


async def test_three_fingers_reach_every_corner_at_its_own_size(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(**PHONE)
    await page.tap("#menu-button")
    assert "three fingers" in await page.inner_text("#menu .fingers")
    await page.tap('#menu [data-layout="actual"]')
    cdp = await page.context.new_cdp_session(page)
    for _ in range(4):
        await touch(cdp, "touchStart", (340, 500), (340, 560), (340, 620))
        for x in range(340, 20, -40):
            await touch(cdp, "touchMove", (x, 500 - (340 - x)), (x, 560 - (340 - x)), (x, 620 - (340 - x)))
        await touch(cdp, "touchEnd")
    corner = "(({scrollLeft: x, scrollWidth, clientWidth}) => x === scrollWidth - clientWidth && x > 800)"
    await holds(page, f"{corner}(document.getElementById('stage'))")
    assert desktop.of("button") == []
    await touch(cdp, "touchStart", (388, 840))
    await touch(cdp, "touchEnd")
    await until(page, lambda: len(desktop.of("button")) == 2, "a tap in the corner")
    assert desktop.of("button")[0]["x"] == 1278
    assert desktop.of("button")[0]["y"] > 790


async def test_who_drives_is_said_and_every_choice_can_be_made(opened: Opened, desktop: FakeDesktop) -> None:
    desktop.holder = "agent"
    page = await opened(**PHONE)
    assert "Agent drives" in await page.locator("#lease").aria_snapshot()
    await drive(page, desktop)
    assert "You drive" in await page.locator("#lease").aria_snapshot()
    assert await page.locator("#lease .who > span").evaluate("(one) => one.getBoundingClientRect().width") <= 1
    assert await page.locator('#lease [data-want="release"]').is_hidden()
    await page.tap("#menu-button")
    assert await page.inner_text("#menu-lease h2") == "You drive"
    await page.get_by_role("button", name="Release").tap()
    await until(page, lambda: desktop.holder == "none", "released from the menu")
    await page.wait_for_selector("#menu", state="hidden")


async def test_in_fullscreen_fingers_find_the_bar(mine: Any) -> None:
    page = await mine(**PHONE)
    await page.tap("#menu-button")
    await page.tap("#menu-fullscreen")
    await page.wait_for_selector("body.fullscreen")
    await page.evaluate("document.activeElement.blur()")
    await page.mouse.move(200, 600)  # what was tapped last no longer counts as hovered
    await page.wait_for_timeout(300)  # as long as it would take to leave
    bar = "getComputedStyle(document.getElementById('bar'))"
    assert await page.evaluate(f"[{bar}.opacity, {bar}.transform].join()") == "1,none"
    await page.tap("#menu-button")
    await page.tap("#menu-fullscreen")
    await page.wait_for_selector("body:not(.fullscreen)")
