"""Which requests for a keyframe are real. Time is made up."""

from __future__ import annotations

from itertools import pairwise

from streamer.keyframes import DEBOUNCE_S, DOUBT_S, HOPELESS, MENDED_S, MOST_DOUBT_S, SETTLE_S, KeyframeGate, Receipts


def settled(now: float = 100.0) -> Receipts:
    """A viewer that has been there for long, sent packet 500 at `now`."""
    receipts = Receipts(now - 2 * SETTLE_S)
    receipts.sent(500, now)
    return receipts


def test_on_a_still_screen_that_arrived_requests_are_not_heard():
    receipts = settled()
    receipts.reported(500, 0.0, 0)
    assert not receipts.needs_keyframe(101.0)
    assert not receipts.needs_keyframe(1000.0)


def test_while_frames_are_on_their_way_or_not_acknowledged_they_are():
    receipts = settled()
    assert receipts.needs_keyframe(101.0)  # no report yet
    receipts.reported(499, 0.0, 0)
    assert receipts.needs_keyframe(101.0)  # the newest packet has not arrived
    receipts.reported(500, 0.0, 0)
    assert receipts.needs_keyframe(100.1)  # too fresh to tell


def test_a_loss_is_remembered_until_a_keyframe_heals_it():
    receipts = settled()
    receipts.reported(500, 0.1, 3)
    receipts.reported(500, 0.0, 3)
    assert receipts.needs_keyframe(101.0)
    receipts.sent(510, 101.0, key=True)
    receipts.reported(510, 0.0, 3)
    assert not receipts.needs_keyframe(102.0)


def keyframes_on_a_path_that_loses(receipts: Receipts, begin_s: int, end_s: int) -> int:
    """A request each second, and each keyframe loses packets that are retransmitted, of which no report tells."""
    count = 0
    for second in range(begin_s, end_s):
        if receipts.needs_keyframe(second):
            count += 1
            receipts.sent(500 + second, second, key=True)
            receipts.sent(501 + second, second + 1.3, changed=False)  # it is made crisp, over a slow path
        receipts.reported(501 + second, 0.01, second)
    return count


def test_a_still_screen_on_a_path_that_loses_is_not_sent_again_and_again():
    receipts = settled()
    receipts.reported(500, 0.1, 1)
    assert 2 <= keyframes_on_a_path_that_loses(receipts, 101, 161) <= 8
    receipts.sent(700, 162.0)  # the screen changes
    assert receipts.needs_keyframe(162.1)


def test_what_was_asked_for_and_came_is_no_loss_any_more():
    receipts = settled()
    receipts.sent(500, 100.0, key=True)
    receipts.rtt_s = 0.1
    receipts.missing([470, 480], 100.1, kept=True)
    receipts.reported(500, 0.02, 2)
    assert receipts.needs_keyframe(100.4)  # it may ask again still
    receipts = settled()
    receipts.sent(500, 100.0, key=True)
    receipts.missing([470, 480], 100.1, kept=True)
    receipts.reported(500, 0.02, 2)
    receipts.missing([480], 100.4, kept=True)
    assert not receipts.needs_keyframe(100.4 + MENDED_S + 0.01)
    assert not receipts.needs_keyframe(100.0 + DOUBT_S - 0.1)


def test_who_may_have_given_up_is_heard_once_after_some_seconds():
    receipts = settled()
    receipts.sent(500, 100.0, key=True)
    heard = []
    for now in range(100, 400):  # it asks each second, and each keyframe has such losses, too
        if now == 100 or receipts.needs_keyframe(now):
            heard.append(now)
            receipts.sent(500, now, key=True)
            receipts.missing([480], now + 0.1, kept=True)
            receipts.reported(500, 0.02, now)
    waits = [later - earlier for earlier, later in pairwise(heard)]
    assert waits[0] == DOUBT_S + 1  # from the first request that was not heard
    assert waits[-1] == MOST_DOUBT_S + 1
    assert len(waits) < 9


def test_who_may_have_given_up_is_heard_on_a_screen_that_changes_now_and_then():
    receipts = settled()
    receipts.sent(500, 100.0, key=True)
    receipts.missing([480], 100.1, kept=True)
    receipts.reported(500, 0.02, 1)
    heard = []
    for half in range(202, 260):
        now = half / 2
        if half % 8 == 0:
            receipts.sent(500, now)
        if half % 2 and receipts.needs_keyframe(now):
            heard.append(now)
            break
    assert heard
    assert heard[0] < 100 + DOUBT_S + 3


def test_a_question_that_stands_behind_the_report_is_one():
    receipts = settled()
    receipts.sent(500, 100.0, key=True)
    receipts.reported(500, 0.02, 1)
    receipts.missing([480], 100.1, kept=True)
    receipts.reported(500, 0.0, 1)
    assert not receipts.needs_keyframe(102.0)


def test_a_loss_that_was_not_asked_about_is_one_whatever_was_asked_before():
    receipts = settled()
    receipts.missing([470], 100.1, kept=True)
    receipts.reported(500, 0.02, 1)
    receipts.reported(500, 0.0, 1)
    receipts.sent(600, 105.0, key=True)
    receipts.reported(600, 0.02, 2)
    assert receipts.needs_keyframe(107.0)


def test_what_does_not_come_however_often_it_is_asked_for_is_lost():
    receipts = settled()
    receipts.sent(500, 100.0, key=True)
    receipts.reported(500, 0.0, 0)
    for turn in range(HOPELESS):
        receipts.missing([480], 100.1 + turn / 50, kept=True)
    assert receipts.needs_keyframe(103.0)
    receipts.sent(600, 103.0, key=True)
    receipts.reported(600, 0.0, 1)
    receipts.missing([17], 104.0, kept=False)  # long forgotten
    assert receipts.needs_keyframe(106.0)


def test_what_a_hostile_receiver_asks_for_is_bounded():
    receipts = settled()
    for turn in range(20):
        receipts.missing(range(turn * 1000, turn * 1000 + 1000), 101.0, kept=False)
    assert len(receipts._asked) <= 5000


def test_while_the_screen_changes_each_request_is_heard():
    receipts = settled()
    for second in range(101, 131):
        receipts.reported(500 + second, 0.01, second)
        assert receipts.needs_keyframe(second)
        receipts.sent(500 + second, second, key=True)
        receipts.sent(501 + second, second + 0.3)


def test_sequence_numbers_wrap_and_reports_carry_cycles():
    receipts = settled()
    receipts.sent(3, 100.0)
    receipts.reported((7 << 16) | 65535, 0.0, 0)
    assert receipts.needs_keyframe(101.0)
    receipts.reported((8 << 16) | 3, 0.0, 0)
    assert not receipts.needs_keyframe(101.0)


def test_a_new_viewer_is_always_heard():
    receipts = Receipts(100.0)
    receipts.sent(1, 100.0)
    receipts.reported(1, 0.0, 0)
    assert receipts.needs_keyframe(100.0 + SETTLE_S - 0.1)
    assert not receipts.needs_keyframe(100.0 + SETTLE_S + 0.1)


def test_keyframes_are_debounced_and_no_request_is_forgotten():
    gate = KeyframeGate()
    assert not gate.due(0.0)
    gate.request()
    assert gate.due(0.0)
    gate.made(0.0)
    assert not gate.due(0.1)
    gate.request()
    assert not gate.due(DEBOUNCE_S - 0.01)
    assert gate.due(DEBOUNCE_S)
