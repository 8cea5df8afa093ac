"""Elements of real apps: a page in Chromium, an editor in GTK, one that hangs, one that is covered."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from desktop_sandbox import DeadlineError, NotFoundError, Sandbox
from desktop_sandbox.elements import Element
from tests.desktop.conftest import close, until, wait_active, wait_window

pytestmark = pytest.mark.desktop

PAGE = """<!doctype html><meta charset="utf-8"><title>Shop</title><body style="font: 20px sans-serif">
<h1>Buy things</h1>
<p><label>Name <input id="buyer"></label>
<button onclick="document.title = 'Bought by ' + buyer.value">Order now</button>
<p><a href="#terms">Terms</a> <label><input type="checkbox"> I agree</label></p>
<div style="height: 3000px"></div><button onclick="document.title = 'Far'">Far below</button>
"""


def found(desktop: Sandbox, *query: str, **more: str) -> Element:
    """The first element that fits, once it is there: pages and windows come slowly under emulation."""

    def look() -> Element | None:
        try:
            return desktop.find(*query, timeout=30, **more)[0]
        except (NotFoundError, DeadlineError):
            return None

    return until(look, f"the element {query}")


@pytest.fixture(scope="module")
def shop(shared: Sandbox) -> Sandbox:
    """The desktop with the page open in Chromium."""
    shared.files.write("/home/user/Documents/shop.html", PAGE)
    shared.open("file:///home/user/Documents/shop.html")
    wait_active(shared, "shop")
    return shared


@pytest.fixture
def editor(desktop: Sandbox) -> Iterator[Sandbox]:
    """The desktop with an editor open, in front."""
    assert desktop.launch_window("mousepad", timeout=150).active
    yield desktop
    desktop.commands.run(["pkill", "-CONT", "-x", "mousepad"], check=False)
    close(desktop, "mousepad")


def test_the_browser_that_every_desktop_starts_with_tells_of_itself(make_sandbox) -> None:
    fresh = make_sandbox("desktop")
    tree = fresh.tree(timeout=30)
    assert "Chromium" in (tree.window or "")
    assert any(each.role == "entry" and "ddress" in each.name for each in tree.elements), tree.text


def test_a_page_is_used_by_its_elements(shop: Sandbox, desktop: Sandbox) -> None:
    field = found(desktop, "entry", "Name", match="exact")
    assert desktop.set_element(field, "Ada Löwe").value == "Ada Löwe"
    assert desktop.set_element(field, "Grace").value == "Grace"
    x, y = desktop.click_element(found(desktop, "button", "order"))
    assert x > 0
    assert y > 60
    wait_window(desktop, "Bought by Grace")
    outline = desktop.tree(timeout=30).text
    assert 'heading "Buy things"' in outline
    assert 'link "Terms"' in outline
    box = found(desktop, "check box", "agree")
    desktop.click_element(box)
    until(lambda: "checked" in desktop.get_element(box).states, "the box to be checked")


def test_what_is_scrolled_away_is_scrolled_to(shop: Sandbox, desktop: Sandbox) -> None:
    desktop.press("ctrl+home")

    def away() -> NotFoundError | None:
        try:
            desktop.find("button", "far below", timeout=30)
        except NotFoundError as error:
            return error
        return None

    assert re.search(r"buttons? here", str(until(away, "the page at its beginning")))
    (button,) = desktop.find("button", "far below", hidden=True, timeout=30)
    desktop.click_element(button)
    wait_window(desktop, "Far -")


def test_an_editor_is_used_by_its_elements(editor: Sandbox) -> None:
    text = found(editor, "text", states="editable")
    assert editor.set_element(text, "zwei\nZeilen").value == "zwei\nZeilen"
    editor.click_element(found(editor, "menu", "Edit"))
    item = found(editor, "menu item", "Select All", app="mousepad")
    editor.click_element(item)
    editor.press("Delete")
    until(lambda: not editor.get_element(text).value, "the text to be deleted")
    undo = editor.find("menu item", "Undo", app="mousepad", hidden=True, timeout=30)[0]
    editor.invoke_element(undo)
    until(lambda: editor.get_element(text).value == "zwei\nZeilen", "the text to come back")


def test_an_app_that_hangs_costs_the_others_nothing(editor: Sandbox) -> None:
    text = found(editor, "text", states="editable")
    editor.commands.run(["pkill", "-STOP", "-x", "mousepad"])
    begun = time.monotonic()
    tree = editor.tree(scope="all", nodes=2000, timeout=20)
    assert time.monotonic() - begun < 60
    errors = {app.name: app.error for app in tree.apps}
    assert "has not answered" in (errors["mousepad"] or "")
    others = [app for app in tree.apps if app.name != "mousepad"]
    assert others
    assert all(app.error is None for app in others)
    assert any(each.role == "frame" for each in tree.elements)
    with pytest.raises(DeadlineError, match="does not answer"):
        editor.click_element(text)
    assert editor.commands.run("echo well").stdout == "well\n"
    editor.commands.run(["pkill", "-CONT", "-x", "mousepad"])
    assert found(editor, "text", states="editable").id == text.id


def test_what_is_covered_is_brought_to_front(editor: Sandbox) -> None:
    item = found(editor, "menu", "File")
    editor.activate_window("chromium")
    editor.click_element(item)
    wait_active(editor, "mousepad")
    until(lambda: editor.find("menu item", "Quit", app="mousepad", timeout=30), "the menu to be open")
    editor.press("Escape")
