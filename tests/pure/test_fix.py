"""What becomes of a fix."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_server.domain.fix import JUMP_MPS, STREAM_DAY_SHIFT, Fix, Judgement, Verdict, is_jump, judge, skew_s
from tracking_server.domain.geo import distance_m
from tracking_server.domain.shift import Shift

NOON = 20_000 * 86_400.0 + 43_200
STREAM = 20_000 << STREAM_DAY_SHIFT
AT_WORK = [Shift(NOON - 3600)]
DEGREE_M = 111_320


def fix(seq: int, north_m: float = 0.0, time_s: float | None = None, **known: float) -> Fix:
    return Fix(STREAM, seq, NOON + seq * 10 if time_s is None else time_s, -8.61, 41.14 + north_m / DEGREE_M, **known)


def judged(
    *fixes: Fix, last: Fix | None = None, suspect: Fix | None = None, shifts: list[Shift] | None = None
) -> Judgement:
    return judge(
        fixes,
        shifts=AT_WORK if shifts is None else shifts,
        skew_s=0.0,
        received_s=NOON + 1000,
        last=last,
        suspect=suspect,
    )


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        (fix(1), None),
        (fix(1, accuracy_m=100.0), None),
        (fix(1, accuracy_m=100.1), Verdict.coarse),
        (fix(1, time_s=NOON + 1000 + 120), None),
        (fix(1, time_s=NOON + 1000 + 121), Verdict.future),
        (fix(1, time_s=NOON - 31 * 86_400), Verdict.too_old),
        (fix(1, time_s=NOON - 2 * 86_400), Verdict.stream_day),
        (fix(1, time_s=float("nan")), Verdict.future),
        (fix(1)._replace(lat=float("nan")), Verdict.bad_coordinates),
        (fix(1)._replace(lat=float("inf")), Verdict.bad_coordinates),
        (fix(1)._replace(lat=90.0001), Verdict.bad_coordinates),
        (fix(1)._replace(lon=-180.0), None),
        (fix(1)._replace(lon=181.0), Verdict.bad_coordinates),
        (fix(1)._replace(lon=0.0, lat=0.0), Verdict.bad_coordinates),
        (fix(1, time_s=NOON - 3601), Verdict.not_on_shift),
    ],
)
def test_a_fix_alone_is_judged_by_its_place_its_time_and_the_shift_of_its_time(
    one: Fix, verdict: Verdict | None
) -> None:
    """Each limit from both sides; what is not a number is no place and no time."""
    assert judged(one).verdicts.get(1) == verdict


def test_a_spike_between_two_good_fixes_is_a_jump() -> None:
    """Implied speed above 70 m/s on both sides: that fix alone is set aside."""
    judgement = judged(fix(1), fix(2, 5_000), fix(3, 20))
    assert judgement.verdicts == {2: Verdict.jump}
    assert [one.seq for one in judgement.trusted] == [1, 3]
    assert judgement.suspect is None


def test_a_leap_that_is_confirmed_is_true() -> None:
    """After a tunnel or a ferry the technician really is elsewhere: the second fix there clears the first."""
    judgement = judged(fix(1), fix(2, 5_000), fix(3, 5_050))
    assert judgement.verdicts == {}
    assert [one.seq for one in judgement.trusted] == [1, 2, 3]


def test_a_leap_at_the_end_of_a_batch_waits_for_its_other_side() -> None:
    """Not shown meanwhile; the next batch decides."""
    first = judged(fix(1), fix(2, 5_000))
    assert first.verdicts == {2: Verdict.jump}
    assert first.suspect == fix(2, 5_000)
    there = judged(fix(3, 5_050), last=fix(1), suspect=first.suspect)
    assert (there.cleared, there.suspect) == (fix(2, 5_000), None)
    assert [one.seq for one in there.trusted] == [2, 3]
    back = judged(fix(3, 20), last=fix(1), suspect=first.suspect)
    assert (back.cleared, back.suspect) == (None, None)
    assert [one.seq for one in back.trusted] == [3]


@given(st.permutations(range(1, 9)))
def test_the_order_inside_a_batch_does_not_matter(order: list[int]) -> None:
    """A batch is judged in time order, however it was sent."""
    fixes = [fix(seq, 5_000 if seq == 4 else seq * 50) for seq in range(1, 9)]
    shuffled = judged(*(fixes[seq - 1] for seq in order))
    assert shuffled == judged(*fixes)
    assert shuffled.verdicts == {4: Verdict.jump}


QUIRKS = st.sampled_from(
    [{}, {}, {}, {"accuracy_m": 8.0}, {"accuracy_m": 101.0}, {"lat": math.nan}, {"lat": 91.0}, {"lon": -181.0},
     {"lat": 0.0, "lon": 0.0}, {"lat": 41.3}, {"time_s": NOON + 2000}, {"time_s": NOON - 4000}, {"time_s": math.nan}]
)  # fmt: skip


@given(st.lists(st.tuples(st.floats(0.01, 200), QUIRKS), min_size=2, max_size=12), st.booleans(), st.booleans())
def test_a_plain_batch_is_judged_as_one_that_must_be_looked_at(
    steps: list[tuple[float, dict[str, float]]], has_last: bool, has_ended: bool
) -> None:
    """The pass over a batch in order finds what the judging of each fix finds, which a reversed batch needs."""
    fixes = [
        fix(seq, seq * 20, NOON + sum(step for step, _ in steps[:seq]))._replace(**quirk)
        for seq, (_, quirk) in enumerate(steps, 1)
    ]
    last = fix(0, 0, NOON - 10) if has_last else None
    shifts = [Shift(NOON - 3600, NOON + 900 if has_ended else None)]
    in_order, reversed_ = (judged(*some, last=last, shifts=shifts) for some in (fixes, fixes[::-1]))
    assert in_order.verdicts == reversed_.verdicts
    assert in_order.trusted == reversed_.trusted
    assert (in_order.cleared, in_order.suspect) == (reversed_.cleared, reversed_.suspect)


def test_a_backlog_is_not_measured_against_what_came_after_it() -> None:
    """Fixes from before the newest position are judged by their own neighbours."""
    judgement = judged(fix(1, 9_000), fix(2, 9_050), last=fix(100))
    assert judgement.verdicts == {}
    assert len(judgement.trusted) == 2


def test_small_differences_of_clocks_are_the_networks() -> None:
    """Below 30 s nothing is corrected; above, all of it."""
    assert skew_s(NOON, NOON + 30) == 0
    assert skew_s(NOON, NOON + 31) == 31
    assert skew_s(NOON + 1e7, NOON) == -1e7
    assert skew_s(None, NOON) == 0


@given(st.floats(-180, 180), st.floats(-89.9, 89.9), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.floats(0, 600))
def test_a_jump_is_what_its_distance_says(lon: float, lat: float, east: float, north: float, seconds: float) -> None:
    """The bound that spares most fixes the trigonometry never lets a jump pass, and makes none."""
    a = Fix(STREAM, 1, NOON, lon, lat)
    b = Fix(STREAM, 2, NOON + seconds, lon + east, max(-90.0, min(90.0, lat + north)))
    assert is_jump(a, b) == (distance_m(a.lon, a.lat, b.lon, b.lat) > JUMP_MPS * max(seconds, 1.0))
