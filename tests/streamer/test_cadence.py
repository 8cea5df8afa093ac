"""When a desktop is looked at, and when an unchanged picture is encoded again. Time is made up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from streamer.cadence import (
    ENOUGH_BYTES,
    HOT_LOOK_S,
    KEEN_LOOK_S,
    KEEN_S,
    REFINE_S,
    REPEATS_S,
    RESTS_S,
    Cadence,
    Refinement,
)
from streamer.damage import SAMPLE_STEP, differs, sampled_rows

FRAME = 1 / 60


def test_looks_are_a_frame_apart_and_missed_ones_are_not_made_up():
    cadence = Cadence(FRAME)
    now = 100.0
    assert cadence.wait_s(now) == 0
    cadence.looked(now)
    assert cadence.wait_s(now) == pytest.approx(FRAME)
    cadence.looked(now + FRAME + 0.001)  # a bit late: the next comes in step all the same
    assert cadence.wait_s(now + FRAME + 0.001) == pytest.approx(FRAME - 0.001)
    late = now + 10.0
    cadence.looked(late)
    assert cadence.wait_s(late) == pytest.approx(FRAME)


def test_input_pulls_the_next_look_forward_but_never_makes_more_than_twice_as_many():
    cadence = Cadence(FRAME)
    cadence.looked(100.0)
    cadence.wake(100.001)
    assert cadence.wait_s(100.001) == pytest.approx(FRAME / 2 - 0.001)
    cadence.wake(100.0 + FRAME * 0.6)
    assert cadence.wait_s(100.0 + FRAME * 0.6) == 0
    assert cadence.whole(100.1)
    assert not cadence.whole(101.0)


def test_a_change_is_followed_closely_for_a_while():
    cadence = Cadence(FRAME)
    assert not cadence.whole(5.0)
    cadence.changed(5.0)
    assert cadence.whole(5.3)
    assert not cadence.whole(5.5)
    assert cadence.wait_s(5.0) == pytest.approx(FRAME / 2)
    cadence.looked(6.0)
    assert cadence.wait_s(6.0) == pytest.approx(FRAME)


@pytest.mark.parametrize(
    ("source_fps", "found_fps"), [(24, 24), (30, 30), (59, 59), (60, 60), (75, 60), (120, 60), (144, 60)]
)
def test_a_film_is_found_picture_by_picture_but_never_quicker_than_asked_for(source_fps, found_fps):
    cadence, now, shown, found = Cadence(FRAME), 100.0, -1, 0
    while (now := now + cadence.wait_s(now)) < 102.0:
        cadence.looked(now)
        if (picture := int((now - 100.0) * source_fps)) != shown:
            shown, found = picture, found + 1
            cadence.changed(now)
    assert found / 2 == pytest.approx(found_fps, abs=1.5)


def looks(cadence: Cadence, now: float, until: float) -> list[float]:
    """When looks are taken that find nothing."""
    found = []
    while (now := now + cadence.wait_s(now)) < until:
        found.append(now)
        cadence.looked(now)
    return found


def test_what_a_key_does_is_looked_for_again_and_again_for_a_moment():
    cadence = Cadence(FRAME)
    cadence.looked(100.0)
    cadence.wake(100.002, hot=True)
    soon = looks(cadence, 100.002, 100.1)
    assert soon[0] == pytest.approx(100.0 + KEEN_LOOK_S)
    assert len(soon) == pytest.approx(KEEN_S / KEEN_LOOK_S + (0.1 - KEEN_S) / HOT_LOOK_S, abs=2)
    looks(cadence, 100.1, 100.7)
    assert len(looks(cadence, 101.0, 102.0)) == pytest.approx(1 / FRAME, abs=2)


def test_of_the_quick_looks_after_a_key_only_some_are_at_the_whole_screen():
    cadence = Cadence(FRAME)
    cadence.wake(100.0, hot=True)
    soon = looks(cadence, 100.0, 100.1)
    whole = [now for now in soon if cadence.whole(now)]
    assert len(soon) / 8 < len(whole) <= len(soon) / 2 + 1
    assert max(b - a for a, b in pairwise(whole)) < FRAME
    assert all(cadence.samples(now) == 4 for now in soon)


def test_a_change_after_a_key_is_sent_at_once_and_the_next_half_a_frame_later():
    cadence = Cadence(FRAME)
    cadence.wake(100.0, hot=True)
    cadence.looked(100.004)
    cadence.changed(100.004)
    assert cadence.wait_s(100.004) == pytest.approx(FRAME / 2)


def test_an_unchanged_picture_has_its_turn_once_a_frame_however_often_is_looked():
    cadence = Cadence(FRAME)
    cadence.wake(100.0, hot=True)
    turns = sum(cadence.turn(now) for now in looks(cadence, 100.0, 100.1))
    assert turns == pytest.approx(0.1 / FRAME, abs=1)
    cadence.changed(100.2)
    assert not cadence.turn(100.2 + FRAME / 2)
    assert cadence.turn(100.2 + FRAME)


SHARE = 40_000


def repeats(*sizes: int) -> list[float]:
    """The times (ms after the change) at which an encoder encodes again that makes so many bytes, the last for ever."""
    refinement, found, now = Refinement(), [], 0.0
    refinement.changed(0.0)
    for _ in range(300):
        now += FRAME
        if refinement.due(now):
            found.append(round(now * 1000))
            refinement.encoded(sizes[min(len(found), len(sizes)) - 1], SHARE, now)
    assert refinement.at_rest
    return found


def test_a_sharp_picture_is_repeated_thrice_within_the_deadline_for_a_lost_last_packet():
    times = repeats(ENOUGH_BYTES)
    assert times[:3] == [17, 33, 50]  # to see whether there is something to sharpen
    assert times[3:] == [pytest.approx(150, abs=17), pytest.approx(300, abs=17)]


def test_a_blurred_picture_is_sharpened_each_frame_and_then_there_is_an_end():
    assert len(repeats(20_000)) == pytest.approx(3 * 60, abs=2)
    times = repeats(*[20_000] * 30, 900)
    assert len(times) == 33
    assert times[-1] == pytest.approx(33 / 60 * 1000, abs=1)


def test_frames_that_use_little_of_their_share_are_the_end_but_not_one_alone():
    small = SHARE // 10
    assert repeats(*[20_000] * 20, small, small, 20_000, small)[-1] == pytest.approx(26 / 60 * 1000, abs=1)


def test_a_repeat_that_finds_something_to_sharpen_goes_on():
    times = repeats(900, 900, 900, 20_000, 900)
    assert [now for now in times if now > 150][:3] == pytest.approx([167, 183, 200], abs=17)


def test_a_new_change_starts_again():
    refinement = Refinement()
    refinement.changed(0.0)
    refinement.encoded(20_000, SHARE, REFINE_S)
    assert refinement.at_rest
    assert not refinement.due(9.0)
    refinement.changed(9.0)
    assert refinement.due(9.02)


def test_what_the_encoder_says_is_sharp_is_only_repeated():
    refinement = Refinement()
    refinement.changed(0.0, sharp=True)
    assert not refinement.due(REPEATS_S[0] - 0.001)
    assert refinement.due(REPEATS_S[0])
    refinement.changed(1.0)
    assert refinement.due(1.001)
    refinement.encoded(20_000, SHARE, 1.001, sharp=True)
    assert not refinement.due(1.0 + REPEATS_S[0] - 0.001)
    assert refinement.due(1.0 + REPEATS_S[0])


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_motion_is_not_sharpened_until_it_rests(fps):
    refinement, now = Refinement(), 0.0
    for number in range(fps):
        refinement.changed(now)
        assert refinement.due(now + 0.9 / fps) == (number == 0)
        now += 1 / fps
    stood = now - 1 / fps
    assert not refinement.due(stood + RESTS_S - 0.001)
    assert refinement.due(stood + RESTS_S + 0.001)
    refinement.changed(stood + 1.0)  # a page that is turned stands at once
    assert refinement.due(stood + 1.001)


@pytest.mark.parametrize("height", [1, 7, 31, 32, 33, 800, 801])
def test_sampled_rows_pass_over_every_row(height):
    seen = [row for turn in range(SAMPLE_STEP) for row in sampled_rows(height, turn)]
    assert sorted(seen) == list(range(height))


def test_what_is_16_rows_high_is_met_by_four_turns_and_8_rows_by_eight():
    for top in range(800 - 16):
        for turn in range(0, SAMPLE_STEP, 8):
            met = [row for later in range(8) for row in sampled_rows(800, turn + later)]
            assert set(met[: len(met) // 2]) & set(range(top, top + 16)), (top, turn)
            assert set(met) & set(range(top, top + 8)), (top, turn)


def test_frames_differ_by_one_pixel_or_by_their_size():
    frame = np.zeros((131, 33, 4), np.uint8)
    assert differs(None, frame)
    assert not differs(frame, frame.copy())
    for row, column in ((0, 0), (63, 32), (64, 0), (130, 32)):
        other = frame.copy()
        other[row, column, 2] = 1
        assert differs(frame, other)
    assert differs(frame, np.zeros((131, 34, 4), np.uint8))
