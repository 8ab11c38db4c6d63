"""Whether a technician is arriving at, has arrived at, or has left one job's fence, told from their fixes.

`observe` judges one trusted fix after the other in the order of their own times, `observe_many` a batch of them with
the same result, and `tick` the time that passes without any. All that is remembered in between is a `Presence`.

An arrival needs a stay: the technician inside the fence, and for a minute at a net speed of no more than 1 m/s, each
moment judged by the half minute before it. So it is told some 90 seconds after they came to a stand, and dated back to
when they came in. A minute since the stand itself would be told half a minute sooner, finds no more arrivals on
recorded taxi trips, and takes twice as many waits in traffic for one.

Net speed is not the phone's own: it is displacement over the window, which a crawling queue cannot hide. Once it is low
it counts as high again only when the displacement is beyond what the accuracy of the fixes explains; else noisy fixes
would begin the minute anew for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np

from tracking_server.domain.fix import Fix
from tracking_server.domain.geo import (
    LONGEST_DEGREE_M,
    MEAN_RADIUS_M,
    SHORTEST_DEGREE_M,
    XY,
    Plane,
    distances_to_path_m,
    enters_circle,
    enters_polygon,
    nearest_on_segment,
    polygon_distance_m,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers a stop is judged by. `version` is stored with every piece of evidence."""

    version: int = 1
    # About 20 s before the door at town speed.
    arriving_m: float = 150.0
    # A worse fix tells no more than the street: it raises nothing and changes nothing.
    worst_accuracy_m: float = 100.0
    # A fix outside the fence counts as inside if its accuracy may explain it, up to this.
    accuracy_reach_m: float = 75.0
    # Slower than a walk over half a minute: standing, as far as fixes can tell.
    still_mps: float = 1.0
    still_over_s: float = 30.0
    # With the half minute before it longer than most red lights.
    dwell_s: float = 60.0
    # The straight line between two fixes farther apart in time than this says nothing about the way between them.
    interpolate_s: float = 60.0
    # Fixes inside before and after a longer silence are two stays.
    stay_gap_s: float = 600.0
    # Fixes thrown aside by a reflection off a wall come in runs of up to 10 s; only a longer run is a way out.
    reflection_s: float = 12.0
    # Fixes of the last dwell may still be on their way when the clock looks: it waits for this much silence.
    silence_s: float = 30.0
    # Whoever moves the van round the corner has not left. A wide fence moves the line out with it.
    departed_m: float = 200.0
    departed_beyond_fence_m: float = 140.0
    # After this much silence beyond the line, one fix is enough.
    departed_s: float = 60.0


RULES = Rules()

# A stay keeps one fix in 5 s: enough for a window of 30 s, and 8 of them are a small memory at any rate of fixes.
KEEP_EVERY_S = 5.0

# Clear stretches of the way are told from others in one vectorised test; for fewer fixes than this a loop is faster.
FEW_FIXES = 12

# The vectorised test may differ from the exact one in the last digits; this many metres of margin are beyond any doubt.
CLEAR_MARGIN_M = 10.0


