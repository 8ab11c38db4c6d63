"""The demo's streets and rides, which people watch."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_server.demo.drive import BRAKES_MPS2, CORNER_MPS, CRUISE_MPS, SPEEDS_UP_MPS2, Ride, ride
from tracking_server.demo.guest import told_at_first
from tracking_server.demo.streets import apart, believed, grid, reaching_each_other, spread
from tracking_server.domain.geo import Plane, distance_m
from tracking_server.installation import UserError
from tracking_server.routing.valhalla import LonLat, Matrix

CORNER = (24.9450, 60.1700)
METRE_NORTH, METRE_EAST = 1 / 111_412, 1 / 55_500  # degrees, there
SOUTH, EAST = (CORNER[0], CORNER[1] - 200 * METRE_NORTH), (CORNER[0] + 200 * METRE_EAST, CORNER[1])
STRAIGHT = [SOUTH, CORNER]
BEND = [SOUTH, CORNER, EAST]

places = st.tuples(st.floats(24.94, 24.95), st.floats(60.165, 60.175))


def test_a_ride_ends_at_the_door_and_stays() -> None:
    """For as long as an arrival needs and more, standing."""
    driven = ride(BEND, seed=1)
    assert driven.arrives_s > 400 / CRUISE_MPS
    waiting = [fix for fix in driven.fixes if fix.after_s > driven.arrives_s]
    assert len(waiting) >= 120
    assert {fix.speed_mps for fix in waiting} == {0.0}
    assert {fix.course_deg for fix in waiting} == {None}
    assert max(distance_m(fix.lon, fix.lat, *EAST) for fix in waiting) < 15


def test_fixes_are_a_second_apart() -> None:
    """From the first to the last."""
    times = [fix.after_s for fix in ride(BEND, seed=1).fixes]
    assert times == [float(i) for i in range(len(times))]


def test_a_rider_goes_at_twelve_kilometres_an_hour_on_straight_streets() -> None:
    """And not much slower over all, as bends are few."""
    driven = ride(STRAIGHT, seed=1)
    told = sorted(fix.speed_mps for fix in driven.fixes if fix.after_s < driven.arrives_s)
    assert told[len(told) // 2] == pytest.approx(CRUISE_MPS, abs=0.2)
    assert 200 / driven.arrives_s > 0.8 * CRUISE_MPS


def test_a_rider_slows_down_before_a_corner_and_speeds_up_after_it() -> None:
    """Round a right angle at walking pace, and no faster than on the straight."""
    driven = ride(BEND, seed=1)
    near = [fix.speed_mps for fix in driven.fixes if distance_m(fix.lon, fix.lat, *CORNER) < 25]
    assert min(near) == pytest.approx(CORNER_MPS, abs=0.6)
    assert min(near) < 0.6 * CRUISE_MPS
    assert max(near) > 0.8 * CRUISE_MPS


@given(st.lists(places, min_size=1, max_size=8), st.integers(0, 1000))
def test_nobody_jumps(shape: list[LonLat], seed: int) -> None:
    """Whatever the street, speed changes as a bicycle's does, and no second is longer than its speed."""
    driven = ride(shape, seed, dwell_s=5)
    for before, after in pairwise(driven.fixes):
        assert distance_m(before.lon, before.lat, after.lon, after.lat) < CRUISE_MPS + 6
        assert abs(after.speed_mps - before.speed_mps) < max(SPEEDS_UP_MPS2, BRAKES_MPS2) + 1.2
    assert math.isfinite(driven.arrives_s)


