"""One technician and one fence: what is an arrival, and above all what is not."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking_server.domain.fix import Fix
from tracking_server.domain.geo import ECCENTRICITY_SQUARED, SEMI_MAJOR_M
from tracking_server.domain.geofence import (
    Geofence,
    Presence,
    Sighting,
    due_s,
    observe,
    observe_many,
    tell_arrived,
    tick,
    undo,
)

PORTO = (-8.6109, 41.1496)
MARIAS_DOOR = Geofence(*PORTO)

Step = tuple[float, float, float]


def place(centre: tuple[float, float], x: float, y: float) -> tuple[float, float]:
    """The longitude and latitude x metres east and y north of a centre: from its tangent plane to the ellipsoid."""
    lam, phi = map(math.radians, centre)
    east = (-math.sin(lam), math.cos(lam), 0.0)
    north = (-math.sin(phi) * math.cos(lam), -math.sin(phi) * math.sin(lam), math.cos(phi))
    up = (math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi))
    across = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_SQUARED * up[2] ** 2)
    origin = (across * up[0], across * up[1], across * (1 - ECCENTRICITY_SQUARED) * up[2])
    above = [o + x * e + y * n for o, e, n in zip(origin, east, north, strict=True)]
    weights = (1.0, 1.0, 1 / (1 - ECCENTRICITY_SQUARED))
    a = sum(w * u * u for w, u in zip(weights, up, strict=True))
    b = sum(w * u * p for w, u, p in zip(weights, up, above, strict=True))
    c = sum(w * p * p for w, p in zip(weights, above, strict=True)) - SEMI_MAJOR_M**2
    down = c / (b + math.sqrt(b * b - a * c))
    px, py, pz = (p - down * u for p, u in zip(above, up, strict=True))
    return math.degrees(math.atan2(py, px)), math.degrees(
        math.atan2(pz, (1 - ECCENTRICITY_SQUARED) * math.hypot(px, py))
    )


def fixes(
    steps: Iterable[Step], centre: tuple[float, float] = PORTO, accuracy_m: float | None = 10.0, first: int = 1
) -> list[Fix]:
    """Fixes from (seconds, metres east, metres north) of a centre."""
    return [Fix(7, seq, t, *place(centre, x, y), accuracy_m) for seq, (t, x, y) in enumerate(steps, first)]


def drive(start_s: float, from_m: float, to_m: float, speed_mps: float = 8.0, every_s: float = 5.0) -> list[Step]:
    """A straight drive from the west; negative metres are before the centre. It ends with its last whole step."""
    count = int(abs(to_m - from_m) / (speed_mps * every_s))
    way = math.copysign(speed_mps * every_s, to_m - from_m)
    return [(start_s + i * every_s, from_m + i * way, 0.0) for i in range(count + 1)]


def stand(start_s: float, end_s: float, x: float, every_s: float = 5.0) -> list[Step]:
    """Standing at one place, with the wander of a parked phone."""
    count = int((end_s - start_s) / every_s)
    return [(start_s + i * every_s, x + 4 * math.sin(i), 4 * math.cos(1.7 * i)) for i in range(count + 1)]


def judge(steps: Iterable[Fix], fence: Geofence = MARIAS_DOOR) -> tuple[Presence, list[Sighting]]:
    return observe_many(fence, Presence(), steps)


def told(sightings: Iterable[Sighting]) -> list[tuple[str, int]]:
    return [(sighting.kind, round(sighting.at_s)) for sighting in sightings]


# Rui drives up at 8 m/s, passes the 150 m line at 106 s and the fence at 118 s, and stands at the door from 125 s on.
APPROACH = drive(0, -1000, 0)
VISIT = [*APPROACH, *stand(130, 600, 0)]


def test_a_visit_is_arriving_then_arrived_then_departed() -> None:
    """A plain visit is told once each: near the door, inside dated back to the entry, and gone."""
    _, sightings = judge(fixes([*VISIT, *drive(605, 0, 1000)]))
    assert told(sightings) == [("arriving", 106), ("arrived", 118), ("departed", 635)]


def test_arrived_is_told_ninety_seconds_after_the_stop() -> None:
    """The proof takes half a minute to see the stand and a minute of dwell, not longer."""
    presence, told_at = Presence(), 0.0
    for fix in fixes(VISIT):
        presence, sightings = observe(MARIAS_DOOR, presence, fix)
        if any(sighting.kind == "arrived" for sighting in sightings):
            told_at = fix.time_s
    assert 185 <= told_at <= 220


def test_the_evidence_explains_an_arrival() -> None:
    """An arrival carries the fixes it was told from, accuracy, net speed, dwell, distance and version of the rules."""
    _, sightings = judge(fixes(VISIT))
    evidence = sightings[1].evidence
    assert evidence["by"] == "fix"
    assert evidence["rules"] == 1
    assert evidence["accuracy_m"] == 10.0
    assert evidence["net_speed_mps"] <= 1.0
    assert evidence["dwell_s"] >= 60
    assert evidence["distance_m"] < 10
    assert evidence["fixes"][0] == [120.0, 40.0, 10.0], "the first fix inside"
    assert len(evidence["fixes"]) <= 10
    assert json.loads(json.dumps(evidence)) == evidence


def test_a_red_light_at_the_door_is_not_an_arrival() -> None:
    """Fifty seconds at a light in front of the house are arriving, never arrived."""
    _, sightings = judge(fixes([*APPROACH, *stand(130, 175, 0), *drive(180, 0, 2000)]))
    assert [kind for kind, _ in told(sightings)] == ["arriving"]


def test_creeping_past_in_a_queue_is_not_an_arrival() -> None:
    """A queue that crawls past at walking speed is inside for longer than a minute and yet no stay."""
    _, sightings = judge(fixes(drive(0, -400, 400, speed_mps=1.4)))
    assert [kind for kind, _ in told(sightings)] == ["arriving"]


def test_one_fix_inside_is_never_an_arrival() -> None:
    """A single fix inside proves nothing, neither between others nor followed by silence, even if it claims speed 0."""
    lone = Fix(7, 2, 60.0, *PORTO, 5.0, speed_mps=0.0)
    before = fixes([(0, 5000, 0)])
    presence, sightings = judge([*before, lone])
    assert due_s(presence) is None
    assert tick(MARIAS_DOOR, presence, 10_000.0) == (presence, [])
    _, later = observe_many(MARIAS_DOOR, presence, fixes([(65, 5000, 0), (400, 5000, 0)], first=3))
    assert [kind for kind, _ in told([*sightings, *later])] == ["arriving"]


def test_a_pass_between_two_sparse_fixes_is_arriving_only() -> None:
    """A van that crosses the fence between two fixes a minute apart was near, and was not there."""
    _, sightings = judge(fixes([(0, -500, 30), (60, 500, 30)]))
    assert told(sightings) == [("arriving", 21)]
    assert sightings[0].evidence["distance_m"] == pytest.approx(30, abs=1)


def test_nothing_is_read_into_a_long_silence() -> None:
    """Fixes more than a minute apart say nothing about the way between: not near it, and no time on it."""
    assert judge(fixes([(0, -500, 30), (61, 500, 30)]))[1] == []
    _, sightings = judge(fixes([(0, -500, 0), *stand(90, 300, 0)]))
    assert told(sightings) == [("arriving", 90), ("arrived", 90)]


def test_already_there_at_the_first_fix_is_no_arrival() -> None:
    """A job assigned to a technician who is in the house already has no arrival, until they left and came back."""
    stay = stand(0, 900, 0)
    away = [*drive(905, 0, 800), *drive(1010, 800, 0)]
    _, sightings = judge(fixes([*stay, *away, *stand(1115, 1400, 0)]))
    assert [kind for kind, _ in told(sightings)] == ["departed", "arriving", "arrived"]
    assert judge(fixes(stay))[1] == []


def test_a_first_fix_at_the_neighbours_is_arriving() -> None:
    """A shift that begins 120 m from the door is near it, and an arrival there is one."""
    _, sightings = judge(fixes([*stand(0, 100, -120), *drive(105, -120, 0), *stand(125, 400, 0)]))
    assert [kind for kind, _ in told(sightings)] == ["arriving", "arrived"]


def test_an_hour_at_the_neighbours_is_no_arrival() -> None:
    """Standing 100 m from the door is standing somewhere else, also when the fixes are bad."""
    for accuracy_m in (5.0, 40.0, 75.0):
        steps = [*drive(0, -1000, -100), *stand(120, 3600, -100)]
        assert [kind for kind, _ in told(judge(fixes(steps, accuracy_m=accuracy_m))[1])] == ["arriving"]


def test_inaccurate_fixes_change_nothing() -> None:
    """A fix worse than 100 m raises nothing and leaves no trace, not even of its time."""
    bad = fixes([(0, 0, 0), (600, 0, 0)], accuracy_m=101.0)
    assert judge(bad) == (Presence(), [])
    assert judge([*fixes(VISIT), *bad]) == judge(fixes(VISIT))


@pytest.mark.parametrize("unknown", [None, 0.0, -1.0])
def test_unknown_accuracy_is_the_bare_circle(unknown: float | None) -> None:
    """A phone that does not say how accurate it is gets its arrival inside the circle, and none outside."""
    assert "arrived" in dict(told(judge(fixes(VISIT, accuracy_m=unknown))[1]))
    beside = [*drive(0, -1000, -66), *stand(125, 900, -66)]
    assert "arrived" not in dict(told(judge(fixes(beside, accuracy_m=unknown))[1]))


def test_accuracy_reaches_out_up_to_75_m() -> None:
    """A parked van 70 m away is inside for fixes that are 75 m accurate, and outside for fixes of 65 m."""
    beside = [*drive(0, -1000, -66), *stand(125, 900, -70)]
    assert "arrived" in dict(told(judge(fixes(beside, accuracy_m=75.0))[1]))
    assert "arrived" not in dict(told(judge(fixes(beside, accuracy_m=65.0))[1]))


def test_jitter_does_not_arrive_twice() -> None:
    """After the arrival fixes wander out of the fence and in again for an hour, and one is reflected far away."""
    rng = random.Random(4)
    wander = [(130 + 10 * i, rng.gauss(0, 40), rng.gauss(0, 40)) for i in range(360)]
    wander[200] = (wander[200][0], 300.0, 200.0)
    _, sightings = judge(fixes([*APPROACH, *stand(130, 300, 0), *wander[20:]]))
    assert [kind for kind, _ in told(sightings)] == ["arriving", "arrived"]


def test_a_reflection_does_not_end_a_stay() -> None:
    """Two fixes thrown 150 m aside in the middle of the dwell neither delay the arrival nor move its time."""
    steps = [(t, x + 150, y) if t in (150, 155) else (t, x, y) for t, x, y in VISIT]
    assert told(judge(fixes(steps))[1]) == told(judge(fixes(VISIT))[1])


def test_a_stay_that_is_left_begins_anew() -> None:
    """A technician who stops, finds no parking and comes back later arrived when they came back."""
    steps = [*APPROACH, *stand(130, 170, 0), *drive(175, 0, 120), *drive(200, 120, 0), *stand(220, 500, 0)]
    arrived = dict(told(judge(fixes(steps))[1]))["arrived"]
    assert 200 <= arrived <= 215


def test_a_second_visit_is_a_second_arrival() -> None:
    """After a departure the technician may arrive again; arriving is told once."""
    back = [*drive(605, 0, 1000), *drive(735, 1000, 0), *stand(865, 1200, 0)]
    _, sightings = judge(fixes([*VISIT, *back]))
    assert [kind for kind, _ in told(sightings)] == ["arriving", "arrived", "departed", "arrived"]


def test_departed_needs_more_than_one_reflection() -> None:
    """Two fixes beyond the line a few seconds apart may be one reflection; from 12 s on they are a departure."""
    presence, _ = judge(fixes(VISIT))
    _, at_once = observe_many(MARIAS_DOOR, presence, fixes([(605, 300, 0), (610, 300, 0), (615, 0, 0)], first=500))
    _, in_time = observe_many(MARIAS_DOOR, presence, fixes([(605, 300, 0), (620, 400, 0)], first=500))
    assert at_once == []
    assert told(in_time) == [("departed", 605)]


def test_departed_counts_beyond_the_accuracy() -> None:
    """A fix 230 m away that is 40 m accurate has not left; one that is 10 m accurate has."""
    presence, _ = judge(fixes(VISIT))
    far = [(605, 230, 0), (625, 230, 0)]
    assert observe_many(MARIAS_DOOR, presence, fixes(far, accuracy_m=40.0))[1] == []
    assert told(observe_many(MARIAS_DOOR, presence, fixes(far, accuracy_m=10.0))[1]) == [("departed", 605)]


def test_the_clock_ends_a_departure() -> None:
    """One fix beyond the line and then a minute of silence is a departure at that fix."""
    presence, _ = judge([*fixes(VISIT), *fixes([(605, 400, 0)], first=900)])
    assert due_s(presence) == 665
    assert tick(MARIAS_DOOR, presence, 664) == (presence, [])
    after, sightings = tick(MARIAS_DOOR, presence, 666)
    assert told(sightings) == [("departed", 605)]
    assert sightings[0].evidence["by"] == "clock"
    assert due_s(after) is None


def test_the_clock_ends_a_dwell_that_was_seen_standing() -> None:
    """A phone that falls silent while its technician stands at the door arrives by the clock, dated to the entry."""
    presence, _ = judge(fixes([*APPROACH, *stand(130, 170, 0)]))
    due = due_s(presence)
    assert due is not None
    assert 200 <= due <= 230
    after, sightings = tick(MARIAS_DOOR, presence, due)
    assert told(sightings) == [("arrived", 118)]
    assert sightings[0].evidence["by"] == "clock"
    assert tick(MARIAS_DOOR, after, due + 3600) == (after, [])


def test_the_clock_believes_a_phone_that_says_it_stands() -> None:
    """A phone that sends nothing while it stands reports speed 0 last; a minute of silence later that is an arrival."""
    way = [Fix(7, i, fix.time_s, fix.lon, fix.lat, 10.0, 8.0) for i, fix in enumerate(fixes(APPROACH))]
    moving, _ = judge(way)
    parked, _ = judge([*way[:-1], Fix(7, 900, 130.0, *PORTO, 10.0, 0.2)])
    assert due_s(moving) is None, "driving when last seen"
    assert due_s(parked) == 190
    assert told(tick(MARIAS_DOOR, parked, 190)[1]) == [("arrived", 118)]


def test_a_phone_that_reports_every_five_minutes_arrives() -> None:
    """Sparse fixes from one place are a stay, dated to the first of them."""
    _, sightings = judge(fixes([(0, -5000, 0), (300, 5, 0), (600, 0, 5), (900, 3, 3)]))
    assert told(sightings) == [("arriving", 300), ("arrived", 300)]


def test_a_long_silence_is_not_one_stay() -> None:
    """Inside in the morning and inside an hour later is not an arrival in the morning."""
    _, sightings = judge(fixes([*APPROACH, *stand(3700, 4000, 0)]))
    assert told(sightings) == [("arriving", 106), ("arrived", 3700)]


def test_a_tap_is_not_told_again() -> None:
    """After the technician's own tap the fence is silent until they depart."""
    presence, _ = judge(fixes(APPROACH))
    presence = tell_arrived(presence, 128.0)
    presence, sightings = observe_many(MARIAS_DOOR, presence, fixes(stand(130, 600, 0)))
    assert sightings == []
    _, sightings = observe_many(MARIAS_DOOR, presence, fixes(drive(605, 0, 1000)))
    assert told(sightings) == [("departed", 635)]


