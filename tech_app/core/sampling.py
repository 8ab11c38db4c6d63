"""Which fixes are worth keeping, and what to ask the GPS for next: pure.

Off shift and on a break nobody asks for a fix at all (`tracking`). Standing: a sign of life now and then. Driving: a
fix every ten seconds and at every turn. Near the door of the job one drives to: the density that an arrival needs. A
battery that runs low doubles all intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from tech_app.core.fix import Fix
from tech_app.core.geo import course_deg, distance_m, turn_deg
from tech_app.core.gps.base import Request

LOW_BATTERY_PCT = 20.0
# A worse fix raises no event at the service and is shown to nobody.
COARSE_M = 100.0
# ... but where nothing better comes, it is better than silence.
COARSE_AFTER_S = 60.0
# 250 km/h: no van does that.
JUMP_MPS = 70.0
# A fix that is older than the last one by more is not late: the phone's clock was set back.
LATE_S = 60.0
# The phone may have been asleep or on a ferry: the third fix over there is true.
MOST_JUMPS = 2
# Whoever was nowhere else for so long stands; fixes of a phone on a desk wander less than this far.
STILL_AFTER_S = 300.0
STILL_WITHIN_M = 40.0
# At town speed half a minute before the door.
NEAR_M = 350.0
TURN_DEG = 30.0
# Between two fixes nearer to each other than this a direction is noise.
COURSE_OVER_M = 15.0
# Nearer to the last kept fix than this, a fix near the door only says that one waits.
MOVED_M = 10.0


class Profile(StrEnum):
    """How closely the phone is followed."""

    still = "still"
    driving = "driving"
    near = "near"


@dataclass(frozen=True, slots=True)
class Pace:
    """A profile in numbers: what is asked for, what is kept when moving, and when not."""

    ask_s: float
    keep_s: float
    waiting_s: float


PACES = {
    Profile.still: Pace(30.0, 240.0, 240.0),
    Profile.driving: Pace(5.0, 10.0, 50.0),
    Profile.near: Pace(3.0, 6.0, 15.0),
}
# The customer of a job on the way sees a position as old after a minute.
WAITED_FOR_S = 50.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered between two fixes. `Memory()` begins a shift."""

    kept: Fix | None = None
    # The last usable fix, kept or not.
    seen: Fix | None = None
    # The fix that all since then were near to.
    anchor: Fix | None = None
    # The direction of the way between the last kept fix and the one before it.
    course_deg: float | None = None
    # How many fixes in a row were thrown aside.
    jumps: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to keep the fix, and what to ask for next."""

    memory: Memory
    keep: bool
    profile: Profile
    request: Request


def begin(battery_pct: float | None = None) -> Request:
    """What to ask for before there is a fix."""
    return _request(Profile.driving, battery_pct)


def sample(memory: Memory, fix: Fix, battery_pct: float | None, away_m: float | None) -> Decision:
    """Judge the next fix of a shift. `away_m` is the distance to the job one is on the way to, None without one."""
    if fix.is_place and memory.seen is not None and memory.seen.time_s - fix.time_s > LATE_S:
        memory = Memory()
    seen = memory.seen
    profile = _profile(memory, fix, away_m)
    if not fix.is_place or (seen is not None and fix.time_s <= seen.time_s):
        return Decision(memory, False, profile, _request(profile, battery_pct))
    if _is_coarse(memory, fix):
        return Decision(memory, False, profile, _request(profile, battery_pct))
    if seen is not None and _is_jump(seen, fix) and memory.jumps < MOST_JUMPS:
        return Decision(replace(memory, jumps=memory.jumps + 1), False, profile, _request(profile, battery_pct))
    anchor = memory.anchor if memory.anchor is not None and _away(memory.anchor, fix) <= STILL_WITHIN_M else fix
    memory = replace(memory, seen=fix, anchor=anchor, jumps=0)
    profile = _profile(memory, fix, away_m)
    keep = _is_worth_keeping(memory, fix, profile, _slower(battery_pct), waited_for=away_m is not None)
    if keep:
        memory = replace(memory, kept=fix, course_deg=_course(memory, fix))
    return Decision(memory, keep, profile, _request(profile, battery_pct))


def _profile(memory: Memory, fix: Fix, away_m: float | None) -> Profile:
    if memory.anchor is not None and fix.time_s - memory.anchor.time_s >= STILL_AFTER_S:
        return Profile.still
    if away_m is not None and away_m <= NEAR_M:
        return Profile.near
    return Profile.driving


def _request(profile: Profile, battery_pct: float | None) -> Request:
    return Request(PACES[profile].ask_s * _slower(battery_pct))


def _slower(battery_pct: float | None) -> float:
    return 2.0 if battery_pct is not None and battery_pct < LOW_BATTERY_PCT else 1.0


def _is_coarse(memory: Memory, fix: Fix) -> bool:
    if fix.accuracy_m is None or fix.accuracy_m <= COARSE_M:
        return False
    return memory.seen is None or fix.time_s - memory.seen.time_s < COARSE_AFTER_S


def _is_jump(seen: Fix, fix: Fix) -> bool:
    return _away(seen, fix) > JUMP_MPS * max(fix.time_s - seen.time_s, 1.0)


def _is_worth_keeping(memory: Memory, fix: Fix, profile: Profile, slower: float, *, waited_for: bool) -> bool:
    kept = memory.kept
    if kept is None:
        return True
    pace = PACES[profile]
    since_s = fix.time_s - kept.time_s
    moved_m = _away(kept, fix)
    if profile is Profile.still:
        return since_s >= (WAITED_FOR_S if waited_for else pace.waiting_s) * slower
    if moved_m < MOVED_M:
        return since_s >= pace.waiting_s * slower
    return since_s >= pace.keep_s * slower or _turned(memory, fix, moved_m)


def _turned(memory: Memory, fix: Fix, moved_m: float) -> bool:
    kept = memory.kept
    if kept is None or memory.course_deg is None or moved_m < COURSE_OVER_M:
        return False
    return turn_deg(memory.course_deg, course_deg(kept.lat, kept.lon, fix.lat, fix.lon)) >= TURN_DEG


def _course(memory: Memory, fix: Fix) -> float | None:
    kept = memory.kept
    if kept is None or _away(kept, fix) < COURSE_OVER_M:
        return memory.course_deg
    return course_deg(kept.lat, kept.lon, fix.lat, fix.lon)


def _away(a: Fix, b: Fix) -> float:
    return distance_m(a.lat, a.lon, b.lat, b.lon)
