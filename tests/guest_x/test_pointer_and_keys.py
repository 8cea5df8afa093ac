import itertools
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from Xlib import XK, X
from Xlib.display import Display

from actions.model import (
    Click,
    CursorPosition,
    Drag,
    Hold,
    Key,
    KeyDown,
    KeyUp,
    MouseDown,
    MouseUp,
    Move,
    Screenshot,
    Scroll,
    Type,
    Wait,
)
from guest_image.agent.x.failure import ActionFailed

from .conftest import until

CONTROL, SHIFT, ALT, SUPER = 4, 1, 8, 64


def test_corners_and_position(performer):
    for x, y in [(0, 0), (1599, 1199), (17, 0), (0, 17)]:
        performer.perform(Move(x, y))
        assert performer.perform(CursorPosition()) == {"x": x, "y": y} == performer.cursor_position()


@pytest.mark.parametrize(("button", "number"), [("left", 1), ("middle", 2), ("right", 3), ("back", 8), ("forward", 9)])
def test_every_button(performer, recorder, button, number):
    reader = recorder()
    performer.perform(Click(20, 30, button=button, count=2))
    events = until(lambda: len(reader.events("unbutton")) == 2 and reader.events("button", "unbutton"))
    assert [(e["kind"], e["button"], e["x"], e["y"]) for e in events] == [
        ("button", number, 20, 30),
        ("unbutton", number, 20, 30),
    ] * 2


def test_click_with_modifiers(performer, recorder):
    reader = recorder()
    performer.perform(Click(20, 30, modifiers=("ctrl", "shift", "alt", "super")))
    (press,) = until(lambda: reader.events("unbutton") and reader.events("button"))
    assert press["state"] & 0xFF == CONTROL | SHIFT | ALT | SUPER
    performer.perform(Click())
    assert until(lambda: len(reader.events("button")) == 2 and reader.events("button"))[1]["state"] & 0xFF == 0


def test_scroll_counts_steps_on_both_axes(performer, recorder):
    reader = recorder()
    performer.perform(Scroll(5, 6, dx=2, dy=25, modifiers=("ctrl",)))
    performer.perform(Scroll(dx=-3, dy=-4))
    events = until(lambda: len(reader.events("unbutton")) == 34 and reader.events("button"))
    counts = {button: sum(e["button"] == button for e in events) for button in (4, 5, 6, 7)}
    assert counts == {4: 4, 5: 25, 6: 3, 7: 2}
    assert all(bool(e["state"] & CONTROL) == (place < 27) for place, e in enumerate(events))
    assert all((e["x"], e["y"]) == (5, 6) for e in events)


@contextmanager
def slow_click_to_focus(server, holds_s):
    """A window manager that looks at every press for a while before the window gets it."""
    display = Display(server.name)
    (window,) = display.screen().root.query_tree().children
    window.grab_button(
        X.AnyButton, X.AnyModifier, True, X.ButtonPressMask, X.GrabModeSync, X.GrabModeAsync, X.NONE, X.NONE
    )
    display.sync()
    over = threading.Event()

    def manage():
        while not over.is_set():
            while display.pending_events():
                event = display.next_event()
                if event.type == X.ButtonPress:
                    time.sleep(holds_s)
                    display.allow_events(X.ReplayPointer, event.time)
                    display.flush()
            time.sleep(0.005)
        display.close()

    thread = threading.Thread(target=manage)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.parametrize("actions", [(Click(100, 110),), (MouseDown(x=100, y=110), MouseUp(x=100, y=110))])
def test_a_click_stays_where_it_was_though_the_pointer_moves_on(server, performer, recorder, actions):
    reader = recorder("--size", "600x400")
    with slow_click_to_focus(server, 0.15):
        for action in (*actions, Move(300, 250)):
            performer.perform(action)
        events = until(lambda: reader.events("motion")[-1:] and reader.events("unbutton") and reader.events())
    kinds = [(e["kind"], e["x"], e["y"]) for e in events if e["kind"] in ("button", "unbutton")]
    assert kinds == [("button", 100, 110), ("unbutton", 100, 110)]
    dragged = [(e["x"], e["y"]) for e in events if e["kind"] == "motion" and e["state"] & X.Button1Mask]
    assert set(dragged) <= {(100, 110)}


