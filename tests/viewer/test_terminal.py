"""The terminal panel in a real browser, over a fake desktop with a fake terminal."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.viewer.conftest import Opened, drive, holds, keys, state, until
from tests.viewer.fake_desktop import FakeDesktop
from tests.viewer.fake_server import FakeServer
from tests.viewer.fake_terminal import FakeTerminal

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = "[...document.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent.trimEnd()).join('\\n')"
BUTTON = "#terminal-button"


async def shows(page: Page, text: str) -> None:
    await holds(page, f"{ROWS}.includes({text!r})")


async def begun(page: Page, desktop: FakeDesktop, button: str = BUTTON) -> FakeTerminal:
    """Open the panel: its terminal, once it is connected and has the keyboard."""
    await page.click(button)
    found: FakeTerminal = await until(
        page, lambda: desktop.terminals.all and desktop.terminals.last, "a terminal is started"
    )
    await shows(page, "user@desktop:~$")
    await holds(page, "document.activeElement.matches('.xterm-helper-textarea')")
    await until(page, lambda: found.sizes, "its size is told")
    return found


async def typed(page: Page, terminal: FakeTerminal, data: bytes) -> None:
    await until(page, lambda: bytes(terminal.typed) == data, f"{data!r} typed")


async def test_it_shows_and_types_and_ends(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    assert not any("/xterm/" in url for _, url, _ in desktop.requests), "loaded only where it is wanted"
    terminal = await begun(page, desktop)
    assert await page.get_attribute(BUTTON, "aria-expanded") == "true"
    await page.keyboard.type("echo ß€")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Control+c")
    await page.keyboard.press("Escape")
    await typed(page, terminal, "echo ß€\r\x03\x1b".encode())
    assert await page.locator("#terminal").is_visible(), "Escape in the terminal is the program's"
    terminal.say("one\r\n世界 🙂 e\u0301\r\n\x1b]0;vim notes\x07")
    await shows(page, "世界 🙂 e\u0301")
    assert await page.inner_text("#terminal-title") == "vim notes"
    terminal.end(3)
    await page.wait_for_selector("#terminal", state="hidden")
    assert "exit code 3" in await page.inner_text('[data-note="terminal"]')
    assert await page.evaluate("document.activeElement.id") == "terminal-button"
    await begun(page, desktop)
    assert len(desktop.terminals.all) == 2
    assert "one" not in await page.evaluate(ROWS)


async def test_colours_pass_the_pages_policy(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    terminal = await begun(page, desktop)
    terminal.say("\x1b[31mred\x1b[0m \x1b[38;2;10;200;30mgreen\x1b[0m \x1b[1mbold\x1b[0m")
    await shows(page, "red green bold")
    styles: Any = await page.evaluate(
        "['red', 'green', 'bold'].map((text) => { const span = [...document.querySelectorAll('.xterm-rows span')]"
        ".find((one) => one.textContent === text); const s = getComputedStyle(span); return [s.color, s.fontWeight]; })"
    )
    assert styles == [["rgb(240, 113, 123)", "400"], ["rgb(10, 200, 30)", "400"], ["rgb(227, 232, 239)", "700"]]
    assert await page.locator(".xterm-cursor").count() == 1


async def test_keys_go_to_the_one_that_has_the_focus(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await drive(page, desktop)
    terminal = await begun(page, desktop)
    await page.keyboard.type("ls")
    await typed(page, terminal, b"ls")
    assert keys(desktop) == []
    await page.mouse.click(400, 200)
    await page.keyboard.press("x")
    await until(page, lambda: len(keys(desktop)) == 2, "a key for the desktop")
    await page.click(".xterm-screen")
    await page.keyboard.type("y")
    await typed(page, terminal, b"lsy")
    assert [code for _, code, _ in keys(desktop)] == ["KeyX", "KeyX"]


async def test_control_that_comes_back_does_not_take_the_keyboard(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await drive(page, desktop)
    terminal = await begun(page, desktop)
    for viewer in list(desktop.viewers):
        await viewer.close()
    await until(page, lambda: len(desktop.of("lease")) == 2, "taken again", 20)
    await page.wait_for_selector("body.driving")
    await holds(page, "document.getElementById('terminal-status').hidden")
    await page.keyboard.type("rm")
    await typed(page, terminal, b"rm")
    assert keys(desktop) == []


async def test_a_broken_connection_is_made_again_and_nothing_is_lost(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    terminal = await begun(page, desktop)
    desktop.terminals.lost = True
    await desktop.terminals.drop()
    await holds(page, "document.getElementById('terminal-text').textContent.includes('broke')")
    await page.keyboard.type("nobody hears this")
    terminal.say("meanwhile é\r\n")
    desktop.terminals.lost = False
    await page.evaluate("document.getElementById('terminal-again').click()")  # it may have come back by itself by now
    await shows(page, "user@desktop:~$ meanwhile é")
    await holds(page, "document.getElementById('terminal-status').hidden")
    await page.keyboard.type("ok")
    await typed(page, terminal, b"ok")
    assert desktop.terminals.asked[-1]["after"] == str(len("user@desktop:~$ "))
    assert (await page.evaluate(ROWS)).count("meanwhile") == 1
    assert len(desktop.terminals.all) == 1


async def test_output_that_is_kept_no_more_is_said_to_be_missing(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    terminal = await begun(page, desktop)
    desktop.terminals.lost = True
    await desktop.terminals.drop()
    terminal.say("x" * 5000 + "\r\nnewest")
    terminal.kept_from = 5010
    desktop.terminals.lost = False
    await shows(page, "newest")
    await shows(page, "Output is missing here")


async def test_it_comes_back_after_closing_and_after_a_reload(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    terminal = await begun(page, desktop)
    await page.click("#terminal-close")
    assert await page.evaluate("document.activeElement.id") == "terminal-button"
    await until(page, lambda: not terminal.sockets, "let go of")
    terminal.say("while closed\r\n\x1b[6n")
    await page.click(BUTTON)
    await shows(page, "while closed")
    await until(page, lambda: terminal.typed.endswith(b"R"), "the question is answered")
    terminal.typed.clear()
    await page.reload()
    await state(page, "live")
    await page.click(BUTTON)
    await shows(page, "while closed")
    await page.keyboard.type("a")
    await typed(page, terminal, b"a")  # and no second answer to the question
    assert len(desktop.terminals.all) == 1


async def test_who_may_only_watch_has_none(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened("/view/sb-1#token=T-view")
    assert await page.locator("#terminal-button:visible, #menu-terminal:visible").count() == 0


async def test_a_link_that_is_good_no_more_is_told(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    await begun(page, desktop)
    desktop.tokens["T-control"] = "view"
    await desktop.terminals.drop()
    await holds(page, "document.getElementById('terminal-text').textContent.includes('ask for one with control')")
    assert await page.locator("#terminal-again").is_hidden()


async def test_the_size_follows_the_panel(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    terminal = await begun(page, desktop)
    rows, columns = terminal.sizes[-1]
    edge: Any = await page.locator("#terminal-edge").bounding_box()
    await page.mouse.move(edge["x"] + 300, edge["y"] + 5)
    await page.mouse.down()
    await page.mouse.move(edge["x"] + 300, edge["y"] - 195, steps=4)
    await page.mouse.up()
    await until(page, lambda: terminal.rows > rows + 5, "more rows")
    assert terminal.columns == columns
    await page.set_viewport_size({"width": 900, "height": 848})
    await until(page, lambda: terminal.columns < columns, "fewer columns")
    await page.focus("#terminal-edge")
    tall = terminal.rows
    await page.keyboard.press("ArrowDown")
    await until(page, lambda: terminal.rows < tall, "fewer rows by a key")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("#terminal", state="hidden")
    assert await page.evaluate("document.activeElement.id") == "terminal-button"


async def test_copy_and_paste(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened(permissions=["clipboard-read", "clipboard-write"])
    terminal = await begun(page, desktop)
    terminal.say("\x1b[2J\x1b[Hcopyme \x1b[?2004h")
    await shows(page, "copyme")
    await page.dblclick(".xterm-screen", position={"x": 12, "y": 8})
    await page.keyboard.press("Control+Shift+C")
    await holds(page, "navigator.clipboard.readText().then((text) => text === 'copyme')")
    assert await page.is_disabled("#terminal-copy")
    await page.evaluate("navigator.clipboard.writeText('two\\nlines')")
    await page.click("#terminal-paste")
    await typed(page, terminal, b"\x1b[200~two\rlines\x1b[201~")
    terminal.typed.clear()
    await page.keyboard.press("Control+Shift+V")
    await typed(page, terminal, b"\x1b[200~two\rlines\x1b[201~")
    assert desktop.of("clipboard", "key") == []


async def test_scrollback(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened()
    terminal = await begun(page, desktop)
    terminal.say("".join(f"line {number}\r\n" for number in range(500)))
    await shows(page, "line 499")
    for _ in range(3):
        await page.keyboard.press("Shift+PageUp")
    await holds(page, f"!{ROWS}.includes('line 499')&& {ROWS}.includes('line 4')")
    await page.hover(".xterm-screen")
    before = await page.evaluate(ROWS)
    await page.mouse.wheel(0, -300)
    await holds(page, f"{ROWS} !== {before!r}")
    assert bytes(terminal.typed) == b""


async def test_on_a_phone(opened: Opened, desktop: FakeDesktop) -> None:
    page = await opened(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    await page.click("#menu-button")
    terminal = await begun(page, desktop, "#menu-terminal")
    assert terminal.columns > 35
    box: Any = await page.locator("#terminal").bounding_box()
    assert (box["x"], box["width"], box["y"] + box["height"]) == (0, 390, 700)
    await page.tap('#terminal-keys [aria-label="Up"]')
    await page.tap('#terminal-keys [aria-label="Ctrl C"]')
    await typed(page, terminal, b"\x1b[A\x03")
    await page.tap("#terminal-close")
    assert await page.evaluate("document.activeElement.id") == "menu-button"


async def test_without_the_library_it_says_so(opened: Opened, desktop: FakeDesktop, server: FakeServer) -> None:
    page = await opened(wait="")
    await page.route("**/xterm/*", lambda route: route.fulfill(status=404))
    await state(page, "live")
    await page.click(BUTTON)
    await holds(page, "document.getElementById('terminal-text').textContent.includes('make setup')")
    assert desktop.terminals.all == []
