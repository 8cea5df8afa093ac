import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from actions.pointer_path import before_end, default_duration_ms, plan_drag, plan_wheel

POINT = st.tuples(st.integers(0, 4000), st.integers(0, 4000))


@given(st.lists(POINT, min_size=2, max_size=8), st.none() | st.integers(0, 5000))
def test_a_drag_visits_every_corner_in_time_and_never_teleports(path, duration):
    points = plan_drag(path, duration)
    length = default_duration_ms(path) if duration is None else duration
    assert (points[-1].x, points[-1].y) == path[-1]
    visited = iter([path[0], *[(p.x, p.y) for p in points]])
    assert all(corner in visited for corner in path)
    assert [p.at_ms for p in points] == sorted(p.at_ms for p in points)
    assert abs(points[-1].at_ms - length) < 1e-6
    places = [path[0], *[(p.x, p.y) for p in points]]
    assert all(math.dist(a, b) <= 52 for a, b in itertools.pairwise(places))


def test_the_pixel_before_the_end_is_on_the_side_that_the_path_comes_from():
    assert before_end([(0, 0), (100, 50)]) == (99, 49)
    assert before_end([(0, 0), (100, 0), (100, 40), (100, 40)]) == (100, 39)
    assert before_end([(7, 7), (7, 7)]) is None


def test_points_are_a_few_pixels_apart():
    points = plan_drag([(0, 0), (400, 300)])
    assert 75 <= len(points) <= 110
    assert points[0].at_ms > 0


def test_even_a_hasty_drag_has_points_in_between():
    assert len(plan_drag([(0, 0), (30, 0)], 0)) >= 4


def test_a_drag_on_the_spot():
    assert [(p.x, p.y) for p in plan_drag([(5, 5), (5, 5)])] == [(5, 5)]


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_wheel_steps_add_up(dx, dy):
    pieces = plan_wheel(dx, dy)
    assert (sum(p[0] for p in pieces), sum(p[1] for p in pieces)) == (dx, dy)
    assert all(0 < abs(x) + abs(y) <= 10 for x, y in pieces)