def test_a_tap_from_far_away_is_no_departure() -> None:
    """A technician who taps arrived where the map has the address wrong has not left; only being near and going is."""
    presence, _ = judge(fixes([(0, 900, 0)]))
    presence, sightings = observe_many(MARIAS_DOOR, tell_arrived(presence, 5.0), fixes(stand(10, 900, 800)))
    assert sightings == []
    assert due_s(presence) is None
    _, sightings = observe_many(MARIAS_DOOR, presence, fixes([*drive(905, 800, 0), *drive(1010, 0, 800)]))
    assert [kind for kind, _ in told(sightings)] == ["departed"]


def test_backlog_from_before_a_tap_is_no_departure() -> None:
    """Fixes of the drive that come in after the tap, but are older than it, do not end the stay."""
    presence, _ = judge(fixes([(0, 100, 0)]))
    _, sightings = observe_many(MARIAS_DOOR, tell_arrived(presence, 100.0), fixes([(20, 500, 0), (50, 500, 0)]))
    assert sightings == []


def test_an_undone_arrival_does_not_come_back_from_the_same_stay() -> None:
    """After an undo the next arrival needs a way out of the fence and in again; a reflection is not a way out."""
    presence, _ = judge(fixes(VISIT))
    presence = undo(presence)
    presence, sightings = observe_many(MARIAS_DOOR, presence, fixes([(601, 200, 0), *stand(605, 1500, 0)]))
    assert sightings == []
    assert due_s(presence) is None
    out_and_in = [*drive(1505, 0, 120), *drive(1525, 120, 0), *stand(1545, 1800, 0)]
    _, sightings = observe_many(MARIAS_DOOR, presence, fixes(out_and_in))
    assert [kind for kind, _ in told(sightings)] == ["arrived"]