def test_keys_after_a_click_wait_until_the_click_has_arrived(server, performer, recorder):
    reader = recorder("--size", "600x400")
    with slow_click_to_focus(server, 0.15):
        performer.perform(Click(100, 110))
        performer.perform(Key(("a",)))
        performer.perform(Click(120, 110))
        performer.perform(Type("b"))
        events = until(lambda: len(reader.events("release")) == 2 and reader.events("button", "unbutton", "press"))
    assert [event["kind"] for event in events] == ["button", "unbutton", "press"] * 2


def test_drag_never_teleports_and_takes_its_time(performer, recorder):
    reader = recorder()
    performer.perform(Drag(((10, 10), (210, 10), (210, 160)), modifiers=("shift",), duration_ms=300))
    until(lambda: reader.events("unbutton"))
    press, release = reader.events("button")[0], reader.events("unbutton")[0]
    assert (press["x"], press["y"], release["x"], release["y"]) == (10, 10, 210, 160)
    assert press["state"] & SHIFT
    assert 280 <= release["time"] - press["time"] < 1500
    points = [(10, 10)] + [(e["x"], e["y"]) for e in reader.events("motion") if e["state"] & 0x100]
    assert (210, 10) in points
    assert all(abs(a[0] - b[0]) + abs(a[1] - b[1]) <= 12 for a, b in itertools.pairwise(points))


@pytest.mark.parametrize(
    "actions",
    [
        (Drag(((100, 20), (250, 110))),),
        (MouseDown(x=100, y=20), Move(250, 110), MouseUp()),
        (MouseDown(x=100, y=20), Move(180, 60), MouseUp(x=250, y=110)),
    ],
)
def test_a_drag_ends_where_it_should_though_its_end_was_missed(server, performer, actions):
    script = Path(__file__).parent / "late_grabber.py"
    argv = [sys.executable, script, server.name, "0.6"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=server.environment()) as manager:
        assert manager.stdout.readline() == "ready\n"
        for action in actions:
            performer.perform(action)
        assert manager.stdout.readline() == "250 110\n"


def test_a_hand_that_moved_the_pointer_lets_go_where_it_is(performer, recorder):
    reader = recorder()
    performer.perform(MouseDown(x=10, y=10))
    for x in range(20, 80, 10):
        performer.perform(Move(x, 10))
    performer.perform(MouseUp())
    (release,) = until(lambda: reader.events("unbutton"))
    assert (release["x"], release["y"]) == (70, 10)
    moved = [event["x"] for event in reader.events("motion") if event["state"] & X.Button1Mask]
    assert moved == sorted(moved)  # nothing was done twice


def test_cancelled_drag_lets_go(performer, recorder):
    reader = recorder()
    asked = []
    with pytest.raises(ActionFailed) as caught:
        performer.perform(
            Drag(((10, 10), (300, 200)), duration_ms=60_000, modifiers=("ctrl",)),
            cancelled=lambda: asked.append(1) or len(asked) > 6,
        )
    assert caught.value.code == "cancelled"
    assert set(caught.value.partial) == {"x", "y"}
    until(lambda: reader.events("unbutton"))
    assert performer.connect().screen().root.query_pointer().mask & 0x1FFF == 0


def test_mouse_down_and_up(performer, recorder):
    reader = recorder()
    performer.perform(MouseDown("right", 9, 8))
    assert performer.connect().screen().root.query_pointer().mask & 0x400
    performer.perform(MouseUp("right", 19, 18))
    (release,) = until(lambda: reader.events("unbutton"))
    assert (release["button"], release["x"], release["y"]) == (3, 19, 18)


def test_combination_goes_down_in_order_and_up_in_reverse(performer, recorder):
    reader = recorder()
    performer.perform(Key(("ctrl", "shift", "t"), repeat=2))
    events = until(lambda: len(reader.events("release")) == 6 and reader.events("press", "release"))
    down = [e["keysym"] for e in events if e["kind"] == "press"]
    assert [e["kind"] for e in events] == ["press", "press", "press", "release", "release", "release"] * 2
    assert down[:3] == [XK.XK_Control_L, XK.XK_Shift_L, XK.XK_T]
    assert events[2]["state"] == CONTROL | SHIFT


