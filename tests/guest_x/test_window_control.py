"""Windows are changed through a real window manager."""

from __future__ import annotations

import shutil

import pytest

from guest_image.agent.errors import OpError
from guest_image.agent.x.window_control import ask, find_window, holds, settled
from guest_image.agent.x.windows import list_windows

from .conftest import until

pytestmark = pytest.mark.skipif(not (shutil.which("openbox") and shutil.which("xterm")), reason="needs openbox, xterm")


@pytest.fixture
def two(desktop, performer):
    """Two terminals, "one" below "two"; returns the display and their ids by title."""
    display = performer.connect()
    for title, place in (("one", "40x10+100+120"), ("two", "40x10+150+160")):
        desktop.start("xterm", "-T", title, "-geometry", place)
        until(lambda title=title: any(w.title == title and w.active for w in list_windows(display)), what=title)
    return display, {window.title: window.id for window in list_windows(display)}


def do(display, window_id, verb, **place):
    ask(display, find_window(display, window_id), verb, place)

    def seen():
        done, now = holds(display, window_id, verb, place)
        return (now or True) if done else None

    return until(seen, what=verb)


def test_windows_come_to_front_and_go(two):
    display, ids = two
    assert do(display, ids["one"], "activate").active
    assert do(display, ids["two"], "activate").active
    assert "minimised" in do(display, ids["two"], "minimise").states
    assert [w.title for w in list_windows(display)] == ["one"]
    assert {w.title for w in list_windows(display, minimised=True)} == {"one", "two"}
    assert do(display, ids["two"], "restore").states == ()
    do(display, ids["two"], "minimise")
    assert do(display, ids["two"], "activate").active
    assert do(display, ids["one"], "close") is True
    with pytest.raises(OpError, match="no window") as gone:
        find_window(display, ids["one"])
    assert "'two' (XTerm)" in gone.value.hint


def test_windows_change_size_and_place(two):
    display, ids = two
    full = do(display, ids["one"], "maximise")
    assert "maximised" in full.states
    assert full.width > 1500
    assert "fullscreen" in do(display, ids["one"], "fullscreen").states
    back = do(display, ids["one"], "restore")
    assert not back.states
    assert back.width < 800
    moved = do(display, ids["one"], "move", x=300, y=200)
    assert (abs(moved.x - 300), abs(moved.y - 200)) <= (2, 2)
    do(display, ids["one"], "maximise")
    sized = do(display, ids["one"], "resize", width=700, height=500)
    assert abs(sized.width - 700) < 20
    assert abs(sized.height - 500) < 20
    assert (abs(sized.x - 300), abs(sized.y - 200)) <= (2, 2)
    assert settled(sized, moved, {"width": 700}), "the window manager has answered"
    assert not settled(sized, sized, {"width": sized.width + 30}), "near from the start is no answer yet"
    assert settled(sized, sized, {"width": sized.width}), "but what is so already needs none"


def test_without_a_window_manager_it_says_so(server, performer, recorder):
    recorder("--size", "320x200")
    display = performer.connect()
    window = until(lambda: next((w for w in list_windows(display) if w.title == "recorder"), None), what="it")
    with pytest.raises(OpError, match="no window manager"):
        ask(display, window, "maximise", {})
