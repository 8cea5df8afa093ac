"""When memory is short, and which desktops go to disk for it."""

from __future__ import annotations

from desktop_sandbox.node.capacity import Limits
from desktop_sandbox.node.pressure import AGAIN_S, EASE_MIB, HELD_S, Idle, is_running_out, is_short, next_to_go

LIMITS = Limits(reserve_memory_mib=1024)


def test_it_is_short_below_what_is_kept_for_the_host_and_then_eased_a_little_further() -> None:
    assert not is_short(LIMITS, 1024, easing=False)
    assert is_short(LIMITS, 1023, easing=False)
    assert is_short(LIMITS, 1024 + EASE_MIB - 1, easing=True)
    assert not is_short(LIMITS, 1024 + EASE_MIB, easing=True)


def test_the_one_that_nobody_used_for_longest_goes_first() -> None:
    found = [Idle("b", 30.0), Idle("a", 10.0), Idle("c", 20.0)]
    assert next_to_go(found, 100.0, running_out=False) == "a"
    assert next_to_go([], 100.0, running_out=False) is None


def test_what_may_work_goes_after_all_that_is_idle() -> None:
    found = [Idle("works", 10.0, held_at=99.0), Idle("idle", 30.0)]
    assert next_to_go(found, 100.0, running_out=True) == "idle"
    assert next_to_go(found[:1], 100.0, running_out=True) == "works"


def test_what_may_work_stays_unless_memory_runs_out() -> None:
    held = Idle("works", 10.0, held_at=100.0)
    assert next_to_go([held], 100.0 + HELD_S, running_out=False) is None
    assert next_to_go([held], 101.0 + HELD_S, running_out=False) == "works"  # else it waited for its own memory
    assert not is_running_out(LIMITS, 512)
    assert is_running_out(LIMITS, 511)


def test_one_that_cannot_go_is_left_alone_for_a_while() -> None:
    stuck = Idle("a", 10.0, failed_at=100.0)
    assert next_to_go([stuck, Idle("b", 30.0)], 101.0, running_out=False) == "b"
    assert next_to_go([stuck], 100.0 + AGAIN_S, running_out=False) is None
    assert next_to_go([stuck], 101.0 + AGAIN_S, running_out=False) == "a"