@dataclass(frozen=True)
class Geofence:
    """The place of a job: a circle of `radius_m` around a centre, or a polygon of (lon, lat) corners.

    An `entrance` replaces the centre for the distance that is shown and for "arriving".
    """

    lon: float
    lat: float
    radius_m: float = 60.0
    polygon: tuple[tuple[float, float], ...] | None = None
    entrance: tuple[float, float] | None = None

    def distance_m(self, lon: float, lat: float) -> float:
        """How far a place is from the entrance, or from the centre where no entrance is known."""
        return self.door_distance_m(self.plane.to_xy(lon, lat))

    @cached_property
    def plane(self) -> Plane:
        """The map in metres, around the centre, in which everything about this fence is measured."""
        return Plane(self.lon, self.lat)

    @cached_property
    def door(self) -> XY:
        return (0.0, 0.0) if self.entrance is None else self.plane.to_xy(*self.entrance)

    @cached_property
    def ring(self) -> tuple[XY, ...] | None:
        return None if self.polygon is None else tuple(self.plane.to_xy(lon, lat) for lon, lat in self.polygon)

    @cached_property
    def size_m(self) -> float:
        """No place inside is farther than this from the centre."""
        return self.radius_m if self.ring is None else max(math.hypot(x, y) for x, y in self.ring)

    def door_distance_m(self, p: XY) -> float:
        return math.hypot(p[0] - self.door[0], p[1] - self.door[1])

    def outside_m(self, p: XY) -> float:
        """How far a place is outside the fence; 0 inside."""
        if self.ring is not None:
            return polygon_distance_m(self.ring, p)
        return max(0.0, math.hypot(p[0], p[1]) - self.radius_m)

    def reach_m(self, accuracy_m: float, rules: Rules) -> float:
        """How far outside the fence a fix still counts as inside: a circle grows to the accuracy, a polygon by it."""
        reach = min(accuracy_m, rules.accuracy_reach_m)
        return reach if self.ring is not None else max(0.0, reach - self.radius_m)

    def entered(self, a: XY, b: XY, reach_m: float) -> float | None:
        """The share of the straight way from a to b at which the fence is reached."""
        if self.ring is not None:
            return enters_polygon(self.ring, a, b)
        return enters_circle(a, b, self.radius_m + reach_m)

    def departed_line_m(self, rules: Rules) -> float:
        """How far outside the fence the line lies beyond which a technician has left."""
        if self.ring is not None:
            return rules.departed_m
        return max(rules.departed_m - self.radius_m, rules.departed_beyond_fence_m)


class Seen(NamedTuple):
    """What is remembered of a fix. Accuracy 0 means unknown."""

    time_s: float
    lon: float
    lat: float
    accuracy_m: float
    speed_mps: float | None


