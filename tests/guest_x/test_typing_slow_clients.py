"""Clients that look keys up long after the stroke must still read exact text."""

import itertools
import time

import pytest
from Xlib import XK

from actions.model import KeyDown, KeyUp, Type
from guest_image.agent.x.failure import ActionFailed

from .conftest import until
from .samples import MIXED, PLAIN, REPEATED, many_characters


@pytest.mark.parametrize("options", [("--ping",), ()], ids=["answers pings", "silent"])
def test_rotating_keys_under_a_slow_reader(server, performer, recorder, options):
    reader = recorder("--slow", "0.002", *options)
    text = many_characters(500) + many_characters(100) + MIXED
    result = performer.perform(Type(text))
    assert result == {"typed": len(text)}
    until(lambda: len(reader.text()) >= len(text), timeout=60, what="all characters")
    assert reader.text() == text


@pytest.mark.parametrize("text", [PLAIN * 5, MIXED * 5, REPEATED * 5])
def test_plain_mixed_and_repeated_text(performer, recorder, text):
    reader = recorder("--ping")
    performer.perform(Type(text))
    until(lambda: len(reader.text()) >= len(text), what="all characters")
    assert reader.text() == text


def test_carriage_returns_are_one_key(performer, recorder):
    reader = recorder("--ping")
    assert performer.perform(Type("a\r\nb\rc")) == {"typed": 6}
    until(lambda: len(reader.text()) >= 5)
    assert reader.text() == "a\nb\nc"


def test_keys_stay_bound_between_actions_and_agents(server, performer, recorder):
    from guest_image.agent.x.performer import Performer

    reader = recorder("--ping")
    performer.perform(Type("жук"))
    before = performer.connect().get_keyboard_mapping(8, 248)
    performer.close()
    another = Performer(server.name)
    another.perform(Type("кужж"))
    assert [list(r) for r in another.connect().get_keyboard_mapping(8, 248)] == [list(r) for r in before]
    until(lambda: len(reader.text()) >= 7)
    assert reader.text() == "жуккужж"
    another.close()


def test_caps_lock_does_not_swap_case(performer, recorder):
    from actions.model import Key

    reader = recorder("--ping")
    performer.perform(Key(("Caps_Lock",)))
    performer.perform(Type("aBcЖж"))
    until(lambda: len(reader.text()) >= 5)
    assert reader.text() == "aBcЖж"
    assert performer.connect().screen().root.query_pointer().mask & 2, "caps lock is on again"


def test_held_modifiers_do_not_change_text_and_stay_held(performer, recorder):
    reader = recorder("--ping")
    performer.perform(KeyDown("ctrl"))
    performer.perform(KeyDown("shift"))
    performer.perform(Type("ab C"))
    until(lambda: len(reader.text()) >= 4)
    assert reader.text() == "ab C"
    assert performer.connect().screen().root.query_pointer().mask & 5 == 5
    performer.perform(KeyUp("shift"))
    performer.perform(KeyUp("ctrl"))
    assert performer.connect().screen().root.query_pointer().mask & 0xFF == 0


def test_cancelled_typing_says_how_far_it_came(performer, recorder):
    reader = recorder("--ping", "--slow", "0.001")
    told = []
    with pytest.raises(ActionFailed) as caught:
        performer.perform(Type("x" * 5000), cancelled=lambda: len(told) >= 5, progress=told.append)
    typed = caught.value.partial["typed"]
    assert caught.value.code == "cancelled"
    assert typed == told[-1]["typed"] < 1000
    until(lambda: len(reader.text()) == typed, what="what was typed before the cancel")
    time.sleep(0.2)
    assert reader.text() == "x" * typed


def test_a_hung_application_is_named(performer, recorder, monkeypatch):
    from guest_image.agent.x import typist

    monkeypatch.setattr(typist, "STALL_S", 0.5)
    reader = recorder("--ping", "--slow", "30")
    with pytest.raises(ActionFailed) as caught:
        performer.perform(Type("y" * 1000))
    assert caught.value.code == "not_responding"
    assert 0 < caught.value.partial["typed"] < 500
    reader.process.kill()


def test_no_focus_and_vanished_windows_do_not_hang(performer, recorder):
    reader = recorder("--ping")
    performer.perform(Type(many_characters(50)))
    reader.process.kill()
    reader.process.wait()
    start = time.monotonic()
    performer.perform(Type(many_characters(600)))
    assert time.monotonic() - start < 10


def test_a_new_layout_is_noticed(server, performer, recorder):
    import subprocess

    reader = recorder("--ping")
    performer.perform(Type("yz"))
    until(lambda: reader.text() == "yz")
    subprocess.run(["setxkbmap", "-display", server.name, "de"], check=True)
    performer.perform(Type("yz@ßж"))
    until(lambda: len(reader.text()) >= 7)
    assert reader.text() == "yzyz@ßж"


def test_delay_between_characters(performer, recorder):
    reader = recorder("--ping")
    performer.perform(Type("abc", delay_ms=100))
    until(lambda: len(reader.text()) >= 3)
    times = [event["time"] for event in reader.events("press")]
    assert all(later - earlier >= 80 for earlier, later in itertools.pairwise(times))
    assert XK.XK_a == reader.events("press")[0]["keysym"]