def test_a_drawn_yard_replaces_the_circle() -> None:
    """Inside the drawn polygon is inside, however far from the centre; inside the circle only is not."""
    corners = tuple(place(PORTO, x, y) for x, y in ((-20, -10), (220, -10), (220, 10), (-20, 10)))
    yard = Geofence(*PORTO, polygon=corners)
    far_end = [*drive(0, -1000, 200), *stand(155, 500, 200)]
    beside = [(t, x, y + 40) for t, x, y in [*drive(0, -1000, 0), *stand(130, 500, 0)]]
    assert dict(told(judge(fixes(far_end), yard)[1]))["arrived"] == 122, "the western edge, 20 m before the centre"
    assert "arrived" not in dict(told(judge(fixes(beside), yard)[1]))
    assert "arrived" in dict(told(judge(fixes(beside, accuracy_m=35.0), yard)[1])), "within its accuracy"


def test_the_entrance_is_what_the_customer_sees() -> None:
    """With an entrance, distance and arriving are measured from it, and inside still from the fence."""
    farm = Geofence(*PORTO, entrance=place(PORTO, -300, 0))
    _, sightings = judge(fixes(VISIT), farm)
    assert told(sightings) == [("arriving", 69), ("arrived", 118)]
    assert farm.distance_m(*place(PORTO, -400, 0)) == pytest.approx(100, abs=0.01)
    assert MARIAS_DOOR.distance_m(*place(PORTO, -400, 0)) == pytest.approx(400, abs=0.01)