class Presence(NamedTuple):
    """The memory of one stop. `Presence()` begins a new shift or a new assignment.

    `phase`: "new", nothing seen yet; "away", not inside; "inside", a stay that may become an arrival; "there", arrived
    or there from the beginning; "undone", an arrival was taken back and the technician has not left since.
    """

    phase: Literal["new", "away", "inside", "there", "undone"] = "new"
    last: Seen | None = None
    arriving_told: bool = False
    # inside: when the stay began. there: when the arrival was; an earlier fix is no departure from it.
    since_s: float | None = None
    # inside: since when the net speed has been low.
    still_since_s: float | None = None
    # inside, undone: since when the fixes have all been outside, beyond their accuracy.
    missed_since_s: float | None = None
    # inside: the first fix, and those the net speed needs. there: the first and the newest beyond the departure line.
    fixes: tuple[Seen, ...] = ()
    # inside: how many fixes of the stay were inside, of how many that may have been.
    inside: int = 0
    inside_of: int = 0
    # there: whether a fix was on this side of the departure line; nobody can depart after a tap from far away.
    near: bool = False

    def is_later_than(self, time_s: float) -> bool:
        """Whether it remembers something from after this time."""
        return any(fix.time_s > time_s for fix in (*self.fixes, *([self.last] if self.last else [])))

    def to_json(self) -> dict[str, Any]:
        """Plain values, without those at their default."""
        pairs = zip(self._fields, self, Presence(), strict=True)
        changed: dict[str, Any] = {name: value for name, value, unchanged in pairs if value != unchanged}
        if self.last is not None:
            changed["last"] = list(self.last)
        if self.fixes:
            changed["fixes"] = [list(fix) for fix in self.fixes]
        return changed

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Presence:
        """The reverse of `to_json`."""
        given = dict(value)
        if "last" in given:
            given["last"] = Seen(*given["last"])
        given["fixes"] = tuple(Seen(*fix) for fix in given.get("fixes", ()))
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something the fence saw. `at_s` is when it happened, which may be long before it could be told."""

    kind: Literal["arriving", "arrived", "departed"]
    at_s: float
    evidence: dict[str, Any]


Judged = tuple[Presence, list[Sighting]]
_Motion = Literal["still", "unsure", "moving"]


class _Look(NamedTuple):
    """A fix as seen from one fence."""

    seen: Seen
    xy: XY
    outside_m: float
    inside: bool

    @property
    def surely_outside(self) -> bool:
        return not self.inside and self.outside_m > self.seen.accuracy_m


def observe(geofence: Geofence, presence: Presence, fix: Fix, rules: Rules = RULES) -> Judged:
    """Judge the next fix. One that is not newer than the memory, or not accurate enough, changes nothing."""
    last = presence.last
    if not _accurate(fix, rules) or (last is not None and fix.time_s <= last.time_s):
        return presence, []
    look = _look(geofence, fix, rules)
    if presence.phase == "there":
        return _leave(geofence, presence, look, rules)
    if presence.phase == "undone":
        return _leave_undone(presence, look, rules), []
    if presence.phase == "new" and look.inside:
        return Presence("there", look.seen, near=True), []
    sightings = [] if presence.arriving_told else _arriving(geofence, last, look, rules)
    told = presence.arriving_told or bool(sightings)
    if presence.phase == "inside" and last is not None:
        after, arrived = _dwell(geofence, presence, last, look, rules)
        return (after._replace(arriving_told=True) if told else after), sightings + arrived
    if look.inside:
        return _enter(geofence, last, look, told, rules), sightings
    return Presence("away", look.seen, told), sightings


def observe_many(geofence: Geofence, presence: Presence, fixes: Iterable[Fix], rules: Rules = RULES) -> Judged:
    """Judge many fixes in the order of their times, whatever order they come in: the same as one by one, but faster.

    Stretches of the way that stay clear of the fence are found in one vectorised test and skipped: while a technician
    is away, they change nothing but where and when that technician was seen last.
    """
    ordered = _ordered(presence, fixes, rules)
    last, near_m = presence.last, _near_m(geofence, rules)
    if presence.phase == "away" and last is not None and ordered and _is_far(geofence, [last, *ordered], near_m):
        return Presence("away", _seen(ordered[-1]), presence.arriving_told), []
    clear_until = _clear_until(geofence, ordered, near_m)
    sightings: list[Sighting] = []
    i = 0
    while i < len(ordered):
        if presence.phase == "away" and clear_until[i] > i:
            i = clear_until[i]
            presence = Presence("away", _seen(ordered[i - 1]), presence.arriving_told)
            continue
        presence, more = observe(geofence, presence, ordered[i], rules)
        sightings += more
        i += 1
    return presence, sightings


def tick(geofence: Geofence, presence: Presence, now_s: float, rules: Rules = RULES) -> Judged:
    """Judge the silence until now: a dwell or a departure that is over although no further fix has come."""
    at_s = due_s(presence, rules)
    if at_s is None or now_s < at_s or presence.last is None:
        return presence, []
    if presence.phase == "there":
        return _departed(geofence, presence, presence.last, "clock", rules)
    return _arrived(geofence, presence, presence.last, now_s, "clock", rules)


def due_s(presence: Presence, rules: Rules = RULES) -> float | None:
    """When `tick` is due if no fix comes before; None while time alone can change nothing.

    A dwell goes on in silence only for a technician whose fixes show them standing, by the net speed or by the phone's
    own; and only after two fixes inside, since a single one proves nothing.
    """
    last = presence.last
    if presence.phase == "there":
        return presence.fixes[0].time_s + rules.departed_s if presence.fixes else None
    if presence.phase != "inside" or last is None or presence.missed_since_s is not None:
        return None
    if presence.inside < 2 or not _mostly_inside(presence):
        return None
    if presence.still_since_s is not None:
        return max(presence.still_since_s + rules.dwell_s, last.time_s + rules.silence_s)
    slow = last.speed_mps is not None and 0.0 <= last.speed_mps <= rules.still_mps
    return last.time_s + rules.dwell_s if slow else None


def tell_arrived(presence: Presence, at_s: float) -> Presence:
    """The technician said that they arrived: the fence will not tell it again, and can only see a later departure."""
    return Presence("there", presence.last, presence.arriving_told, since_s=at_s)


def undo(presence: Presence) -> Presence:
    """An arrival was taken back: the next needs the technician to leave the fence and to come in again."""
    return Presence("undone", presence.last, presence.arriving_told)


def _arriving(geofence: Geofence, last: Seen | None, look: _Look, rules: Rules) -> list[Sighting]:
    """Within 150 m of the door, or passing there between two fixes."""
    nearest_m = geofence.door_distance_m(look.xy)
    at_s = look.seen.time_s
    near = nearest_m <= rules.arriving_m or look.inside
    if last is not None and at_s - last.time_s <= rules.interpolate_s:
        before = geofence.plane.to_xy(last.lon, last.lat)
        share = enters_circle(before, look.xy, rules.arriving_m, geofence.door)
        if share is not None:
            near = True
            at_s = last.time_s + share * (at_s - last.time_s)
            nearest_m = nearest_on_segment(before, look.xy, geofence.door)[1]
    if not near:
        return []
    used = (look.seen,) if last is None else (last, look.seen)
    return [Sighting("arriving", at_s, _evidence(geofence, used, nearest_m, "fix", rules))]


def _enter(geofence: Geofence, last: Seen | None, look: _Look, told: bool, rules: Rules) -> Presence:
    """A stay begins when the straight way from the fix before reached the fence, or with its first fix."""
    seen = look.seen
    since_s = seen.time_s
    if last is not None and seen.time_s - last.time_s <= rules.interpolate_s:
        before = geofence.plane.to_xy(last.lon, last.lat)
        share = geofence.entered(before, look.xy, geofence.reach_m(seen.accuracy_m, rules))
        if share is not None:
            since_s = last.time_s + share * (seen.time_s - last.time_s)
    return Presence("inside", seen, told, since_s, fixes=(seen,), inside=1, inside_of=1)


def _dwell(geofence: Geofence, presence: Presence, last: Seen, look: _Look, rules: Rules) -> Judged:
    """The next fix of a stay: it may end the stay, carry it on, or complete the arrival."""
    seen = look.seen
    silence_s = seen.time_s - last.time_s
    if silence_s > rules.stay_gap_s or (presence.missed_since_s is not None and silence_s > rules.interpolate_s):
        if look.inside:
            return _enter(geofence, last, look, presence.arriving_told, rules), []
        return Presence("away", seen, presence.arriving_told), []
    if look.surely_outside:
        return _miss(presence, seen, rules), []
    fixes = _kept(presence.fixes, seen, rules)
    oldest = _oldest(fixes, seen, rules)
    motion = _motion(geofence, oldest, look, rules)
    since_s = presence.still_since_s
    if motion == "still" and since_s is None:
        since_s = oldest.time_s + rules.still_over_s
    presence = presence._replace(
        last=seen,
        still_since_s=None if motion == "moving" else since_s,
        missed_since_s=None,
        fixes=fixes,
        inside=presence.inside + look.inside,
        inside_of=presence.inside_of + 1,
    )
    dwell_over = presence.still_since_s is not None and seen.time_s - presence.still_since_s >= rules.dwell_s
    if dwell_over and motion == "still" and look.inside and _mostly_inside(presence):
        return _arrived(geofence, presence, seen, seen.time_s, "fix", rules)
    return presence, []


def _miss(presence: Presence, seen: Seen, rules: Rules) -> Presence:
    """A fix outside: the technician has left if those before it were outside too, for longer than a reflection."""
    since_s = seen.time_s if presence.missed_since_s is None else presence.missed_since_s
    if seen.time_s - since_s >= rules.reflection_s:
        return Presence("away", seen, presence.arriving_told)
    return presence._replace(last=seen, missed_since_s=since_s)


def _kept(fixes: tuple[Seen, ...], seen: Seen, rules: Rules) -> tuple[Seen, ...]:
    """The first fix of a stay, and thinned those from the newest that is old enough for the net speed."""
    start = 1
    while start + 1 < len(fixes) and seen.time_s - fixes[start + 1].time_s >= rules.still_over_s:
        start += 1
    due = seen.time_s - fixes[-1].time_s >= KEEP_EVERY_S
    return (fixes[0], *fixes[start:], seen) if due else (fixes[0], *fixes[start:])


def _oldest(fixes: tuple[Seen, ...], seen: Seen, rules: Rules) -> Seen:
    """The fix that the net speed is measured from."""
    old = len(fixes) > 1 and seen.time_s - fixes[1].time_s >= rules.still_over_s
    return fixes[1] if old else fixes[0]


def _motion(geofence: Geofence, first: Seen, look: _Look, rules: Rules) -> _Motion:
    """What the net speed since the oldest fix of the window says, given what the accuracy of both may explain."""
    span_s = look.seen.time_s - first.time_s
    if span_s < rules.still_over_s:
        return "unsure"
    x, y = geofence.plane.to_xy(first.lon, first.lat)
    moved_m = math.hypot(look.xy[0] - x, look.xy[1] - y)
    if moved_m <= rules.still_mps * span_s:
        return "still"
    explained_m = math.hypot(first.accuracy_m, look.seen.accuracy_m)
    return "unsure" if moved_m - explained_m <= rules.still_mps * span_s else "moving"


def _mostly_inside(presence: Presence) -> bool:
    """Fixes that are outside but may be inside are tolerated in a stay; a stay of nothing else is at a neighbour's."""
    return 2 * presence.inside >= presence.inside_of


