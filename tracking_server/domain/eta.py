"""When a technician will be at the door: a window with a likely time inside, never a single minute.

The journey's travel time comes from the straight line or from a road engine; `window` does not mind which. How far real
journeys stray from it is measured, and held in a `Correction`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# A town's roads are about 1.3 times as long as the straight line; 30 km/h with lights and turns, in metres per second.
DETOUR = 1.3
TOWN_SPEED_MPS = 30 / 3.6

# The share of journeys that should end inside a window.
COVERAGE = 0.8

# Without a fix nobody knows whether the technician moves or waits: each second of silence moves both ends apart by half
# a second. Of the trips behind `Correction`, the window then still holds 85 % five minutes after the last fix.
WIDENING_PER_S = 0.5

# Confidence halves in 10 min without a fix. A choice, not a measurement: the technician may be going elsewhere by then.
CONFIDENCE_HALF_LIFE_S = 600.0

# Fewer trips than this make a worse correction than none.
ENOUGH_TRIPS = 25

# Shorter journeys are mostly parking, and say nothing about the roads.
SHORTEST_LEARNT_M = 300.0


@dataclass(frozen=True, slots=True)
class Window:
    """An arrival between `earliest_s` and `latest_s`, most likely at `likely_s`, with this probability (0 to 1)."""

    earliest_s: float
    likely_s: float
    latest_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Correction:
    """How real journeys compare to a predicted travel time: each is seconds plus a ratio of the prediction.

    About a tenth of the journeys are shorter than `early`, half than `likely`, nine tenths than `late`. Source of the
    defaults: 595 city taxi trips, 15 s fixes, looked at every minute of each trip, against the straight line x 1.3 at
    30 km/h. There the window held 81 % of the time, 86 % on the 519 trips without loops, and the likely time was wrong
    by 164 s and 114 s on average.
    """

    factor: float = DETOUR
    early_s: float = 10.0
    early_ratio: float = 0.5
    likely_s: float = 60.0
    likely_ratio: float = 0.8
    late_s: float = 200.0
    late_ratio: float = 1.3
    trips: int = 0


DEFAULT = Correction()


def straight_line_travel_s(distance_m: float, correction: Correction = DEFAULT) -> float:
    """The travel time over a straight line of this length, by town roads at town speed."""
    return distance_m * correction.factor / TOWN_SPEED_MPS


def window(travel_s: float, fix_time_s: float, now_s: float, correction: Correction = DEFAULT) -> Window:
    """When 80 % of the journeys with this predicted travel time from the last fix end. No part of it is past."""
    age_s = max(0.0, now_s - fix_time_s)
    wider_s = WIDENING_PER_S * age_s
    earliest_s = fix_time_s + correction.early_s + correction.early_ratio * travel_s - wider_s
    likely_s = fix_time_s + correction.likely_s + correction.likely_ratio * travel_s
    latest_s = fix_time_s + correction.late_s + correction.late_ratio * travel_s + wider_s
    confidence = COVERAGE * 0.5 ** (age_s / CONFIDENCE_HALF_LIFE_S)
    earliest_s, likely_s = max(now_s, earliest_s), max(now_s, likely_s)
    return Window(earliest_s, likely_s, max(likely_s, latest_s), round(confidence, 3))


def round_outward(window: Window, minutes: int = 5) -> Window:
    """The window to show while the position is hidden: from its minutes nobody can tell how far the technician is.

    Both ends go out to full steps, which may put the earliest before now; the likely time goes to the nearest one.
    """
    step_s = minutes * 60.0
    return Window(
        math.floor(window.earliest_s / step_s) * step_s,
        math.floor(window.likely_s / step_s + 0.5) * step_s,
        math.ceil(window.latest_s / step_s) * step_s,
        window.confidence,
    )


def moved(old: Window, new: Window, seconds: float = 120.0) -> bool:
    """Whether an end of the window, or the likely time, moved so far that people should be told."""
    return (
        abs(new.earliest_s - old.earliest_s) >= seconds
        or abs(new.likely_s - old.likely_s) >= seconds
        or abs(new.latest_s - old.latest_s) >= seconds
    )


def learn(pairs: Iterable[tuple[float, float]]) -> Correction | None:
    """A correction from a firm's own past trips, as (straight-line metres, seconds it really took).

    None for fewer than 25 trips of at least 300 m. The seconds stay as they are by default; the ratios are learnt.
    """
    trips = [
        (straight_line_travel_s(distance_m), seconds)
        for distance_m, seconds in pairs
        if distance_m >= SHORTEST_LEARNT_M and seconds > 0
    ]
    if len(trips) < ENOUGH_TRIPS:
        return None
    early = _ratio(trips, DEFAULT.early_s, (1 - COVERAGE) / 2)
    likely = _ratio(trips, DEFAULT.likely_s, 0.5)
    late = _ratio(trips, DEFAULT.late_s, (1 + COVERAGE) / 2)
    return Correction(
        early_ratio=min(early, likely), likely_ratio=likely, late_ratio=max(late, likely), trips=len(trips)
    )


def _ratio(trips: list[tuple[float, float]], fixed_s: float, share: float) -> float:
    """The ratio of real time, less a fixed part, to predicted time that a share of the trips stays under.

    A trip weighs as much as its predicted time, because customers look at a long one for longer.
    """
    weighted = sorted((max(0.0, seconds - fixed_s) / travel_s, travel_s) for travel_s, seconds in trips)
    rest_s = share * sum(travel_s for _, travel_s in weighted)
    for ratio, travel_s in weighted:
        rest_s -= travel_s
        if rest_s <= 0:
            return ratio
    return weighted[-1][0]