def test_fixes_stray_as_a_phones_do() -> None:
    """A few metres, wandering rather than jumping, within what the phone says of its accuracy most of the time."""
    driven = ride([CORNER], seed=5, dwell_s=3600)
    plane = Plane(*CORNER)
    errors = [plane.to_xy(fix.lon, fix.lat) for fix in driven.fixes]
    distances = [math.hypot(*error) for error in errors]
    assert 2 < sum(distances) / len(distances) < 7
    assert sum(math.dist(a, b) for a, b in pairwise(errors)) / len(errors) < 2
    within = [d <= fix.accuracy_m for d, fix in zip(distances, driven.fixes, strict=True)]
    assert sum(within) / len(within) > 0.68
    assert all(4 <= fix.accuracy_m <= 14 for fix in driven.fixes)


def test_a_ride_is_the_same_for_the_same_seed() -> None:
    """And another one for another."""
    assert ride(BEND, seed=1) == ride(BEND, seed=1)
    assert ride(BEND, seed=1) != ride(BEND, seed=2)


def test_who_is_there_already_only_stays() -> None:
    """Also when the shape says the same place twice."""
    for shape in ([CORNER], [CORNER, CORNER]):
        assert isinstance(stays := ride(shape, seed=1, dwell_s=10), Ride)
        assert (stays.arrives_s, len(stays.fixes)) == (0.0, 11)


def test_doors_are_tried_all_over_the_region_but_not_at_its_edge() -> None:
    """In a grid."""
    tried = grid((24.0, 60.0, 25.0, 61.0), 3)
    assert len(tried) == 9
    assert (24.5, 60.5) in tried
    assert all(24.05 < lon < 24.95 and 60.05 < lat < 60.95 for lon, lat in tried)


def test_doors_are_apart() -> None:
    """Of two neighbours the first stays."""
    assert apart([CORNER, (CORNER[0], CORNER[1] + 50 * METRE_NORTH), EAST], 120) == [CORNER, EAST]


def test_a_way_shorter_than_the_straight_line_is_not_believed() -> None:
    """The engine took another street for the door."""
    matrix = Matrix(((0.0, 60.0), (2.0, 0.0)), ((0.0, 240.0), (7.0, 0.0)))
    assert believed([SOUTH, CORNER], matrix) == [[0.0, 60.0], [None, 0.0]]
    assert believed([SOUTH], Matrix(((None,),), ((None,),))) == [[None]]


def test_the_door_that_is_worst_to_reach_is_dropped_first() -> None:
    """The fewest are lost, and those left always reach each other."""
    a, b, c, d = range(4)
    times: list[list[float | None]] = [[60.0] * 4 for _ in range(4)]
    for i, j in ((a, c), (c, a), (d, c)):
        times[i][j] = None
    assert reaching_each_other(times) == [a, b, d]
    assert reaching_each_other([]) == []


@given(st.integers(1, 7).flatmap(lambda n: st.lists(
    st.lists(st.none() | st.floats(1, 900), min_size=n, max_size=n), min_size=n, max_size=n
)))  # fmt: skip
def test_what_is_left_always_reaches_each_other(times: list[list[float | None]]) -> None:
    """Whatever the ways."""
    kept = reaching_each_other(times)
    assert kept
    assert all(times[i][j] is not None for i in kept for j in kept if i != j)


def test_chosen_doors_are_far_from_each_other() -> None:
    """The central one first, then the ends; only as many as there are."""
    line = [0.0, 100.0, 200.0, 300.0, 390.0]
    times = [[abs(a - b) for b in line] for a in line]
    assert spread(times, range(5), 3) == [2, 0, 4]
    assert spread(times, [0, 4], 9) in ([0, 4], [4, 0])
    assert spread(times, [], 3) == []


def test_a_demo_that_ends_without_a_word_is_not_waited_for() -> None:
    """Whoever wants a place in it is told, also when it ended in the middle of its document."""
    whole = ["{\n", '  "phone": {"url": "http://127.0.0.1:1"}\n', "}\n"]
    assert told_at_first([*whole, "later\n"]) == {"phone": {"url": "http://127.0.0.1:1"}}
    for count in range(len(whole)):
        with pytest.raises(UserError, match="did not start"):
            told_at_first(whole[:count])
