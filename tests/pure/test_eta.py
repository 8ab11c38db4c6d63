"""The arrival window: what it promises, when it moves, and what it learns."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_server.domain.assess import Assessment, assess
from tracking_server.domain.checkpoint import Checkpoint
from tracking_server.domain.eta import (
    DEFAULT,
    Correction,
    Window,
    learn,
    moved,
    round_outward,
    straight_line_travel_s,
    window,
)
from tracking_server.domain.events import Tap, TapKind
from tracking_server.domain.fix import Fix
from tracking_server.domain.geo import distance_m
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State

NINE = 1_700_000_000.0 - 1_700_000_000.0 % 3600
MINUTE = 60.0
DOOR = (-8.6109, 41.1496)

travels = st.floats(0, 7200)
ages = st.floats(0, 7200)


def test_five_kilometres_of_town() -> None:
    """Five kilometres of straight line are 13 min of prediction, and a window around 11 and a half."""
    travel_s = straight_line_travel_s(5000)
    assert travel_s == pytest.approx(780)
    expected = window(travel_s, NINE, NINE)
    assert expected.likely_s - NINE == pytest.approx(684)
    assert expected.earliest_s - NINE == pytest.approx(400)
    assert expected.latest_s - NINE == pytest.approx(1214)
    assert expected.confidence == 0.8


def test_the_window_follows_the_fix() -> None:
    """The likely time is counted from the fix, not from now: a technician who drives on does not slip by the minute."""
    fresh, older = window(600, NINE, NINE), window(600, NINE, NINE + 100)
    assert older.likely_s == fresh.likely_s
    assert older.earliest_s < fresh.earliest_s
    assert older.latest_s > fresh.latest_s
    assert older.confidence < fresh.confidence


@given(travels, ages)
def test_no_part_of_a_window_is_past(travel_s: float, age_s: float) -> None:
    """Earliest, likely and latest come in this order, and none of them is earlier than now."""
    now_s = NINE + age_s
    expected = window(travel_s, NINE, now_s)
    assert now_s <= expected.earliest_s <= expected.likely_s <= expected.latest_s
    assert 0 <= expected.confidence <= 0.8


def test_a_fix_from_the_future_is_a_fresh_one() -> None:
    """A fix that is ahead of now by a clock's error widens nothing."""
    assert window(600, NINE + 5, NINE).confidence == 0.8


@given(travels, ages)
def test_a_hidden_window_is_in_whole_five_minutes(travel_s: float, age_s: float) -> None:
    """Rounded outward, a window holds the exact one and its ends are whole steps of 5 min."""
    exact = window(travel_s, NINE, NINE + age_s)
    shown = round_outward(exact)
    assert shown.earliest_s <= exact.earliest_s
    assert shown.latest_s >= exact.latest_s
    assert shown.earliest_s <= shown.likely_s <= shown.latest_s
    assert all(at_s % 300 == 0 for at_s in (shown.earliest_s, shown.likely_s, shown.latest_s))
    assert shown.latest_s - shown.earliest_s < exact.latest_s - exact.earliest_s + 600


def test_two_metres_nearer_show_nothing() -> None:
    """While the position is hidden, a small move of the technician does not change what is shown."""
    here, there = (round_outward(window(straight_line_travel_s(away_m), NINE, NINE)) for away_m in (3000, 3002))
    assert here == there


def test_two_minutes_are_worth_telling() -> None:
    """A window has moved when any of its three times has, by two minutes either way; less is not told."""
    told = Window(NINE, NINE + 5 * MINUTE, NINE + 10 * MINUTE, 0.8)
    assert not moved(told, told)
    assert not moved(told, Window(NINE + 119, NINE + 5 * MINUTE, NINE + 10 * MINUTE, 0.5))
    assert moved(told, Window(NINE, NINE + 5 * MINUTE, NINE + 12 * MINUTE, 0.8))
    assert moved(told, Window(NINE, NINE + 3 * MINUTE, NINE + 10 * MINUTE, 0.8))
    assert moved(told, Window(NINE + 2 * MINUTE, NINE + 5 * MINUTE, NINE + 10 * MINUTE, 0.8))