def test_a_wide_fence_is_not_left_inside() -> None:
    """On a site of 400 m radius, 300 m from the centre is still there."""
    site = Geofence(*PORTO, radius_m=400.0)
    presence, _ = judge(fixes(VISIT), site)
    assert observe_many(site, presence, fixes(stand(605, 900, 300)))[1] == []


def test_old_and_repeated_fixes_change_nothing() -> None:
    """A fix not newer than the memory leaves it exactly as it was."""
    presence, _ = judge(fixes(VISIT))
    for fix in fixes(VISIT):
        assert observe(MARIAS_DOOR, presence, fix) == (presence, [])
    assert observe_many(MARIAS_DOOR, presence, fixes(VISIT)) == (presence, [])


def test_the_memory_stays_small() -> None:
    """An hour at one fix a second leaves a memory of less than 2 kB before the arrival, and a few bytes after it."""
    presence = Presence()
    sizes = []
    for fix in fixes([(t, 30 * math.sin(t / 9) - (900 if t < 5 else 0), 0) for t in range(3600)]):
        presence, _ = observe(MARIAS_DOOR, presence, fix)
        sizes.append(len(json.dumps(presence.to_json())))
    assert max(sizes) < 2000


def test_a_few_lucky_fixes_at_the_neighbours_are_no_arrival() -> None:
    """Of a van 90 m away with fixes of 40 m accuracy, one fix in three falls inside; the stay is still next door."""
    lucky = [(t, -45.0 if i % 3 == 0 else -95.0, y) for i, (t, _, y) in enumerate(stand(125, 1200, 0))]
    _, sightings = judge(fixes([*drive(0, -1000, -120), *lucky], accuracy_m=40.0))
    assert [kind for kind, _ in told(sightings)] == ["arriving"]


