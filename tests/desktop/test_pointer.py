"""Mouse and keys as a page, a window manager and a menu feel them."""

from __future__ import annotations

import pytest

from desktop_sandbox import Sandbox
from tests.desktop.conftest import Page, until, wait_still, wait_window, window

pytestmark = pytest.mark.desktop


def test_a_click_arrives_where_it_is_meant(desktop: Sandbox, page: Page) -> None:
    place = page.at(700, 400)
    desktop.left_click(*place)
    state = page.wait(lambda state: any(e["kind"] == "click" for e in state["events"]), "a click")
    clicks = [event for event in state["events"] if event["kind"] == "click"]
    assert [(event["x"], event["y"], event["held"]) for event in clicks] == [(*place, [])]


def test_a_click_has_its_modifiers(desktop: Sandbox, page: Page) -> None:
    desktop.left_click(*page.at(700, 400), modifiers=["ctrl", "shift"])
    state = page.wait(lambda state: any(e["kind"] == "click" for e in state["events"]), "a click")
    assert [event["held"] for event in state["events"] if event["kind"] == "click"] == [["ctrl", "shift"]]


def test_a_double_click_selects_a_word_and_a_triple_click_the_line(desktop: Sandbox, page: Page) -> None:
    word = page.at(95, 312)
    desktop.double_click(*word)
    page.wait(lambda state: state["selected"].strip() == "beta", "the word to be selected")
    desktop.left_click(*page.at(900, 500))  # a fourth click at the same place would be counted on
    page.wait(lambda state: not state["selected"], "nothing to be selected")
    desktop.triple_click(*word)
    page.wait(lambda state: state["selected"].strip() == "alpha beta gamma delta epsilon", "the line")
    desktop.left_click(*page.at(900, 500))
    page.wait(lambda state: not state["selected"], "nothing to be selected")


def test_a_right_click_opens_the_menu(desktop: Sandbox, page: Page) -> None:
    before = desktop.screenshot("raw", cursor=False)
    desktop.right_click(*page.at(700, 300))
    page.wait(lambda state: any(e["kind"] == "contextmenu" for e in state["events"]), "the menu event")
    until(lambda: _share_changed(before, desktop.screenshot("raw", cursor=False)) > 0.02, "the menu on the screen")

    def closed() -> bool:
        desktop.press("escape")  # again: the menu may not have had the keyboard yet when it was seen
        return _share_changed(before, desktop.screenshot("raw", cursor=False)) < 0.01

    until(closed, "the menu to close")


def _share_changed(before: bytes, after: bytes) -> float:
    return sum(a != b for a, b in zip(before[::30], after[::30], strict=True)) / len(before[::30])


def test_a_drag_selects_text_and_a_middle_click_pastes_it(desktop: Sandbox, page: Page) -> None:
    desktop.drag(page.at(22, 312), page.at(300, 312), duration_ms=800)
    # until the button is up, the selection may still grow
    page.wait(lambda state: any(event["kind"] == "mouseup" for event in state["events"]), "the end of the drag")
    state = page.wait(lambda state: "beta gamma delta" in state["selected"], "the text to be selected")
    desktop.middle_click(*page.at(200, 150))
    page.wait(lambda now: now["value"] == state["selected"], f"{state['selected']!r} to be pasted")


def test_the_wheel_moves_the_page_on_both_axes(desktop: Sandbox, page: Page) -> None:
    middle = page.at(800, 400)
    desktop.scroll("down", 5, x=middle[0], y=middle[1])
    down = page.wait(lambda state: state["y"] > 100, "the page to move down")
    assert down["x"] == 0
    desktop.scroll("right", 3)
    page.wait(lambda state: state["x"] > 50, "the page to move right")
    desktop.scroll("up", 20)
    page.wait(lambda state: state["y"] == 0, "the page to move up again")
    desktop.scroll("left", 20)
    page.wait(lambda state: (state["x"], state["y"]) == (0, 0), "the page to move back")


def test_combinations_and_a_held_key(desktop: Sandbox, page: Page) -> None:
    page.focus_field()
    desktop.write("one two")
    desktop.press("ctrl+a")
    desktop.press("ctrl+x")
    desktop.press(["ctrl", "v"], repeat=2)
    page.wait(lambda state: state["value"] == "one twoone two", "what was cut and pasted twice")
    desktop.press("backspace", repeat=14)
    page.wait(lambda state: not state["value"], "an empty field")
    desktop.hold("k", 1500)
    state = page.wait(
        lambda state: any(e["kind"] == "keyup" and e["key"] == "k" for e in state["events"]), "the key to go up"
    )
    assert len(state["value"]) >= 2
    assert set(state["value"]) == {"k"}
    desktop.key_down("shift")
    desktop.left_click(*page.at(900, 500))
    page.wait(lambda state: any(e["kind"] == "click" and e["held"] == ["shift"] for e in state["events"]), "shift")
    desktop.key_up("shift")


def test_a_window_is_moved_by_its_title_bar_and_closed_by_alt_f4(desktop: Sandbox) -> None:
    desktop.launch("galculator")
    before = wait_still(desktop, "galculator")
    start = (before.x + before.width // 2, before.y - 10)
    desktop.drag(start, (start[0] - 150, start[1] + 90))

    def is_at(x: int, y: int) -> bool:
        now = window(desktop, "galculator")
        return now is not None and (now.x, now.y) == (x, y)

    until(lambda: is_at(before.x - 150, before.y + 90), "the window to have moved by as much as the pointer")
    desktop.move_mouse(start[0] - 150, start[1] + 90)
    desktop.mouse_press()
    desktop.wait(300)  # a window manager that is busy takes no notice of a button that is up again already
    desktop.move_mouse(*start)
    desktop.wait(300)
    desktop.mouse_release()
    until(lambda: is_at(before.x, before.y), "the window to have come back in one move")
    desktop.press("alt+f4")
    until(lambda: window(desktop, "galculator") is None, "the window to close")


def test_the_applications_menu_opens(desktop: Sandbox) -> None:
    panel = wait_window(desktop, "xfce4-panel")

    def is_open() -> bool:
        menu = desktop.commands.run("xdotool search --onlyvisible --name '^Whisker Menu$'", check=False)
        return menu.exit_code == 0

    def is_closed() -> bool:
        desktop.press("escape")  # again: the menu may not have had the keyboard yet when it was seen
        return not is_open()

    assert not is_open()
    desktop.left_click(panel.x + 40, panel.y + panel.height // 2)
    until(is_open, "the menu to open")
    until(is_closed, "the menu to close")
