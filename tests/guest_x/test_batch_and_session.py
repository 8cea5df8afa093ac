import pytest

from actions.model import Click, CursorPosition, Key, KeyDown, MouseDown, Move, Type, Wait, to_wire
from guest_image.agent.x.batch import run_batch
from guest_image.agent.x.failure import ActionFailed
from guest_image.agent.x.performer import Performer

from .conftest import Server, until


def batch(performer, *actions, cancelled=lambda: False, progress=lambda report: None):
    return run_batch(performer, [to_wire(action) for action in actions], cancelled, progress)


def test_results_in_order(performer):
    answer = batch(performer, Move(3, 4), CursorPosition(), Type("ab"), Wait(1))
    assert answer == {"results": [{}, {"x": 3, "y": 4}, {"typed": 2}, {}], "failed": None}


def test_it_halts_at_the_first_failure(performer):
    answer = batch(performer, Move(3, 4), Key(("nosuch",)), Move(9, 9))
    assert answer["results"] == [{}]
    assert answer["failed"]["index"] == 1
    assert answer["failed"]["code"] == "invalid"
    assert "nosuch" in answer["failed"]["message"]
    assert performer.cursor_position() == {"x": 3, "y": 4}


def test_a_malformed_action_means_nothing_is_done(performer):
    performer.perform(Move(1, 1))
    answer = run_batch(performer, [to_wire(Move(5, 5)), {"type": "jump"}], lambda: False, lambda report: None)
    assert answer["results"] == []
    assert answer["failed"]["index"] == 1
    assert performer.cursor_position() == {"x": 1, "y": 1}


def test_cancelled_between_actions(performer):
    told = []
    late = {"index": 2}
    answer = batch(performer, Move(1, 1), Wait(1), Move(2, 2), cancelled=lambda: late in told, progress=told.append)
    assert answer["failed"]["code"] == "cancelled"
    assert answer["failed"]["index"] == len(answer["results"]) == 2


def test_progress_names_action_and_characters(performer):
    told = []
    batch(performer, Move(1, 1), Type("x" * 100), progress=told.append)
    assert {"index": 1, "typed": 100} in told


def test_what_waits_says_that_it_is_there(performer):
    told = []
    batch(performer, Move(1, 1), Wait(300), progress=told.append)
    assert told.count({"index": 1}) > 4


def test_no_display_is_said_clearly():
    with pytest.raises(ActionFailed) as caught:
        Performer(":4711").perform(Move(1, 1))
    assert caught.value.code == "no_display"
    assert caught.value.hint


def test_a_restarted_session_is_found_again(server, performer):
    performer.perform(Move(5, 5))
    performer.perform(KeyDown("shift"))
    server.process.kill()
    server.process.wait()
    with pytest.raises(ActionFailed) as caught:
        performer.perform(Move(6, 6))
    assert caught.value.code == "no_display"
    again = Server(server.name)
    try:
        until(lambda: batch(performer, Move(7, 7), Type("aж"), Click(), Key(("ctrl", "a")))["failed"] is None)
        assert performer.cursor_position() == {"x": 7, "y": 7}
    finally:
        again.stop()


def test_one_connection_for_life(server, performer):
    display = performer.connect()
    performer.perform(Type("ж"))
    before = len(display.res_query_clients().clients)
    for number in range(300):
        performer.perform(Move(number, number))
        performer.perform(Click())
    assert len(display.res_query_clients().clients) == before
    assert performer.connect() is display


def test_an_agent_that_was_killed_leaves_nothing_pressed(server, performer):
    performer.perform(MouseDown("left", 5, 5))
    performer.perform(KeyDown("shift"))
    successor = Performer(server.name)
    display = successor.connect()
    assert display.screen().root.query_pointer().mask & 0x1FFF == 0
    assert not any(display.query_keymap())
    successor.close()