def _arrived(geofence: Geofence, presence: Presence, last: Seen, now_s: float, by: str, rules: Rules) -> Judged:
    since_s = last.time_s if presence.since_s is None else presence.since_s
    used = presence.fixes if presence.fixes[-1] == last else (*presence.fixes, last)
    evidence = _evidence(geofence, used, geofence.distance_m(last.lon, last.lat), by, rules)
    evidence |= {
        "accuracy_m": last.accuracy_m or None,
        "net_speed_mps": _net_speed_mps(geofence, _oldest(presence.fixes, last, rules), last),
        "dwell_s": round(now_s - since_s, 1),
    }
    return Presence("there", last, True, since_s, near=True), [Sighting("arrived", since_s, evidence)]


def _net_speed_mps(geofence: Geofence, first: Seen, last: Seen) -> float | None:
    if last.time_s <= first.time_s:
        return None
    (x1, y1), (x2, y2) = (geofence.plane.to_xy(fix.lon, fix.lat) for fix in (first, last))
    return round(math.hypot(x2 - x1, y2 - y1) / (last.time_s - first.time_s), 2)


def _leave(geofence: Geofence, presence: Presence, look: _Look, rules: Rules) -> Judged:
    """A technician who is there departs with two fixes beyond the line that are not one reflection."""
    seen, last = look.seen, presence.last
    if presence.since_s is not None and seen.time_s <= presence.since_s:
        return presence._replace(last=seen), []
    line_m = geofence.departed_line_m(rules)
    if look.outside_m - seen.accuracy_m <= line_m:
        return presence._replace(last=seen, fixes=(), near=True), []
    near = presence.near or (last is not None and _was_near(geofence, last, line_m))
    if not near:
        return presence._replace(last=seen), []
    presence = presence._replace(last=seen, near=True, fixes=(*presence.fixes[:1], seen))
    if seen.time_s - presence.fixes[0].time_s < rules.reflection_s:
        return presence, []
    return _departed(geofence, presence, seen, "fix", rules)


