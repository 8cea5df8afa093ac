"""What a person does in the view, in Chromium, and what the desktop gets of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.viewer.conftest import CHROMIUM, Opened, drive, holds, keys, state, until
from tests.viewer.fake_desktop import FakeDesktop
from tests.viewer.fake_server import FakeServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAR = 48  # the window is 1280x848: below the bar one pixel of the desktop is one of the page
SHIFT = 0xFFE1
SCROLLED_X = "300 + Math.round(document.getElementById('stage').scrollLeft)"


async def test_keys_come_as_place_and_keysym_in_order(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    await page.keyboard.type("aB@")
    await page.keyboard.press("Shift+ArrowLeft")
    await page.keyboard.press("F5")
    await page.keyboard.press("Tab")
    await until(page, lambda: len(desktop.of("key")) >= 14, "all keys")
    downs = [(code, keysym) for down, code, keysym in keys(desktop) if down]
    assert [keysym for _, keysym in downs] == [97, 66, 64, SHIFT, 0xFF51, 0xFFC2, 0xFF09]
    assert downs[0] == ("KeyA", 97)
    assert len(keys(desktop)) == 14
    assert await page.evaluate("document.activeElement.id") == "keys", "Tab went to the desktop"


async def test_over_a_long_way_a_copy_comes_of_what_the_network_lost(mine: Any, desktop: FakeDesktop) -> None:
    desktop.pong_delay_s = 0.05
    page = await mine()
    await page.mouse.move(500, 500)
    pressed = 0
    while desktop.copies == 0:  # once the page knows how long the way is
        await page.keyboard.press("F2")
        pressed += 1
        await page.wait_for_timeout(50)
    await until(page, lambda: len(desktop.of("key")) == 2 * pressed, "all of them")
    desktop.loses_inputs = True
    desktop.seen.clear()
    await page.keyboard.type("ab")
    await page.mouse.wheel(0, 120)
    await until(page, lambda: len(desktop.of("key", "wheel")) == 5, "what was done")
    assert [(one.get("keysym"), one.get("down")) for one in desktop.of("key", "wheel")] == [
        (97, True),
        (97, False),
        (98, True),
        (98, False),
        (None, None),
    ]


async def test_the_browsers_repeats_are_dropped_and_alive_is_said(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    await page.keyboard.down("a")
    for _ in range(5):
        await page.keyboard.down("a")
    await until(page, lambda: len(desktop.of("alive")) >= 3, "alive while held")
    await page.keyboard.up("a")
    await until(page, lambda: len(desktop.of("key")) == 2, "one press, one release")
    said = len(desktop.of("alive"))
    await page.wait_for_timeout(500)
    assert len(desktop.of("alive")) <= said + 1


@pytest.mark.parametrize("way", ["blur", "hidden", "bar", "handed over"])
async def test_no_key_sticks(mine: Any, desktop: FakeDesktop, way: str) -> None:
    page = await mine()
    await page.keyboard.down("Control")
    await page.keyboard.down("a")
    await until(page, lambda: len(desktop.of("key")) == 2, "held")
    if way == "blur":
        await page.evaluate("window.dispatchEvent(new Event('blur'))")
    elif way == "hidden":
        await page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    elif way == "bar":
        await page.focus("#menu-button")
    else:
        desktop.give("agent")
    await until(page, lambda: desktop.of("release"), "everything is let go")
    said = len(desktop.of("alive"))
    await page.wait_for_timeout(500)
    assert len(desktop.of("alive")) <= said + 1, "it still says that something is held"
    await page.keyboard.up("a")
    await page.keyboard.up("Control")
    await page.wait_for_timeout(100)
    assert len(desktop.of("key")) == 2, "a keyup after letting go means nothing"


async def test_the_keyboard_finds_the_way_out(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    for key in ("Control", "Alt", "Shift"):
        await page.keyboard.down(key)
    for key in ("Shift", "Alt", "Control"):
        await page.keyboard.up(key)
    assert await page.evaluate("document.activeElement.id") == "menu-button"
    held: set[str] = set()
    for down, code, _ in keys(desktop):
        held = held | {code} if down else held - {code}
    assert held == set()
    await page.keyboard.press("Tab")
    await holds(page, "document.activeElement.id === 'keys'")
    await page.keyboard.press("b")
    await until(page, lambda: (False, "KeyB", 98) in keys(desktop), "back in the desktop, without a mouse")
    assert not [code for _, code, _ in keys(desktop) if code == "Tab"], "that was the page's"
    await page.focus("#menu-button")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Ctrl W", exact=True).click()
    await until(page, lambda: (True, "KeyW", 119) in keys(desktop), "a key that the browser keeps, from the menu")


async def test_who_does_not_drive_never_tabs_into_the_desktop(opened: Opened) -> None:
    page = await opened()
    await page.focus("#menu-button")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") != "keys"


async def test_what_an_input_method_composes_comes_as_text(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Input.imeSetComposition", {"text": "にほ", "selectionStart": 2, "selectionEnd": 2})
    assert desktop.of("text", "key") == []
    await cdp.send("Input.insertText", {"text": "日本"})
    await until(page, lambda: desktop.of("text"), "the text")
    await page.keyboard.insert_text("é🙂")
    await until(page, lambda: len(desktop.of("text")) == 2, "more text")
    assert [one["text"] for one in desktop.of("text")] == ["日本", "é🙂"]
    assert desktop.of("key") == []


async def test_every_pixel_can_be_pointed_at(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    for x, y in ((0, 0), (1279, 799), (640, 0), (0, 799), (333, 222)):
        await page.mouse.move(x, y + BAR)
        await until(page, lambda at=(x, y): desktop.pointers and desktop.pointers[-1][1:] == at, f"{x},{y}")
    sequence = [seq for seq, _, _ in desktop.pointers]
    assert sequence == sorted(set(sequence))


async def test_all_buttons_chords_and_a_drag_beyond_the_edge(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    await page.mouse.move(100, 100 + BAR)
    await page.mouse.down(button="left")
    await page.mouse.down(button="right")
    await page.mouse.up(button="right")
    await page.mouse.move(400, 10)
    await page.mouse.up(button="left")
    await page.mouse.click(0, BAR, button="middle")
    cdp = await page.context.new_cdp_session(page)
    for button, bit in (("back", 8), ("forward", 16)):
        for kind, buttons in (("mousePressed", bit), ("mouseReleased", 0)):
            event = {"type": kind, "x": 5, "y": 5 + BAR, "button": button, "buttons": buttons, "clickCount": 1}
            await cdp.send("Input.dispatchMouseEvent", event)
    await until(page, lambda: len(desktop.of("button")) == 10, "all buttons")
    assert [(one["button"], one["down"], one["x"], one["y"]) for one in desktop.of("button")] == [
        ("left", True, 100, 100),
        ("right", True, 100, 100),
        ("right", False, 100, 100),
        ("left", False, 400, 0),
        ("middle", True, 0, 0),
        ("middle", False, 0, 0),
        ("back", True, 5, 5),
        ("back", False, 5, 5),
        ("forward", True, 5, 5),
        ("forward", False, 5, 5),
    ]
    assert page.url.endswith("/view/sb-1"), "the back button stayed with the desktop"


async def test_a_press_that_began_elsewhere_is_not_the_desktops(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(viewport={"width": 900, "height": 448})  # bars at the sides
    await page.click("#stats-button")
    panel: Any = await page.locator("#stats").bounding_box()
    for x, y in ((10, 200), (300, 20), (panel["x"] + 20, panel["y"] + panel["height"] - 8)):
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.mouse.move(400, 250, steps=4)
        await page.mouse.down(button="right")
        await page.mouse.up(button="right")
        await page.mouse.move(420, 260)
        await page.mouse.up()
    await page.mouse.click(400, 250)
    await until(page, lambda: len(desktop.of("button")) == 2, "a press of its own")
    await page.wait_for_timeout(100)
    assert [(one["button"], one["down"]) for one in desktop.of("button")] == [("left", True), ("left", False)]


async def test_the_stages_own_scrollbars_are_not_the_desktop(
    browser: Browser, server: FakeServer, desktop: FakeDesktop
) -> None:
    arguments: Any = {"args": ["--no-sandbox"], "ignore_default_args": ["--hide-scrollbars"]}
    other = await browser.browser_type.launch(executable_path=CHROMIUM, **arguments)
    try:
        page = await other.new_page(viewport={"width": 900, "height": 448})
        await page.goto(f"{server.url}/view/sb-1#token=T-control")
        await state(page, "live")
        await drive(page, desktop)
        await page.click("#menu-button")
        await page.click('#menu [data-layout="actual"]')
        assert await page.evaluate("document.getElementById('stage').clientWidth") < 890, "there is no scrollbar"
        await page.mouse.move(896, 80)
        await page.mouse.down()
        await page.mouse.move(896, 300, steps=5)
        await page.mouse.up()
        assert await page.evaluate("document.getElementById('stage').scrollTop") > 50, "it was dragged"
        await page.mouse.click(300, 445)
        await page.mouse.click(300, 300)
        await until(page, lambda: len(desktop.of("button")) == 2, "the picture beside it")
        assert [one["x"] for one in desktop.of("button")] == [await page.evaluate(SCROLLED_X)] * 2
    finally:
        await other.close()


async def test_the_wheel_in_both_axes(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    await page.mouse.move(640, 400 + BAR)
    await page.mouse.wheel(0, 100)
    await page.mouse.wheel(0, -200)
    await page.mouse.wheel(50, 0)
    await until(page, lambda: sum(one["dx"] for one in desktop.of("wheel")) == 60, "sideways")
    assert sum(one["dy"] for one in desktop.of("wheel")) == -120
    assert {(one["x"], one["y"]) for one in desktop.of("wheel")} == {(640, 400)}


async def test_letterbox_and_actual_size(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(viewport={"width": 900, "height": 448})
    await page.mouse.click(10, 200)
    await page.mouse.click(130, BAR)
    await until(page, lambda: len(desktop.of("button")) == 2, "only what was inside")
    assert (desktop.of("button")[0]["x"], desktop.of("button")[0]["y"]) == (0, 0)
    await page.click("#menu-button")
    await page.click('#menu [data-layout="actual"]')
    await page.evaluate("document.getElementById('stage').scrollTo(100, 50)")
    await page.mouse.click(20, 30 + BAR)
    await until(page, lambda: len(desktop.of("button")) == 4, "scrolled")
    assert (desktop.of("button")[2]["x"], desktop.of("button")[2]["y"]) == (120, 80)


async def test_the_desktops_cursor_is_drawn_here(mine: Any) -> None:
    page = await mine()
    await holds(page, "document.getElementById('surface').style.cursor.startsWith('url(\"data:image/png')")


async def test_moves_are_bounded_and_the_newest_wins(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    began = asyncio.get_running_loop().time()
    await page.mouse.move(10, 100)
    await page.mouse.move(1000, 700, steps=400)
    took_s = asyncio.get_running_loop().time() - began
    await until(page, lambda: desktop.pointers[-1][1:] == (1000, 700 - BAR), "the last place")
    assert len(desktop.pointers) <= took_s / 0.008 + 5, json.dumps(len(desktop.pointers))