@pytest.mark.parametrize(
    ("keys", "keysym", "state"),
    [
        (("Return",), XK.XK_Return, 0),
        (("pgup",), XK.XK_Prior, 0),
        (("F12",), XK.XK_F12, 0),
        (("ctrl", "plus"), XK.XK_plus, CONTROL | SHIFT),
        (("ctrl", "-"), XK.XK_minus, CONTROL),
        (("A",), XK.XK_A, SHIFT),
        (("alt", "ж"), 0x1000436, ALT),
        (("XF86Launch5",), 0x1008FF45, 0),
        (("super", "l"), XK.XK_l, SUPER),
        (("AudioVolumeUp",), 0x1008FF13, 0),
        (("KP_5",), XK.XK_KP_5, SHIFT),
        (("F35",), XK.XK_F35, 0),
    ],
)
def test_keys_by_all_sorts_of_names(performer, recorder, keys, keysym, state):
    reader = recorder()
    performer.perform(Key(keys))
    events = until(lambda: reader.events("release") and reader.events("press"))
    last = until(lambda: reader.events("press")[-1])
    assert (last["keysym"], last["state"]) == (keysym, state)
    assert len(events) >= len(keys)
    assert performer.connect().screen().root.query_pointer().mask & 0xFF == 0


def test_hold_repeats_like_a_keyboard_and_typing_does_not(performer, recorder):
    reader = recorder()
    performer.perform(Type("y"))
    assert performer.connect().get_keyboard_control().global_auto_repeat == 0
    performer.perform(Hold(("x",), 1200))
    held = until(lambda: len(reader.events("release")) > 1 and reader.events("press"))
    assert len(held) > 4
    performer.perform(Type("y"))
    assert performer.connect().get_keyboard_control().global_auto_repeat == 0


def test_cancelled_hold_lets_go(performer, recorder):
    asked = []
    with pytest.raises(ActionFailed) as caught:
        performer.perform(Hold(("shift", "x"), 60_000), cancelled=lambda: asked.append(1) or len(asked) > 3)
    assert caught.value.partial["held_ms"] < 5000
    assert not any(performer.connect().query_keymap())


def test_key_down_stays_until_key_up(performer, recorder):
    reader = recorder()
    performer.perform(KeyDown("shift"))
    performer.perform(KeyDown("shift"))
    performer.perform(Click(5, 5))
    assert until(lambda: reader.events("button"))[0]["state"] & SHIFT
    performer.perform(KeyUp("Shift_L"))
    performer.perform(KeyUp("a"))
    assert not any(performer.connect().query_keymap())


def test_an_exact_key_is_what_it_is_though_shift_is_held(performer, recorder):
    reader = recorder()
    performer.perform(KeyDown("shift"))
    for key in ("slash", "U+0041", "a", "ä", "Left"):
        performer.perform(KeyDown(key, exact=True))
        performer.perform(KeyUp(key))
    performer.perform(KeyDown("slash"))
    performer.perform(KeyUp("slash"))
    performer.perform(KeyUp("shift"))
    assert until(lambda: reader.text().endswith("?") and reader.text()) == "/Aaä<ff51>?"
    left = next(event for event in reader.events("press") if event["keysym"] == 0xFF51)
    assert left["state"] & SHIFT
    assert not any(performer.connect().query_keymap())


@pytest.mark.parametrize("action", [Key(("nosuchkey",)), KeyDown("nosuchkey"), Screenshot()])
def test_what_cannot_be_done_is_refused(performer, action):
    with pytest.raises(ActionFailed) as caught:
        performer.perform(action)
    assert caught.value.code == "invalid"


def test_an_unknown_modifier_leaves_nothing_pressed(performer):
    with pytest.raises(ActionFailed):
        performer.perform(Click(5, 5, modifiers=("shift", "nosuchkey")))
    assert not any(performer.connect().query_keymap())


def test_wait_can_be_cancelled(performer):
    with pytest.raises(ActionFailed):
        performer.perform(Wait(60_000), cancelled=lambda: True)