def _was_near(geofence: Geofence, last: Seen, line_m: float) -> bool:
    return geofence.outside_m(geofence.plane.to_xy(last.lon, last.lat)) - last.accuracy_m <= line_m


def _departed(geofence: Geofence, presence: Presence, last: Seen, by: str, rules: Rules) -> Judged:
    evidence = _evidence(geofence, presence.fixes, geofence.distance_m(last.lon, last.lat), by, rules)
    sighting = Sighting("departed", presence.fixes[0].time_s, evidence)
    return Presence("away", last, presence.arriving_told), [sighting]


def _leave_undone(presence: Presence, look: _Look, rules: Rules) -> Presence:
    """After an arrival was taken back, wait until the technician is out of the fence."""
    if look.surely_outside:
        return _miss(presence, look.seen, rules)
    return presence._replace(last=look.seen, missed_since_s=None)


def _evidence(geofence: Geofence, used: Sequence[Seen], distance_m: float, by: str, rules: Rules) -> dict[str, Any]:
    """What a sighting was told from, in plain values: fixes as [time, metres from the door, accuracy or null]."""
    return {
        "by": by,
        "rules": rules.version,
        "distance_m": round(distance_m, 1),
        "fixes": [
            [fix.time_s, round(geofence.distance_m(fix.lon, fix.lat), 1), fix.accuracy_m or None] for fix in used
        ],
    }


