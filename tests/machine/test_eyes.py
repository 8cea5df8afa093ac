"""Eyes on a real desktop: what moves, what blinks, what is written and copied there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from desktop_sandbox import DeadlineError, Sandbox
from tests.machine.support import eventually

pytestmark = pytest.mark.machine

# a window above all others, X pixels at PLACE, whose colour changes every half second: between two, or through many
PLACE = (900, 100, 40, 40)
FLASHING = """
import sys, time
sys.path.insert(0, "/opt/desktop-sandbox/site")
from Xlib.display import Display
x, y, width, height, colours = map(int, sys.argv[1:])
display = Display()
screen = display.screen()
window = screen.root.create_window(x, y, width, height, 0, screen.root_depth, override_redirect=True)
window.map()
turn = 0
while True:
    window.change_attributes(background_pixel=0x202020 + 0x010305 * (turn % colours))
    window.clear_area()
    display.sync()
    turn += 1
    time.sleep(0.5)
"""
# a program that copies and pastes pictures, as any other would
COPIER = """
import sys
sys.path.insert(0, "/opt/desktop-sandbox/site")
from Xlib import X
from Xlib.display import Display
display = Display()
window = display.screen().root.create_window(0, 0, 1, 1, 0, display.screen().root_depth)
clipboard, png, place = (display.intern_atom(name) for name in ("CLIPBOARD", "image/png", "PASTED"))
window.convert_selection(clipboard, png, place, X.CurrentTime)
while True:
    event = display.next_event()
    if event.type == X.SelectionNotify:
        found = window.get_full_property(place, X.AnyPropertyType)
        open("/tmp/pasted.png", "wb").write(bytes(found.value))
        break