def test_a_few_trips_teach_nothing() -> None:
    """Twenty-four trips are no correction, nor are any number of hops within one street."""
    assert learn([(3000.0, 900.0)] * 24) is None
    assert learn([(200.0, 300.0)] * 1000) is None
    assert learn([(3000.0, 0.0)] * 1000) is None


def test_a_slow_town_is_learnt() -> None:
    """In a town where every trip takes twice the prediction and a minute, the likely time learns exactly that."""
    trips = [(away_m, 60 + 2 * straight_line_travel_s(away_m)) for away_m in range(1000, 6000, 100)]
    correction = learn(trips)
    assert correction is not None
    assert correction.trips == 50
    for away_m in (1500, 5000):
        expected = window(straight_line_travel_s(away_m, correction), NINE, NINE, correction)
        assert expected.likely_s - NINE == pytest.approx(60 + 2 * straight_line_travel_s(away_m))


@given(st.lists(st.tuples(st.floats(300, 30_000), st.floats(1, 7200)), min_size=25, max_size=60))
def test_what_is_learnt_is_a_window(trips: list[tuple[float, float]]) -> None:
    """Whatever the trips, the learnt correction makes windows whose times are in order."""
    correction = learn(trips)
    assert correction is not None
    assert 0 <= correction.early_ratio <= correction.likely_ratio <= correction.late_ratio
    expected = window(1000, NINE, NINE, correction)
    assert NINE <= expected.earliest_s <= expected.likely_s <= expected.latest_s


@pytest.mark.skipif("DOORSTEP_DRIVES" not in os.environ, reason="DOORSTEP_DRIVES names no folder of recorded drives")
def test_the_window_holds_what_it_promises() -> None:
    """On recorded trips, looked at every minute, four of five arrivals fall into the window, fresh fix or silence."""
    trips = _trips(Path(os.environ["DOORSTEP_DRIVES"]) / "porto_trips_shared.csv")
    for age_s in (0.0, 60.0, 300.0):
        held = [inside for trip in trips for inside in _held(*trip, age_s, DEFAULT)]
        print(f"fix {age_s:.0f} s old: {sum(held) / len(held):.3f} of {len(held)} windows held")  # noqa: T201 - the figures, for pytest -s
        assert 0.8 <= sum(held) / len(held) <= 0.95


def _trips(path: Path) -> list[tuple[list[float], int, int]]:
    """Per trip the straight-line distances to its end, one every 15 s, and the numbers of the start and the arrival."""
    with path.open() as lines:
        rows = [(json.loads(row["polyline_lonlat"]), row) for row in csv.DictReader(lines)]
    return [
        ([distance_m(*place, *way[-1]) for place in way], int(row["depart_idx"]), int(row["arrive_idx"]))
        for way, row in rows
    ]


def _held(away_m: list[float], depart: int, arrive: int, age_s: float, correction: Correction) -> list[bool]:
    """For each minute of a trip that was not over when the fix had this age: whether the window held the arrival."""
    windows = [
        window(straight_line_travel_s(away_m[i], correction), 15.0 * i, 15.0 * i + age_s, correction)
        for i in range(depart, arrive, 4)
        if 15.0 * arrive > 15.0 * i + age_s
    ]
    return [expected.earliest_s <= 15.0 * arrive <= expected.latest_s for expected in windows]


def test_what_comes_with_a_window_is_told() -> None:
    """Only one that changed by itself goes alone: a shift or a word that came with it is on the page, too."""
    fix = Fix(1, 3, NINE, *DOOR, accuracy_m=8.0)
    driving = Job(
        UUID(int=1), State.en_route, 4, Geofence(DOOR[0], DOOR[1] + 0.05), stop_number=1, assigned_at_s=NINE - 100,
        en_route_at_s=NINE - 50, eta=window(10.0, NINE - 60, NINE - 60),
    )  # fmt: skip
    late = Tap(1, 2, NINE - 1, TapKind.late, driving.id, minutes=20)

    def judge(taps: list[Tap], *, shift_changed: bool) -> Assessment:
        return assess(
            Checkpoint(judged=fix, position=fix), [driving], taps, [], NINE, DEFAULT, shift_changed=shift_changed
        )

    alone = judge([], shift_changed=False)
    assert (alone.only_eta, alone.jobs[driving.id].version) == (True, 5)
    assert not judge([], shift_changed=True).only_eta
    assert not judge([late], shift_changed=False).only_eta
