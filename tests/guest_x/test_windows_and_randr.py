import shutil
import threading

import pytest
from Xlib.display import Display

from guest_image.agent.x.randr import ScreenSizeError, current_size, set_screen_size
from guest_image.agent.x.windows import active_window, list_windows, window_exists

from .conftest import until


def test_windows_without_a_window_manager(server, performer, recorder):
    recorder("--size", "320x200", "--at", "30,40")
    display = performer.connect()
    (window,) = [w for w in list_windows(display) if w.matches("^Recorder$")]
    assert (window.x, window.y, window.width, window.height) == (30, 40, 320, 200)
    assert window.title == "recorder"
    assert window.active
    assert active_window(display) == window
    wire = window.to_wire()
    assert set(wire) == {"id", "title", "class", "pid", "x", "y", "width", "height", "active", "states"}
    assert wire["class"] == "Recorder"


@pytest.mark.skipif(not (shutil.which("openbox") and shutil.which("xterm")), reason="needs openbox and xterm")
def test_windows_with_a_window_manager(desktop, performer):
    display = performer.connect()
    desktop.start("xterm", "-T", "Grüße 世界", "-geometry", "40x10+100+120")
    until(lambda: window_exists(display, "^XTerm$") and window_exists(display, "^Grüße 世界$"), what="xterm")
    until(lambda: active_window(display), what="the focus")
    (window,) = list_windows(display)
    assert window.class_name == "XTerm"
    assert window.pid
    assert window.active
    assert window.x >= 100
    assert window.y >= 120
    assert not window_exists(display, "nothing like it")


def test_windows_that_vanish_do_no_harm(server, performer):
    display, over = performer.connect(), threading.Event()

    def flicker():
        other = Display(server.name)
        while not over.is_set():
            window = other.screen().root.create_window(0, 0, 10, 10, 0, 24)
            window.set_wm_class("flicker", "Flicker")
            window.map()
            other.flush()
            window.destroy()
            other.flush()
        other.close()

    thread = threading.Thread(target=flicker)
    thread.start()
    try:
        for _ in range(200):
            list_windows(display)
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("sizes", [[(1280, 800), (1600, 1200), (801, 601), (1600, 300), (200, 1200), (1280, 800)]])
def test_screen_sizes_growing_shrinking_and_odd(server, sizes):
    display = Display(server.name)
    for width, height in sizes:
        set_screen_size(display, width, height)
        assert current_size(display) == (width, height)
        info = display.screen().root.xrandr_get_screen_resources()
        crtc = display.xrandr_get_crtc_info(info.crtcs[0], info.config_timestamp)
        assert (crtc.x, crtc.y, crtc.width, crtc.height) == (0, 0, width, height)
    assert len(display.screen().root.xrandr_get_screen_resources().modes) <= 40
    display.close()


def test_the_pointer_stays_on_a_screen_that_shrank(server, performer):
    performer.perform(__import__("actions.model").model.Move(1599, 1199))
    set_screen_size(performer.connect(), 640, 481)
    position = performer.cursor_position()
    assert position["x"] < 640
    assert position["y"] < 481


@pytest.mark.parametrize("size", [(1601, 1200), (1600, 1201), (0, 100), (99999, 5)])
def test_impossible_sizes_are_refused(server, size):
    display = Display(server.name)
    with pytest.raises(ScreenSizeError) as caught:
        set_screen_size(display, *size)
    assert f"{size[0]}×{size[1]}" in str(caught.value)
    assert current_size(display) == (1600, 1200)
    display.close()
