"""How many bits a second may be spent, by what networks say. Time is made up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.bitrate import MAX_BPS, MIN_BPS, START_BPS, Path, RateControl


def run(
    path: Path, seconds: int, loss: float, rtt: float | None, *, packets: int = 100, sent_bps: float = 1e9
) -> float:
    for second in range(1, seconds + 1):
        path.report(loss, rtt, path.now + second, packets=packets, sent_bps=sent_bps)
    return path.bps


def test_a_clean_path_grows_and_a_near_one_quickly():
    far, near = Path(0.0, bps=2e6), Path(0.0, bps=2e6)
    assert run(far, 5, 0.0, 0.05) == pytest.approx(2e6 * 1.08**5)
    assert run(near, 5, 0.0, 0.001) == pytest.approx(2e6 * 1.5**5)
    assert run(near, 60, 0.0, 0.001) == MAX_BPS


def test_heavy_loss_cuts_and_a_little_random_loss_does_not():
    assert run(Path(0.0), 3, 0.2, 0.02) < 0.75 * START_BPS
    assert run(Path(0.0), 10, 0.03, 0.02) == START_BPS


def test_one_lost_packet_of_a_few_is_no_tenth():
    path = Path(0.0)
    path.report(0.25, 0.02, 1.0, packets=4, sent_bps=20_000)
    assert path.bps >= START_BPS
    for second in range(2, 40):
        path.report(0.0, 0.02, second, packets=4, sent_bps=20_000)
    assert path.bps > START_BPS
    assert path.calm


def test_one_lost_packet_does_not_end_the_calm():
    path = Path(0.0)
    path.report(1 / 60, 0.02, 1.0, packets=60, sent_bps=1e6)
    path.report(0.0, 0.02, 2.0, packets=60, sent_bps=1e6)
    assert path.calm


def test_where_packets_get_lost_all_are_sent_twice_within_the_same_rate():
    path = Path(0.0)
    assert not path.repeats
    path.report(0.02, 0.08, 1.0, packets=100, sent_bps=1e6)
    assert path.repeats
    assert path.motion_bps == path.bps / 2


def test_who_takes_no_retransmissions_gets_all_once_at_the_whole_rate():
    path = Path(0.0, can_repeat=False)
    run(path, 5, 0.03, 0.08)
    assert not path.repeats
    assert path.motion_bps == path.still_bps == path.bps


def test_what_is_just_about_worth_it_is_done_for_a_while():
    path = Path(0.0)
    run(path, 20, 0.0035, 0.08, packets=1000)
    assert path.repeats
    run(path, 20, 0.0025, 0.08, packets=1000)
    assert path.repeats
    run(path, 20, 0.001, 0.08, packets=1000)
    assert not path.repeats


def test_losses_long_ago_and_very_few_of_them_are_not_worth_it():
    path = Path(0.0)
    run(path, 5, 0.03, 0.08)
    assert path.repeats
    run(path, 40, 0.0, 0.08)
    assert not path.repeats
    assert path.motion_bps == path.bps
    run(path, 100, 0.001, 0.08)
    assert not path.repeats


def test_nothing_is_sent_twice_into_a_queue_or_where_a_tenth_is_lost():
    queued, drowned = Path(0.0), Path(0.0)
    run(queued, 3, 0.03, 0.02)
    assert queued.repeats
    run(queued, 3, 0.03, 0.3)
    assert not queued.repeats
    run(drowned, 3, 0.2, 0.02)
    assert not drowned.repeats


def test_an_encoder_keeps_to_what_a_path_that_needs_all_twice_leaves_for_once():
    rates = RateControl()
    clean, lossy = rates.path(1, 0.0), rates.path(2, 0.0)
    assert rates.still_bps() == START_BPS
    run(lossy, 3, 0.03, 0.08)
    assert clean.bps == lossy.bps
    assert rates.motion_bps() == rates.still_bps() == START_BPS / 2
    run(lossy, 3, 0.03, 0.02)
    assert rates.motion_bps() == START_BPS / 2
    assert rates.still_bps() == START_BPS, "where a round trip is short it can be waited for"


def standing_queue(path: Path, sent_bps: float, reports: int = 3) -> float:
    path.report(0.0, 0.02, 1.0, packets=100, sent_bps=sent_bps)
    for number in range(reports):
        path.report(0.0, 0.3, 2.0 + number, packets=100, sent_bps=sent_bps)
    return path.bps


def test_a_queue_that_lasts_cuts():
    path = Path(0.0)
    before = standing_queue(path, START_BPS, reports=2)
    assert before >= START_BPS
    assert not path.calm
    assert standing_queue(Path(0.0), START_BPS) == pytest.approx(0.85 * before)


def test_a_long_round_trip_is_not_our_queue_if_we_send_next_to_nothing():
    assert standing_queue(Path(0.0), 100_000, reports=25) >= START_BPS


def test_round_trips_alone_do_not_starve_the_picture():
    assert standing_queue(Path(0.0), START_BPS, reports=25) == 2_000_000


def test_a_long_but_steady_round_trip_is_no_queue():
    path = Path(0.0)
    assert run(path, 10, 0.0, 0.3) > START_BPS


def test_a_cut_must_show_before_the_next():
    path = Path(0.0)
    path.report(0.5, 0.02, 1.0, packets=100, sent_bps=1e7)
    once = path.bps
    path.report(0.5, 0.02, 1.01, packets=100, sent_bps=1e7)
    assert path.bps == once
    path.report(0.5, 0.02, 2.0, packets=100, sent_bps=1e7)
    assert path.bps < once


def test_remb_counts_only_where_something_else_shows_trouble_and_by_steps():
    path = Path(0.0)
    run(path, 5, 0.01, 0.02)
    before = path.bps
    path.remb(220_000, 1_600_000, 6.0)  # a still screen that begins to move: the receiver guesses
    assert path.bps == before
    standing_queue(path, 8_000_000)
    path.remb(1_000_000, 100_000, 20.0)
    assert path.bps > 8_000_000
    path.remb(1_000_000, 8_000_000, 21.0)
    assert path.bps == pytest.approx(4_000_000)
    path.remb(1_000_000, 1_900_000, 22.0)
    assert path.bps == pytest.approx(950_000)


def test_the_slowest_viewer_decides_but_not_an_outlier():
    control = RateControl()
    assert control.still_bps() == START_BPS
    for viewer, bps in ((1, 8e6), (2, 4e6), (3, 0.5e6)):
        control.adopt(viewer, Path(0.0, bps=bps))
    assert control.still_bps() == 4_000_000
    assert control.outliers() == [3]
    control.leave(3)
    assert control.outliers() == []


def test_one_viewer_is_never_an_outlier():
    control = RateControl()
    control.adopt(1, Path(0.0, bps=MIN_BPS))
    assert control.outliers() == []
    assert control.still_bps() == MIN_BPS


reports = st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 5), st.integers(0, 10**9)), max_size=50)


@settings(deadline=None)  # a loaded host is no failure
@given(reports)
def test_whatever_is_reported_the_rate_stays_in_its_bounds(series):
    path = Path(0.0)
    for second, (loss, rtt, remb) in enumerate(series, 1):
        path.report(loss, rtt, second, packets=100, sent_bps=1e7)
        path.remb(remb, remb, second + 0.5)
        assert MIN_BPS <= path.bps <= MAX_BPS