def test_fixes_that_may_be_inside_do_not_end_a_stay() -> None:
    """Half a minute of fixes 80 m away that are 40 m accurate is a bad half minute, not a way out."""
    steps = [(t, x + 80 if 150 <= t <= 180 else x, y) for t, x, y in VISIT]
    assert told(judge(fixes(steps, accuracy_m=40.0))[1]) == [("arriving", 106), ("arrived", 118)]


def test_one_bad_fix_does_not_begin_the_minute_anew() -> None:
    """A displacement that the accuracy explains does not count as moving again."""
    steps = [(t, x + 45 if t == 190 else x, y) for t, x, y in [*APPROACH, *stand(130, 230, 0)]]
    assert "arrived" in dict(told(judge(fixes(steps, accuracy_m=30.0))[1]))
    assert "arrived" not in dict(told(judge(fixes(steps, accuracy_m=5.0))[1]))


def test_a_dwell_is_not_completed_while_driving_off() -> None:
    """When the light turns green after 80 s, the fix that would complete the minute shows the van move."""
    light = [*drive(0, -1000, -40), *stand(125, 205, -40)]
    green = drive(210, 0, 2000)
    presence, _ = judge(fixes([*light, *green[:1]], accuracy_m=20.0))
    assert presence.still_since_s is not None
    assert 210 - presence.still_since_s >= 60, "the minute is over"
    assert "arrived" not in dict(told(judge(fixes([*light, *green], accuracy_m=20.0))[1]))


