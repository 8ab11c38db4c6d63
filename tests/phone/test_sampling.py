"""Few fixes are kept, and none is missed by whoever waits for the technician."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tech_app.core import sampling
from tech_app.core.fix import Fix
from tech_app.core.sampling import Decision, Memory, Profile, begin, sample
from tests.support.phone_clock import NOON_S

METRE = 1 / 111_195  # degrees of latitude


def a_fix(at_s: float, north_m: float = 0.0, east_m: float = 0.0, accuracy_m: float = 8.0) -> Fix:
    return Fix(NOON_S + at_s, north_m * METRE, 20 + east_m * METRE, accuracy_m)


def decide(fixes: list[Fix], battery_pct: float | None = 80, away_m: float | None = None) -> list[Decision]:
    """What is decided of each."""
    decisions: list[Decision] = []
    memory = Memory()
    for fix in fixes:
        decisions.append(sample(memory, fix, battery_pct, away_m))
        memory = decisions[-1].memory
    return decisions


def kept(fixes: list[Fix], battery_pct: float | None = 80, away_m: float | None = None) -> list[float]:
    """The times of the kept ones, from noon on."""
    decisions = decide(fixes, battery_pct, away_m)
    return [fix.time_s - NOON_S for fix, decision in zip(fixes, decisions, strict=True) if decision.keep]


def drive(seconds: int, mps: float = 12.0) -> list[Fix]:
    """Northwards, a fix a second."""
    return [a_fix(t, t * mps) for t in range(seconds)]


def test_driving_keeps_a_fix_every_ten_seconds() -> None:
    """... and asks for one every five, so that turns are seen."""
    assert kept(drive(41)) == [0, 10, 20, 30, 40]
    last = decide(drive(41))[-1]
    assert (last.profile, last.request.interval_s) == (Profile.driving, 5)


def test_a_turn_is_kept_at_once() -> None:
    """The line on the map does not cut the corner."""
    corner = [*drive(21), *(a_fix(20 + t, 240, t * 12) for t in range(1, 10))]
    assert kept(corner) == [0, 10, 20, 22]


def test_near_the_door_fixes_are_dense() -> None:
    """An arrival is told from several fixes a minute, also while one stands."""
    assert kept(drive(21), away_m=300) == [0, 6, 12, 18]
    waiting = [a_fix(t) for t in range(0, 61, 3)]
    assert kept(waiting, away_m=20) == [0, 15, 30, 45, 60]


def test_whoever_stands_is_seldom_heard() -> None:
    """After five minutes at one place a fix every four minutes is enough, asked for every half minute."""
    hour = [a_fix(t, (t // 30) % 2 * 20) for t in range(0, 3601, 30)]
    late = [at_s for at_s in kept(hour) if at_s >= 600]
    assert {b - a for a, b in itertools.pairwise(late)} == {240}
    last = decide(hour)[-1]
    assert (last.profile, last.request.interval_s) == (Profile.still, 30)


def test_a_customer_who_waits_never_sees_an_old_position() -> None:
    """On the way to a job a position is less than a minute old, also in a traffic jam of an hour."""
    jam = kept([a_fix(t) for t in range(0, 3601, 5)], away_m=2000)
    assert max(b - a for a, b in itertools.pairwise(jam)) < 60


@pytest.mark.parametrize("set_s", [-2 * 365 * 86_400, -3600, 3600, 2 * 365 * 86_400])
def test_a_clock_that_is_set_silences_nobody(set_s: float) -> None:
    """The fixes after it are kept as those before it, whichever way it was set."""
    before, after = drive(41), [replace(fix, time_s=fix.time_s + set_s) for fix in drive(82)[41:]]
    assert [at_s - set_s for at_s in kept([*before, *after])[5:]] == [41, 51, 61, 71, 81]


def test_a_fix_that_comes_late_is_passed_over() -> None:
    """It is no clock that was set."""
    assert kept([*drive(41), a_fix(25, 290), a_fix(41, 492)]) == [0, 10, 20, 30, 40]


def test_setting_off_is_noticed() -> None:
    """The first fix away from where one stood is kept."""
    stood = [a_fix(t) for t in range(0, 901, 30)]
    assert kept([*stood, a_fix(930, 100)])[-1] == 930


def test_a_low_battery_doubles_all_intervals() -> None:
    """Below 20 %."""
    assert kept(drive(41), battery_pct=19) == [0, 20, 40]
    assert begin(19).interval_s == 2 * begin(20).interval_s == 2 * begin(None).interval_s


def test_a_coarse_fix_is_kept_only_where_nothing_better_comes() -> None:
    """A minute without a good one; and the first good one counts again."""
    fixes = [a_fix(0), *(a_fix(t, t * 5, accuracy_m=900) for t in range(5, 71, 5))]
    assert kept(fixes) == [0, 60]
    assert kept([a_fix(0, accuracy_m=900)]) == []


def test_a_jump_is_dropped_and_a_ferry_is_not() -> None:
    """One fix thrown 5 km aside is no place; three in a row are where the phone is."""
    aside = [a_fix(20, 240), a_fix(21, 5000), a_fix(22, 260), a_fix(30, 360)]
    assert kept([*drive(20), *aside]) == [0, 10, 20, 30]
    over_there = [a_fix(t, 5000) for t in (20, 21, 22)]
    assert kept([*drive(20), *over_there])[-1] == 22


def test_what_is_no_place_is_dropped() -> None:
    """NaN, 0, 0, a fix from before the last: none of them touches the memory."""
    good = a_fix(10, 1000)
    memory = sample(Memory(), good, 80, None).memory
    for bad in (replace(good, lat=float("nan")), Fix(NOON_S + 20, 0, 0), a_fix(9, 1000), good):
        decision = sample(memory, bad, 80, None)
        assert not decision.keep
        assert decision.memory == memory


ANY_FIX = st.builds(
    a_fix,
    st.floats(0, 7200),
    st.floats(-20_000, 20_000),
    st.floats(-20_000, 20_000),
    st.sampled_from([3.0, 20.0, 99.0, 101.0, 3000.0]),
)


@given(st.lists(ANY_FIX, max_size=60), st.none() | st.floats(0, 100), st.none() | st.floats(0, 5000))
def test_any_fixes(fixes: list[Fix], battery_pct: float | None, away_m: float | None) -> None:
    """Kept fixes go forward in time, late ones among them or not; the GPS is always asked again, and usable fixes are
    never silent for long."""
    decisions = decide(fixes, battery_pct, away_m)
    times = kept(sorted(fixes, key=lambda fix: fix.time_s // sampling.LATE_S), battery_pct, away_m)
    assert times == sorted(set(times))
    assert all(0 < decision.request.interval_s <= 60 for decision in decisions)
    longest_s = 2 * max(sampling.PACES[profile].waiting_s for profile in Profile)
    for decision in decisions:
        if decision.memory.kept is not None and decision.memory.seen is not None:
            assert decision.memory.seen.time_s - decision.memory.kept.time_s <= longest_s
