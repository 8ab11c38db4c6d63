"""What sampling costs an arrival, on recorded drives resampled to a fix a second.

The drives are not part of the project; `DOORSTEP_DRIVES` names the folder that holds them. Between two recorded fixes,
5 or 15 s apart, the way is taken as straight: real ways have more turns, of which each costs a fix.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import pytest

from tech_app.core.fix import Fix
from tech_app.core.geo import distance_m
from tech_app.core.sampling import Memory, begin, sample
from tests.support.phone_clock import NOON_S
from tracking_server.domain.fix import Fix as JudgedFix
from tracking_server.domain.geofence import Geofence, Presence, due_s, observe, tick

pytestmark = pytest.mark.skipif(
    "DOORSTEP_DRIVES" not in os.environ, reason="DOORSTEP_DRIVES names no folder of recorded drives"
)

Place = tuple[float, float]
Way = Sequence[tuple[float, float, float, float | None]]
HELD_S = 180.0  # a recording ends when the vehicle stands; an arrival needs 90 s of it


@dataclass
class Figures:
    """Sums over many drives."""

    seconds: int = 0
    asked: int = 0
    kept: int = 0
    arrivals: int = 0
    lost: int = 0
    moved_s: list[float] = field(default_factory=list)
    # How far the arrivals found are from the true ones, with all fixes and with those that were kept.
    wrong_s: list[tuple[float, float]] = field(default_factory=list)

    def show(self, name: str) -> str:
        return (
            f"{name}: {self.asked / self.seconds:.1%} of the fixes asked for, {self.kept / self.seconds:.1%} kept; "
            f"of {self.arrivals} arrivals {self.lost} lost, moved p90 {self.p90_s:.1f} s, max {max(self.moved_s):.0f}"
        )

    @property
    def p90_s(self) -> float:
        return quantiles(self.moved_s, n=10, method="inclusive")[8]


def every_second(way: Way) -> list[Fix]:
    """The fixes of a drive as a receiver that is asked every second would give them. Way: time, lon, lat, accuracy."""
    times = [fix[0] for fix in way]
    fixes = []
    for second in range(int(times[0]), int(times[-1] + HELD_S) + 1):
        i = min(bisect_right(times, second), len(way) - 1)
        (t_a, lon_a, lat_a, _), (t_b, lon_b, lat_b, accuracy_m) = way[i - 1], way[i]
        share = min((second - t_a) / (t_b - t_a), 1.0)
        place = lat_a + share * (lat_b - lat_a), lon_a + share * (lon_b - lon_a)
        fixes.append(Fix(NOON_S + second, *place, accuracy_m))
    return fixes


def sampled(fixes: Sequence[Fix], job: Place) -> tuple[int, list[Fix]]:
    """How many fixes the GPS was asked for on the way to a job, and those that were kept."""
    memory, request, asked, kept = Memory(), begin(), 0, list[Fix]()
    next_s = 0.0
    for fix in fixes:
        if fix.time_s < next_s:
            continue
        asked += 1
        decision = sample(memory, fix, 80, distance_m(fix.lat, fix.lon, job[1], job[0]))
        memory, request = decision.memory, decision.request
        next_s = fix.time_s + request.interval_s
        if decision.keep:
            kept.append(fix)
    return asked, kept


def arrival_s(fixes: Sequence[Fix], job: Place) -> float | None:
    """When the service's geofence and its clock find the last arrival."""
    fence, presence, found = Geofence(*job), Presence(), []
    for seq, fix in enumerate(fixes):
        due = due_s(presence)
        if due is not None and due < fix.time_s:
            presence, sightings = tick(fence, presence, due)
            found += sightings
        presence, sightings = observe(fence, presence, JudgedFix(1, seq, fix.time_s, fix.lon, fix.lat, fix.accuracy_m))
        found += sightings
    found += tick(fence, presence, fixes[-1].time_s + HELD_S)[1]
    return next((sighting.at_s for sighting in reversed(found) if sighting.kind == "arrived"), None)


def measure(ways: Sequence[tuple[Way, Place, float]]) -> Figures:
    """Of drives, the places of their jobs, and when they truly arrived there."""
    figures = Figures()
    for way, job, true_s in ways:
        fixes = every_second(way)
        asked, kept = sampled(fixes, job)
        figures.seconds += len(fixes)
        figures.asked += asked
        figures.kept += len(kept)
        whole_s, sampled_s = arrival_s(fixes, job), arrival_s(kept, job)
        if whole_s is not None:
            figures.arrivals += 1
            figures.lost += sampled_s is None
            if sampled_s is not None:
                figures.moved_s.append(abs(sampled_s - whole_s))
                figures.wrong_s.append((abs(whole_s - NOON_S - true_s), abs(sampled_s - NOON_S - true_s)))
    return figures


def test_trips_need_few_fixes(drives: Path, long: bool) -> None:
    """At most 15 % of the fixes are kept, no arrival is lost, and nine of ten move by at most 10 s."""
    with (drives / "porto_trips_shared.csv").open() as lines:
        rows = [json.loads(row["polyline_lonlat"]) for row in csv.DictReader(lines)]
    trips = rows if long else rows[::5]
    ways = [[(15.0 * i, *place, None) for i, place in enumerate(trip)] for trip in trips]
    figures = measure([(way, trip[-1], way[-1][0]) for way, trip in zip(ways, trips, strict=True)])
    print(figures.show("trips"))  # noqa: T201 - the figures, for pytest -s
    assert figures.kept <= 0.15 * figures.seconds
    assert figures.lost == 0
    assert figures.p90_s <= 10


def test_noisy_streams_need_few_fixes(drives: Path) -> None:
    """With noise, reflections and gaps put on, and a stay of 20 minutes: the same.

    One arrival moves by minutes, three by one or less: there all fixes together are wrong, as their reflections make a
    departure out of a stay. The fixes that are kept are nearer to the truth.
    """
    with gzip.open(drives / "geofence_streams_shared.jsonl.gz", "rt") as lines:
        streams = [json.loads(line) for line in lines]
    places = [(s["customer"]["lon"], s["customer"]["lat"]) for s in streams]
    figures = measure([(s["fixes"], place, s["true_arrival_s"]) for s, place in zip(streams, places, strict=True)])
    of_all, of_kept = (max(wrong_s) for wrong_s in zip(*figures.wrong_s, strict=True))
    print(figures.show("noisy streams"), f"; at most {of_all:.0f} s wrong with all, {of_kept:.0f} s with the kept")  # noqa: T201
    assert of_kept <= of_all
    assert figures.kept <= 0.15 * figures.seconds
    assert figures.lost <= 0.02 * figures.arrivals
    assert figures.p90_s <= 10