def test_two_short_stops_on_a_wide_site_are_not_one_dwell() -> None:
    """A van that stops twice for a minute on one large site, and drives in between, has not dwelt for two."""
    site = Geofence(*PORTO, radius_m=400.0)
    stops = [*drive(0, -1000, -300), *stand(95, 155, -300), *drive(160, -300, 300), *stand(240, 300, 300)]
    _, sightings = judge(fixes(stops), site)
    assert [kind for kind, _ in told(sightings)] == ["arriving"]


def test_going_out_before_a_silence_ends_the_stay() -> None:
    """Inside, then outside, then silent for more than a minute: who is inside again after that came again."""
    steps = [*APPROACH, *stand(130, 145, 0), (150.0, 120.0, 0.0), *stand(240, 500, 0)]
    assert dict(told(judge(fixes(steps))[1]))["arrived"] == 240


def test_the_clock_waits_for_fixes_on_their_way() -> None:
    """When the minute is all but over at the last fix, the clock gives later fixes half a minute to come in."""
    presence, _ = judge(fixes([*APPROACH, *stand(130, 200, 0)]))
    assert due_s(presence) == 230


def test_the_clock_does_not_count_for_who_was_last_outside() -> None:
    """A dwell does not go on in silence when the last fix was outside."""
    presence, _ = judge(fixes([*APPROACH, *stand(130, 170, 0), (175.0, 150.0, 0.0)]))
    assert presence.phase == "inside"
    assert due_s(presence) is None