def _accurate(fix: Fix, rules: Rules) -> bool:
    return fix.accuracy_m is None or fix.accuracy_m <= rules.worst_accuracy_m


def _seen(fix: Fix) -> Seen:
    accuracy_m = fix.accuracy_m if fix.accuracy_m is not None and fix.accuracy_m > 0.0 else 0.0
    return Seen(fix.time_s, fix.lon, fix.lat, accuracy_m, fix.speed_mps)


def _look(geofence: Geofence, fix: Fix, rules: Rules) -> _Look:
    seen = _seen(fix)
    xy = geofence.plane.to_xy(fix.lon, fix.lat)
    outside_m = geofence.outside_m(xy)
    return _Look(seen, xy, outside_m, outside_m <= geofence.reach_m(seen.accuracy_m, rules))


def _ordered(presence: Presence, fixes: Iterable[Fix], rules: Rules) -> list[Fix]:
    """The fixes that `observe` would not ignore, by time; of several at one time the first by number."""
    newest_s = -math.inf if presence.last is None else presence.last.time_s
    given = list(fixes)
    if _follow_each_other(newest_s, given, rules.worst_accuracy_m):
        return given
    ordered: list[Fix] = []
    for fix in sorted(given, key=attrgetter("time_s", "stream", "seq")):
        if fix.time_s > newest_s and _accurate(fix, rules):
            ordered.append(fix)
            newest_s = fix.time_s
    return ordered


def _follow_each_other(newest_s: float, fixes: Sequence[Fix], worst_accuracy_m: float) -> bool:
    """Whether there is nothing to sort or to leave out: so it is with nearly every delivery."""
    for fix in fixes:
        if fix.time_s <= newest_s or (fix.accuracy_m is not None and fix.accuracy_m > worst_accuracy_m):
            return False
        newest_s = fix.time_s
    return True


def _clear_until(geofence: Geofence, ordered: Sequence[Fix], near_m: float) -> Sequence[int]:
    """For each fix, the next from it on that is not clear. Clear: with the way from the fix before, nowhere near."""
    n = len(ordered)
    if n < FEW_FIXES:
        return range(n)
    xys = geofence.plane.to_xys([fix.lon for fix in ordered], [fix.lat for fix in ordered])
    clear = np.concatenate(([False], distances_to_path_m(xys) > near_m))
    unclear_at = np.where(clear, n, np.arange(n))
    until: list[int] = np.minimum.accumulate(unclear_at[::-1])[::-1].tolist()
    return until


def _near_m(geofence: Geofence, rules: Rules) -> float:
    """What happens farther than this from the fence's centre means nothing to it."""
    door_m = math.hypot(*geofence.door)
    return max(door_m + rules.arriving_m, geofence.size_m + rules.accuracy_reach_m) + CLEAR_MARGIN_M


def _is_far(geofence: Geofence, fixes: Sequence[Fix | Seen], near_m: float) -> bool:
    """Whether a box around the fixes is farther from the fence than `near_m` and its own size: then no straight way
    between any of them comes near. True of nearly every delivery, and found without looking at each fix's distance.
    """
    lons, lats = [fix.lon for fix in fixes], [fix.lat for fix in fixes]
    west, east, south, north = min(lons), max(lons), min(lats), max(lats)
    size_m = (east - west + north - south) * LONGEST_DEGREE_M
    beside = max(west - geofence.lon, geofence.lon - east)
    beyond = max(south - geofence.lat, geofence.lat - north)
    away_m = max(beyond, 0.0) * SHORTEST_DEGREE_M
    if 0.0 < beside < 90.0:  # how far the fence's meridian is from the box, on a sphere
        nearest_pole = math.radians(max(abs(south), abs(north)))
        away_m = max(away_m, MEAN_RADIUS_M * 0.99 * math.asin(math.cos(nearest_pole) * math.sin(math.radians(beside))))
    return away_m > near_m + size_m
