"""A person works in the browser of a desktop, through the page that shows it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from desktop_sandbox import Sandbox
from tests.stream.browser import CHROMIUM, Viewer

pytestmark = [pytest.mark.machine, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.mark.desktop
def test_a_browser_in_the_desktop_is_typed_and_pasted_into(browser: Browser, desktop: Sandbox) -> None:
    context = browser.new_context(
        viewport={"width": 1280, "height": 860}, permissions=["clipboard-read", "clipboard-write"]
    )
    page = Viewer.open(context, desktop.stream.get_url(name="Ada"))
    page.wait_state("live", timeout_s=60)
    tells = "onmouseup=\"document.title = 'clicked'\""
    shows = "document.title = 'has ' + this.value.replace(/ /g, '_')"
    # until it has painted, and a moment longer, Chromium throws input away
    painted = (
        "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => document.title = 'empty', 1000)))"
    )
    field = f"<meta charset=utf-8><title>loads</title><script>{painted}</script>"
    field += f'<textarea rows=30 cols=120 oninput="{shows}" {tells}>'
    desktop.files.write("/home/user/field.html", field)
    desktop.open("/home/user/field.html")

    def title() -> str:
        found = [w.title for w in desktop.windows() if w.active]
        return found[0] if found else ""

    page.until(lambda: title().startswith("empty"), "the page", 90)
    page.take_control()
    page.click(400, 300)
    page.until(lambda: title().startswith("clicked"), "the click", 60)
    page.page.keyboard.type("Grüße?")
    page.until(lambda: title().startswith("has Grüße?"), "what was typed", 60)
    page.page.evaluate("navigator.clipboard.writeText('世界')")
    page.page.keyboard.press("Control+v")
    page.page.keyboard.type("!")
    page.until(lambda: title().startswith("has Grüße?世界!"), "what was pasted, before what was typed after it", 60)
    page.page.keyboard.press("Control+a")
    page.page.keyboard.press("Control+c")
    page.until(lambda: page.page.evaluate("navigator.clipboard.readText()") == "Grüße?世界!", "what was copied", 60)
    assert page.errors == []
    context.close()