def test_inside_is_near_however_far_the_entrance() -> None:
    """Whoever is first seen inside a fence is arriving, even far from its entrance."""
    farm = Geofence(*PORTO, entrance=place(PORTO, -300, 0))
    _, sightings = judge(fixes([(0, 900, 0), (90, 0, 0)]), farm)
    assert told(sightings) == [("arriving", 90)]


def test_of_two_fixes_at_one_time_the_first_counts() -> None:
    """Two fixes with one time are judged by their numbers, whatever order they come in."""
    steps = [*fixes([(0, -900, 0), (5, 0, 0)], first=1), *fixes([(5, -900, 0)], first=3)]
    assert judge(steps) == judge(steps[::-1]) == judge(steps[:2])


# Scenes for the properties: legs of (how many fixes, seconds between them, metres east, metres north, accuracy, speed).
# No distance lies on a limit, so that a last digit cannot decide.
METRES = st.sampled_from([-20_000, -900, -261, -190, -151.5, -101, -62, -58, -31, 0, 12, 44, 71, 148.5, 203, 500])
LEG = st.tuples(
    st.integers(1, 25),
    st.sampled_from([1.0, 5.0, 15.0, 31.0, 59.0, 61.0, 400.0, 700.0]),
    METRES,
    METRES,
    st.sampled_from([None, 0.0, 5.0, 24.0, 63.0, 90.0, 150.0]),
    st.sampled_from([None, 0.0, 9.0]),
)
SCENES = st.lists(LEG, min_size=1, max_size=10)
FENCES = st.sampled_from(["circle", "small circle", "yard", "entrance"])

Legs = list[tuple[int, float, float, float, float | None, float | None]]


def scene(legs: Legs, centre: tuple[float, float]) -> list[Fix]:
    """The fixes of a scene around a centre, each leg with a slow wander of a metre or two."""
    return list(_scene(legs, centre))


def _scene(legs: Legs, centre: tuple[float, float]) -> Iterator[Fix]:
    now_s, seq = 1_700_000_000.0, 0
    for count, every_s, x, y, accuracy_m, speed_mps in legs:
        for i in range(count):
            now_s, seq = now_s + every_s, seq + 1
            yield Fix(7, seq, now_s, *place(centre, x + 1.3 * (i % 3), y - 0.7 * (i % 2)), accuracy_m, speed_mps)


def fence_at(kind: str, centre: tuple[float, float]) -> Geofence:
    if kind == "yard":
        return Geofence(
            *centre, polygon=tuple(place(centre, x, y) for x, y in ((-35, -25), (75, -25), (75, 50), (0, 20)))
        )
    if kind == "entrance":
        return Geofence(*centre, entrance=place(centre, 110.0, -40.0))
    return Geofence(*centre, radius_m=60.0 if kind == "circle" else 35.0)


def one_by_one(fence: Geofence, presence: Presence, steps: Iterable[Fix]) -> tuple[Presence, list[Sighting]]:
    """Judge each fix alone, with the memory written to JSON and read again in between."""
    sightings: list[Sighting] = []
    for fix in steps:
        presence, more = observe(fence, presence, fix)
        presence = Presence.from_json(json.loads(json.dumps(presence.to_json())))
        sightings += more
    return presence, sightings


