"""A ride as a phone would have told it: a route's shape made into fixes a second apart.

Pure, and the same for the same seed. The rider speeds up and brakes as people do, slows down before corners, and stands
at the door; the fixes stray as a phone's do between houses, slowly from one side to the other.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from tracking_server.domain.geo import XY, Plane

LonLat = tuple[float, float]

CRUISE_MPS = 12 / 3.6
SPEEDS_UP_MPS2 = 0.5
BRAKES_MPS2 = 0.8
CORNER_MPS = 1.4  # round a right angle; gentler ones are taken faster
CORNER_WITHIN_M = 6.0  # a bend is what turns within so far before and after a place
STEP_M = 1.0
DWELL_S = 150.0  # an arrival needs 90 s at the door

STRAYS_M = 3.0  # one standard deviation, to each side
STRAYING_LASTS_S = 25.0
SAYS_M = (4.0, 14.0)  # what a phone says of its accuracy, at best and at worst
DIGITS = 6  # 10 cm


@dataclass(frozen=True, slots=True)
class DrivenFix:
    """One fix, `after_s` seconds after the ride begins."""

    after_s: float
    lon: float
    lat: float
    accuracy_m: float
    speed_mps: float
    course_deg: float | None


@dataclass(frozen=True, slots=True)
class Ride:
    """The fixes of a ride, the last ones at the door, which is reached after `arrives_s` seconds."""

    fixes: tuple[DrivenFix, ...]
    arrives_s: float

    def between(self, from_s: float, until_s: float) -> Ride:
        """The same ride, without what comes before or, at the earliest, at `until_s`."""
        return replace(self, fixes=tuple(fix for fix in self.fixes if from_s <= fix.after_s < until_s))


def ride(
    shape: Sequence[LonLat], seed: int, cruise_mps: float = CRUISE_MPS, dwell_s: float = DWELL_S, every_s: float = 1.0
) -> Ride:
    """Follow a shape of at least one place from standing to standing, and stay where it ends."""
    plane = Plane(*shape[-1])
    path = _Path([plane.to_xy(lon, lat) for lon, lat in shape])
    metres, seconds, speeds = _timetable(path, cruise_mps)
    arrives_s = seconds[-1]
    chance = random.Random(seed)  # noqa: S311 (a ride, not a secret)
    straying = _Straying(chance, every_s)
    fixes = []
    for tick in range(math.floor((arrives_s + dwell_s) / every_s) + 1):
        after_s = tick * every_s
        driven_m, speed_mps = _at(after_s, metres, seconds, speeds)
        x, y = path.at(driven_m)
        (dx, dy), accuracy_m = straying.step()
        lon, lat = _to_lonlat(plane, x + dx, y + dy)
        moving = speed_mps > 0.3  # a phone that hardly moves knows no course
        course = path.course_deg(driven_m) if moving else None
        told = round(max(0.0, speed_mps + chance.gauss(0, 0.15)), 2) if moving else 0.0
        fixes.append(DrivenFix(after_s, lon, lat, accuracy_m, told, course))
    return Ride(tuple(fixes), arrives_s)


class _Path:
    """A line in metres, by the distance along it."""

    def __init__(self, places: Sequence[XY]) -> None:
        self._places = [place for i, place in enumerate(places) if i == 0 or place != places[i - 1]]
        self._marks = [0.0, *accumulate(math.dist(a, b) for a, b in pairwise(self._places))]

    @property
    def length_m(self) -> float:
        return self._marks[-1]

    def at(self, metres: float) -> XY:
        """The place so far along it; before and beyond it, its ends."""
        if len(self._places) == 1 or metres <= 0:
            return self._places[0]
        if metres >= self.length_m:
            return self._places[-1]
        i = bisect_right(self._marks, metres) - 1
        (x1, y1), (x2, y2) = self._places[i], self._places[i + 1]
        share = (metres - self._marks[i]) / (self._marks[i + 1] - self._marks[i])
        return x1 + share * (x2 - x1), y1 + share * (y2 - y1)

    def heading(self, from_m: float, to_m: float) -> float | None:
        """In radians from north, to the right; None where it goes nowhere."""
        (x1, y1), (x2, y2) = self.at(from_m), self.at(to_m)
        return math.atan2(x2 - x1, y2 - y1) if (x1, y1) != (x2, y2) else None

    def course_deg(self, metres: float) -> float | None:
        heading = self.heading(metres - STEP_M, metres + STEP_M)
        return None if heading is None else round(math.degrees(heading) % 360, 1)

    def turn_rad(self, metres: float) -> float:
        """How sharply it bends here, either way."""
        before = self.heading(metres - CORNER_WITHIN_M, metres)
        after = self.heading(metres, metres + CORNER_WITHIN_M)
        if before is None or after is None:
            return 0.0
        return abs(math.remainder(after - before, math.tau))


def _timetable(path: _Path, cruise_mps: float) -> tuple[list[float], list[float], list[float]]:
    """Metres along the path, with the second at which each is reached and the speed there."""
    count = max(1, math.ceil(path.length_m / STEP_M))
    metres = [path.length_m * i / count for i in range(count + 1)]
    limits = [_bend_mps(path.turn_rad(mark), cruise_mps) for mark in metres]
    limits[0] = limits[-1] = 0.0
    step_m = path.length_m / count
    speeds = _within(limits, SPEEDS_UP_MPS2, step_m)
    speeds = _within(speeds[::-1], BRAKES_MPS2, step_m)[::-1]
    seconds = [0.0, *accumulate(_seconds(step_m, a, b) for a, b in pairwise(speeds))]
    return metres, seconds, speeds


def _bend_mps(turn_rad: float, cruise_mps: float) -> float:
    """Full speed straight on, `CORNER_MPS` round a right angle and sharper, in between in between."""
    slow = min(CORNER_MPS, cruise_mps)
    return cruise_mps - (cruise_mps - slow) * min(1.0, turn_rad / (math.pi / 2))


def _within(limits: Sequence[float], by_mps2: float, step_m: float) -> list[float]:
    """The speeds that can be reached with this acceleration, one after the other."""
    speeds = [limits[0]]
    for limit in limits[1:]:
        speeds.append(min(limit, math.sqrt(speeds[-1] ** 2 + 2 * by_mps2 * step_m)))
    return speeds


def _seconds(step_m: float, from_mps: float, to_mps: float) -> float:
    """With constant acceleration. A step from standing to standing, on a path shorter than one, is walked."""
    if step_m == 0:
        return 0.0
    return step_m / ((from_mps + to_mps) / 2 or 1.0)


def _at(
    after_s: float, metres: Sequence[float], seconds: Sequence[float], speeds: Sequence[float]
) -> tuple[float, float]:
    """How far it is by then, and how fast."""
    if after_s >= seconds[-1]:
        return metres[-1], 0.0
    i = bisect_right(seconds, after_s) - 1
    share = (after_s - seconds[i]) / (seconds[i + 1] - seconds[i])
    speed = speeds[i] + share * (speeds[i + 1] - speeds[i])
    passed = (after_s - seconds[i]) * (speeds[i] + speed) / 2
    return min(metres[i + 1], metres[i] + (passed or share * (metres[i + 1] - metres[i]))), speed


class _Straying:
    """How far a fix is beside the truth: it wanders, because the sky that a phone sees changes slowly."""

    def __init__(self, chance: random.Random, every_s: float) -> None:
        self._chance = chance
        self._keeps = math.exp(-every_s / STRAYING_LASTS_S)
        self._fresh = math.sqrt(1 - self._keeps**2)
        self._x, self._y = (chance.gauss(0, STRAYS_M) for _ in "xy")
        self._sky = chance.random()  # 0 is open, 1 is a narrow street

    def step(self) -> tuple[XY, float]:
        """The next error in metres, and the accuracy that a phone says with it."""
        self._x = self._keeps * self._x + self._fresh * self._chance.gauss(0, STRAYS_M)
        self._y = self._keeps * self._y + self._fresh * self._chance.gauss(0, STRAYS_M)
        self._sky = min(1.0, max(0.0, self._sky + self._chance.gauss(0, 0.03)))
        best, worst = SAYS_M
        return (self._x, self._y), round(best + (worst - best) * self._sky, 1)


def _to_lonlat(plane: Plane, x: float, y: float) -> LonLat:
    """Near the plane's origin. One step of Newton's method after a guess on a sphere: to centimetres."""
    lat_m = 111_320.0
    lon, lat = plane.lon, plane.lat
    for _ in range(3):
        at_x, at_y = plane.to_xy(lon, lat)
        lon += (x - at_x) / (lat_m * math.cos(math.radians(lat)))
        lat += (y - at_y) / lat_m
    return round(lon, DIGITS), round(lat, DIGITS)
