"""How many desktops stand ready. Time is made up."""

from __future__ import annotations

from desktop_sandbox.node.demand import KEPT_S, RECENT_S, Demand


def asked(bound: int, *times: tuple[str, float]) -> Demand:
    demand = Demand(bound)
    for template, at in times:
        demand.note(template, at)
    return demand


def test_as_many_as_the_last_minute_took_but_no_more_than_the_bound():
    demand = asked(5, *(("desktop", float(at)) for at in range(3)))
    assert demand.wanted(3.0) == {"desktop": 3}
    assert asked(2, *(("desktop", float(at)) for at in range(9))).wanted(9.0) == {"desktop": 2}


def test_one_stays_for_a_while_and_then_none():
    demand = asked(5, ("desktop", 0.0), ("desktop", 1.0))
    assert demand.wanted(RECENT_S + 2) == {"desktop": 1}
    assert demand.wanted(KEPT_S + 2) == {}


def test_templates_share_the_bound_and_the_newest_comes_first():
    demand = asked(2, ("old", 0.0), ("new", 5.0), ("new", 6.0), ("new", 7.0))
    assert demand.wanted(8.0) == {"new": 2}
    assert asked(3, ("old", 0.0), ("new", 5.0), ("new", 6.0)).wanted(8.0) == {"new": 2, "old": 1}


def test_without_a_pool_nothing_is_wanted():
    assert asked(0, ("desktop", 0.0)).wanted(0.0) == {}
