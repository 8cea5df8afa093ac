"""What a person does in the view, in Chromium, and what the desktop gets of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Page

from tests.viewer.conftest import Opened, drive, holds, keys, until
from tests.viewer.fake_desktop import FakeDesktop

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAR = 48  # the window is 1280x848: below the bar one pixel of the desktop is one of the page
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
CTRL, SHIFT = 0xFFE3, 0xFFE1


@pytest.fixture
def mine(opened: Opened, desktop: FakeDesktop) -> Any:
    """Opens a page that drives."""

    async def open_mine(**options: Any) -> Page:
        page = await opened(**options)
        await drive(page, desktop)
        return page

    return open_mine


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
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Ctrl W", exact=True).click()
    await until(page, lambda: (True, "KeyW", 119) in keys(desktop), "a key that the browser keeps, from the menu")


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


async def test_a_paste_arrives_before_its_key(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(permissions=["clipboard-read", "clipboard-write"])
    desktop.clipboard_delay_s = 0.3
    for text in ("first", "second — 世界"):
        await page.evaluate("text => navigator.clipboard.writeText(text)", text)
        await page.keyboard.press("Control+v")
        await page.keyboard.press("x")
    await until(page, lambda: len(desktop.of("key")) == 12, "all keys")
    order = [one.get("text") or one["keysym"] for one in desktop.of("key", "clipboard") if one.get("down", True)]
    assert order[:1] == [CTRL]
    assert [one for one in order if one != CTRL] == ["first", 118, 120, "second — 世界", 118, 120]


async def test_a_paste_without_an_answer_holds_nothing_up_for_long(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(permissions=["clipboard-read", "clipboard-write"])
    desktop.clipboard_delay_s = 30
    await page.evaluate("navigator.clipboard.writeText('lost')")
    await page.keyboard.press("Control+v")
    await until(page, lambda: (False, "KeyV", 118) in keys(desktop), "the key", 3)


async def test_what_the_desktop_copies_is_here(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(permissions=["clipboard-read", "clipboard-write"])
    desktop.tell({"t": "clipboard", "text": "copied — 世界"})
    for _ in range(100):
        if await page.evaluate("navigator.clipboard.readText()") == "copied — 世界":
            break
        await page.wait_for_timeout(50)
    assert await page.evaluate("navigator.clipboard.readText()") == "copied — 世界"


async def test_where_the_browser_forbids_it_a_button_copies(mine: Any, desktop: FakeDesktop) -> None:
    forbid = "if (navigator.clipboard) navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden'));"
    page = await mine(init=forbid, permissions=["clipboard-read"])
    desktop.tell({"t": "clipboard", "text": "by hand"})
    await page.get_by_role("button", name="Copy it here").click()
    for _ in range(100):
        if await page.evaluate("navigator.clipboard.readText()") == "by hand":
            break
        await page.wait_for_timeout(50)
    assert await page.evaluate("navigator.clipboard.readText()") == "by hand"


async def test_files_go_to_downloads(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    files: Any = [
        {"name": "report 世界.pdf", "mimeType": "application/pdf", "buffer": b"x" * 300_000},
        {"name": "forbidden.txt", "mimeType": "text/plain", "buffer": b"no"},
        {"name": "empty.txt", "mimeType": "text/plain", "buffer": b""},
    ]
    await page.set_input_files("#files", files)
    await page.locator(".upload.bad").wait_for()
    shown = await page.inner_text(".upload.bad")
    assert "In the way" in shown
    assert "Rename the file." in shown
    await until(page, lambda: len(desktop.uploads) == 2, "the others")
    assert desktop.uploads["/home/user/Downloads/report 世界.pdf"] == b"x" * 300_000
    assert desktop.uploads["/home/user/Downloads/empty.txt"] == b""
    await page.get_by_role("button", name="Cancel forbidden.txt").click()
    await page.locator(".upload.bad").wait_for(state="detached")


async def test_a_dropped_file(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    drop = """() => {
      const data = new DataTransfer();
      data.items.add(new File(['dropped'], '../a.txt'));
      const target = document.getElementById('stage');
      for (const type of ['dragover', 'drop']) {
        target.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
      }
    }"""
    await page.evaluate(drop)
    await until(page, lambda: desktop.uploads, "the file")
    assert desktop.uploads == {"/home/user/Downloads/a.txt": b"dropped"}


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


async def test_moves_are_bounded_and_the_newest_wins(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    began = asyncio.get_running_loop().time()
    await page.mouse.move(10, 100)
    await page.mouse.move(1000, 700, steps=400)
    took_s = asyncio.get_running_loop().time() - began
    await until(page, lambda: desktop.pointers[-1][1:] == (1000, 700 - BAR), "the last place")
    assert len(desktop.pointers) <= took_s / 0.008 + 5, json.dumps(len(desktop.pointers))