"""


@pytest.fixture(scope="module")
def desk(server: object) -> Iterator[Sandbox]:
    """One desktop for all tests of this file."""
    with Sandbox.create("minimal", timeout=1800, freeze_after=0) as sandbox:
        sandbox.files.write("/tmp/flashing.py", FLASHING)
        sandbox.files.write("/tmp/copier.py", COPIER)
        # nothing else changes by itself; ended, the clock would be started again
        sandbox.commands.run("pkill -STOP xclock")
        assert sandbox.wait_until_stable(quiet_ms=1500, timeout=60).stable
        yield sandbox


@pytest.fixture
def flashing(desk: Sandbox) -> Iterator[Callable[[int], None]]:
    def start(colours: int) -> None:
        desk.launch(["python3", "/tmp/flashing.py", *map(str, PLACE), str(colours)])
        eventually(lambda: desk.wait_for_change(PLACE, timeout=20).changed)

    yield start
    desk.commands.run("pkill -f flashing.py; true", check=False)
    assert desk.wait_until_stable(quiet_ms=1500, timeout=60).stable


def test_what_moves_all_the_time_is_told_and_can_be_ignored(desk: Sandbox, flashing: Callable[[int], None]) -> None:
    flashing(40)
    lively = desk.wait_until_stable(quiet_ms=2000, timeout=6)
    assert not lively.stable
    assert lively.moving
    x, y, width, height = PLACE
    for left, top, wide, high in lively.moving:
        assert x - 16 < left <= left + wide < x + width + 16
        assert y - 16 < top <= top + high < y + height + 16
    with pytest.raises(DeadlineError, match="did not stand still"):
        desk.wait_until_stable(quiet_ms=2000, timeout=4, strict=True)
    assert desk.wait_until_stable(quiet_ms=2000, timeout=30, ignore=[PLACE]).stable
    assert desk.wait_until_stable(quiet_ms=2000, timeout=30, region=(0, 0, 800, 800)).stable


def test_what_only_blinks_is_no_change(desk: Sandbox, flashing: Callable[[int], None]) -> None:
    flashing(2)
    assert not desk.wait_until_stable(quiet_ms=2500, timeout=10, blinking=False).stable
    assert desk.wait_until_stable(quiet_ms=2500, timeout=60).stable


def test_what_an_action_changed_is_told(desk: Sandbox) -> None:
    desk.left_click(300, 200)
    terminal = next(window for window in desk.windows() if window.window_class.startswith("XTerm"))
    before = desk.changes().moment
    typed = desk.act(
        [{"type": "type", "text": "echo eyes > /dev/null\n"}],
        changes={"reaction_ms": 20_000, "timeout": 60},
        screenshot=True,
    )
    assert typed.changes is not None
    assert typed.changes.changed
    assert typed.changes.stable
    for x, y, width, height in typed.changes.regions:
        assert terminal.x <= x <= x + width <= terminal.x + terminal.width
        assert terminal.y <= y <= y + height <= terminal.y + terminal.height
    assert typed.screenshot is not None
    since = desk.changes(before)
    assert since.changed
    # where nothing listens, nothing happens
    desk.move_mouse(1200, 30)
    nothing = desk.act(
        [{"type": "mouse_down", "button": "forward"}, {"type": "mouse_up", "button": "forward"}],
        changes={"ignore": [(terminal.x, terminal.y, terminal.width, terminal.height)]},
    )
    assert nothing.changes is not None
    assert not nothing.changes.changed


def test_a_terminal_that_prints_is_waited_for(desk: Sandbox) -> None:
    desk.left_click(300, 200)
    desk.write("clear; sleep 3; seq 40\n")
    quiet = desk.wait_until_stable(quiet_ms=5000, timeout=90)
    assert quiet.stable
    assert quiet.waited_ms >= 5000


def test_a_window_is_waited_for_and_missed(desk: Sandbox) -> None:
    # without a shell: the prompt of one gives the window another title
    desk.launch(["xterm", "-T", "Second thoughts", "-geometry", "40x8+700+500", "-e", "sleep", "600"])
    found = desk.wait_for_window("second thoughts", timeout=60)
    assert found is not None
    assert found.title == "Second thoughts"
    with pytest.raises(DeadlineError, match=r"no window titled 'Firefox' within .*; open windows: .*'Second thoughts'"):
        desk.wait_for_window("Firefox", timeout=0.5)
    desk.commands.run("pkill -f 'Second thoughts'; true", check=False)
    assert desk.wait_for_window("second thoughts", gone=True, timeout=60) is None


def test_pictures_are_copied_and_pasted(desk: Sandbox) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    picture = cv2.imencode(".png", pixels)[1].tobytes()
    desk.clipboard.set_picture(picture)
    assert desk.clipboard.get_picture() == picture
    assert desk.clipboard.get() == ""
    desk.clipboard.set_picture(small := cv2.imencode(".png", pixels[:40, :40])[1].tobytes())
    desk.commands.run("python3 /tmp/copier.py", timeout=60)
    assert desk.files.read("/tmp/pasted.png", "bytes") == small
    desk.clipboard.set("text again")
    assert desk.clipboard.get_picture() is None


def test_the_cursor_is_known_by_name_and_picture(desk: Sandbox) -> None:
    desk.move_mouse(1200, 700)
    eventually(lambda: (desk.get_cursor().x, desk.get_cursor().y) == (1200, 700))
    over_desktop = desk.get_cursor()
    assert over_desktop.data is not None
    shape = cv2.imdecode(np.frombuffer(over_desktop.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert shape.shape == (over_desktop.height, over_desktop.width, 4)
    assert 0 <= over_desktop.hot_spot[0] < over_desktop.width
    desk.move_mouse(300, 200)
    over_text = eventually(lambda: (found := desk.get_cursor()).data != over_desktop.data and found)
    print(over_desktop.name, over_text.name)
    for cursor in (over_desktop, over_text):
        assert cursor.name is None or cursor.name.isprintable()


def test_a_part_of_the_screen_is_found_again_elsewhere(desk: Sandbox) -> None:
    desk.launch(["xterm", "-T", "One", "-geometry", "30x5+700+300", "-e", "sh", "-c", "printf MARK-7; sleep 1000"])
    desk.launch(["xterm", "-T", "Two", "-geometry", "30x5+700+560", "-e", "sh", "-c", "printf MARK-7; sleep 1000"])
    one, two = desk.wait_for_window("One", timeout=60), desk.wait_for_window("Two", timeout=60)
    assert one is not None
    assert two is not None
    desk.wait_until_stable(quiet_ms=1500, timeout=60)
    wanted = (one.x + 1, one.y + 1, 50, 14)
    found = eventually(lambda: len(places := desk.find_picture(like=wanted)) >= 2 and places)
    assert wanted in [match.box for match in found]
    assert any(abs(match.box[1] - (two.y + 1)) <= 1 for match in found)
    desk.commands.run("pkill -f MARK-7; true", check=False)


@pytest.mark.skipif(not shutil.which("tesseract"), reason="needs tesseract")
def test_text_is_read_and_waited_for(desk: Sandbox) -> None:
    say = r"printf '\n\n  Invoice number 4711\n\n  Total amount due\n'; sleep 4; printf '\n  Payment received\n'"
    look = ["-fa", "DejaVu Sans Mono", "-fs", "14", "-geometry", "40x10+500+60"]
    desk.launch(["xterm", "-T", "Paper", *look, "-e", "sh", "-c", f"{say}; sleep 1000"])
    assert desk.wait_for_window("Paper", timeout=60)
    found = desk.wait_for_text("payment received", timeout=120)
    assert found
    read = desk.read_text()
    assert "Invoice number 4711" in read.text
    assert "Total amount due" in read.text
    with pytest.raises(DeadlineError) as caught:
        desk.wait_for_text("Welcome back", timeout=0)
    assert "Invoice" in caught.value.evidence["text"]
    marked = desk.mark_elements(text=True)
    line = next(mark for mark in marked.marks if "Invoice" in mark.label)
    paper = desk.wait_for_window("Paper")
    assert paper is not None
    assert paper.x <= line.center[0] <= paper.x + paper.width
    assert paper.y <= line.center[1] <= paper.y + paper.height
    desk.commands.run("pkill -f Invoice; true", check=False)


def test_a_frozen_desktop_is_looked_at_and_stays_frozen(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(freeze_after=2)
    sandbox.move_mouse(30, 40)
    eventually(lambda: sandbox.get_info().frozen)
    moment = sandbox.capture(keep=True).moment
    assert sandbox.wait_until_stable(quiet_ms=200).stable
    assert not sandbox.changes(moment).changed
    assert sandbox.get_cursor().name is None  # to ask for it would wake it
    assert sandbox.get_info().frozen
    began = time.monotonic()
    sandbox.wait_for_change(timeout=0.5)  # which cannot come as long as it stands still
    assert time.monotonic() - began < 30
    assert not sandbox.get_info().frozen