@settings(max_examples=60, deadline=None)
@given(SCENES, FENCES, st.integers(0, 200))
def test_a_batch_is_judged_as_one_by_one(legs: Legs, kind: str, cut: int) -> None:
    """However fixes are cut into batches, the sightings, their evidence and the memory are the same to the last bit."""
    fence, steps = fence_at(kind, PORTO), scene(legs, PORTO)
    alone = one_by_one(fence, Presence(), steps)
    assert observe_many(fence, Presence(), steps) == alone
    presence, first = observe_many(fence, Presence(), steps[:cut])
    presence, second = observe_many(fence, presence, steps[cut:])
    assert (presence, first + second) == alone


@settings(max_examples=40, deadline=None)
@given(SCENES, FENCES, st.randoms(use_true_random=False))
def test_shuffled_duplicates_change_nothing(legs: Legs, kind: str, rng: random.Random) -> None:
    """A batch that holds every fix twice, in any order, is the batch."""
    fence, steps = fence_at(kind, PORTO), scene(legs, PORTO)
    doubled = [*steps, *steps]
    rng.shuffle(doubled)
    assert observe_many(fence, Presence(), doubled) == observe_many(fence, Presence(), steps)


@settings(max_examples=40, deadline=None)
@given(
    SCENES, FENCES, st.sampled_from([(180.0, 0.0), (-179.9999, -16.8), (12.0, 89.9), (-100.0, -89.9999), (0.0, 90.0)])
)
def test_a_scene_is_the_same_anywhere_on_earth(legs: Legs, kind: str, centre: tuple[float, float]) -> None:
    """The whole scene moved across the antimeridian, or to a pole, is seen as it is seen in Porto."""
    here = observe_many(fence_at(kind, PORTO), Presence(), scene(legs, PORTO))[1]
    there = observe_many(fence_at(kind, centre), Presence(), scene(legs, centre))[1]
    assert [sighting.kind for sighting in there] == [sighting.kind for sighting in here]
    for a, b in zip(here, there, strict=True):
        assert b.at_s == pytest.approx(a.at_s, abs=0.1)
        assert b.evidence["distance_m"] == pytest.approx(a.evidence["distance_m"], abs=1.0)


@settings(max_examples=60, deadline=None)
@given(SCENES, FENCES)
def test_sightings_come_in_an_order_that_makes_sense(legs: Legs, kind: str) -> None:
    """Arriving at most once; never two arrivals without a departure between; no departure before there was a stay."""
    fence = fence_at(kind, PORTO)
    presence, kinds, times = Presence(), [], []
    for fix in scene(legs, PORTO):
        due = due_s(presence)
        if due is not None and due < fix.time_s:
            presence, sightings = tick(fence, presence, due)
            assert sightings, "the clock is due only when it has something to tell"
            kinds += [sighting.kind for sighting in sightings]
        presence, sightings = observe(fence, presence, fix)
        kinds += [sighting.kind for sighting in sightings]
        times += [sighting.at_s <= fix.time_s for sighting in sightings]
    assert all(times)
    assert kinds.count("arriving") <= 1
    stays = [one for one in kinds if one != "arriving"]
    assert all(a != b for a, b in pairwise(stays))


@given(
    st.sampled_from([PORTO, (179.999, -16.5), (-70.0, 82.0), (10.0, -88.0)]),
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=12, max_size=30),
    st.sampled_from([1e-3, 0.05, 1.0]),
)
def test_many_fixes_far_away_are_judged_as_one_by_one(
    door: tuple[float, float], steps: list[tuple[float, float]], scale: float
) -> None:
    """What is skipped because it is far from the door changes nothing, near the poles and beyond 180 degrees too."""
    fence = Geofence(*door)
    fixes = [
        Fix(0, n, 1000.0 + 30 * n, door[0] + x * scale, max(-90.0, min(90.0, door[1] + y * scale)), 5.0)
        for n, (x, y) in enumerate(steps)
    ]
    presence, sightings = Presence(), []
    for fix in fixes:
        presence, more = observe(fence, presence, fix)
        sightings += more
    assert observe_many(fence, Presence(), fixes) == (presence, sightings)
