"""One GPS fix and its verdict: what became of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from tracking_server.domain.geo import LONGEST_DEGREE_M, distance_m
from tracking_server.domain.shift import Shift, covered

DAY_S = 86_400.0
STREAM_DAY_SHIFT = 20  # stream = day << 20 | n: a million streams a day per phone
FUTURE_LIMIT_S = 120.0  # beyond it a time is a fault, not a clock a little ahead
OLDEST_S = 30 * DAY_S  # raw fixes are kept 30 days: an older one would be deleted on the day it came
COARSE_M = 100.0  # a fix less accurate than this raises no event
JUMP_MPS = 70.0  # 250 km/h: no van does that
SKEW_LIMIT_S = 30.0  # below it, a clock's error cannot be told from a slow network


class Verdict(StrEnum):
    """Why a fix is not trusted. A trusted fix has none."""

    coarse = "coarse"  # stored; accuracy above 100 m: raises no event, is not shown
    jump = "jump"  # quarantined in place: implied speed above 70 m/s on both sides
    bad_coordinates = "bad_coordinates"
    future = "future"
    too_old = "too_old"
    stream_day = "stream_day"  # its time is not near the day its stream was begun
    unreadable = "unreadable"
    refused = "refused"  # the database would not have it
    not_on_shift = "not_on_shift"  # answered, not kept


QUARANTINE_TABLE = frozenset(
    {
        Verdict.bad_coordinates,
        Verdict.future,
        Verdict.too_old,
        Verdict.stream_day,
        Verdict.unreadable,
        Verdict.refused,
    }
)
QUARANTINED = QUARANTINE_TABLE | {Verdict.jump}


class Fix(NamedTuple):
    """A GPS fix as judged: its time is already on the server's clock. None means the phone did not say.

    A tuple, because a million of them are made in a minute: a frozen dataclass takes five times as long to make.
    """

    stream: int
    seq: int
    time_s: float
    lon: float
    lat: float
    accuracy_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    altitude_m: float | None = None
    battery_pct: float | None = None
    mock: bool = False


def stream_day_s(stream: int) -> float:
    """Midnight UTC, in epoch seconds, of the day that the phone began the stream."""
    return (stream >> STREAM_DAY_SHIFT) * DAY_S


def skew_s(sent_s: float | None, received_s: float) -> float:
    """What to add to this phone's times to have them on the server's clock."""
    if sent_s is None or abs(received_s - sent_s) <= SKEW_LIMIT_S:
        return 0.0
    return received_s - sent_s


def judge_alone(fix: Fix, skew_s: float, received_s: float, shifts: Iterable[Shift]) -> Verdict | None:
    """What one fix says about itself, without its neighbours."""
    if not (abs(fix.lat) <= 90 and abs(fix.lon) <= 180) or (fix.lat == 0 and fix.lon == 0):
        return Verdict.bad_coordinates  # NaN fails both comparisons; 0, 0 is what broken receivers say
    if not math.isfinite(fix.time_s) or fix.time_s > received_s + FUTURE_LIMIT_S:
        return Verdict.future
    if fix.time_s < received_s - OLDEST_S:
        return Verdict.too_old
    if not -DAY_S <= fix.time_s - skew_s - stream_day_s(fix.stream) < 3 * DAY_S:
        return Verdict.stream_day
    if not covered(fix.time_s, shifts):
        return Verdict.not_on_shift
    if fix.accuracy_m is not None and fix.accuracy_m > COARSE_M:
        return Verdict.coarse
    return None


def judge_speed(last: Fix | None, suspect: Fix | None, fixes: Sequence[Fix]) -> SpeedJudgement:
    """Find the jumps among `fixes`, which are trusted so far and in time order.

    `last` is the newest trusted fix before them and `suspect` a fix after it that implied a jump and waits for its
    other side. A suspect is a jump when the next fix is near `last` again, and true when the next is near the suspect.
    """
    cleared: Fix | None = None
    trusted: list[Fix] = []
    jumps: list[Fix] = []
    waiting = suspect
    for fix in fixes:
        if last is None or not is_jump(last, fix):
            if waiting is not None and waiting is not suspect:
                jumps.append(waiting)
            waiting = None
        elif waiting is not None and not is_jump(waiting, fix):
            if waiting is suspect:
                cleared = suspect
            trusted.append(waiting)
            waiting = None
        else:
            if waiting is not None and waiting is not suspect:
                jumps.append(waiting)
            waiting = fix
            continue
        trusted.append(fix)
        last = fix
    if waiting is not None and waiting is not suspect:
        jumps.append(waiting)
    return SpeedJudgement(trusted, jumps, cleared, waiting)


@dataclass(frozen=True, slots=True)
class SpeedJudgement:
    """`jumps` are the new ones, the last of them possibly still waiting; `cleared` was one before and is none."""

    trusted: list[Fix]
    jumps: list[Fix]
    cleared: Fix | None
    waiting: Fix | None


def is_jump(a: Fix, b: Fix) -> bool:
    """Whether no van comes from one fix to the other in time; fixes within a second count as one apart.

    Nearly all are neighbours, for which a bound on the distance decides, without any trigonometry.
    """
    reach_m = JUMP_MPS * max(abs(b.time_s - a.time_s), 1.0)
    if (abs(b.lon - a.lon) + abs(b.lat - a.lat)) * LONGEST_DEGREE_M <= reach_m:
        return False
    return distance_m(a.lon, a.lat, b.lon, b.lat) > reach_m


class Judgement(NamedTuple):
    """What became of a batch: a verdict for every fix that is not trusted, and the trusted ones in time order."""

    verdicts: dict[int, Verdict]
    trusted: list[Fix]
    cleared: Fix | None
    suspect: Fix | None


def judge(
    fixes: Iterable[Fix],
    *,
    shifts: Sequence[Shift],
    skew_s: float,
    received_s: float,
    last: Fix | None,
    suspect: Fix | None,
) -> Judgement:
    """A verdict for every fix of one phone's batch, in one pass.

    `last` is the newest trusted fix before this batch, `suspect` one that waits for its other side. A backlog from
    before `last` is judged by its own neighbours only.
    """
    fixes = fixes if isinstance(fixes, list) else list(fixes)
    if suspect is None and _are_plain(fixes, shifts, skew_s, received_s, last):
        return Judgement({}, fixes, None, None)
    verdicts: dict[int, Verdict] = {}
    candidates: list[Fix] = []
    for fix in fixes:
        verdict = judge_alone(fix, skew_s, received_s, shifts)
        if suspect is not None and fix.seq == suspect.seq and fix.stream == suspect.stream:
            verdict = Verdict.jump  # sent again: it does not confirm itself
        if verdict is None:
            candidates.append(fix)
        else:
            verdicts[fix.seq] = verdict
    candidates.sort(key=attrgetter("time_s", "seq"))
    if candidates and last is not None and candidates[0].time_s <= last.time_s:
        backlog = judge_speed(None, None, candidates)
        return Judgement(_with_jumps(verdicts, backlog), backlog.trusted, None, suspect)
    speed = judge_speed(last, suspect, candidates)
    return Judgement(_with_jumps(verdicts, speed), speed.trusted, speed.cleared, speed.waiting)


def _are_plain(
    fixes: Sequence[Fix], shifts: Sequence[Shift], skew_s: float, received_s: float, last: Fix | None
) -> bool:
    """Whether they are all trusted, beyond doubt, in the order in which they came: nearly every delivery is. One pass
    with bounds that hold for all of them; False says nothing but that each must be looked at.
    """
    if not fixes:
        return True
    shift = next((one for one in reversed(shifts) if one.covers(fixes[0].time_s)), None)
    if shift is None:
        return False
    stream = fixes[0].stream
    day_s = stream_day_s(stream) + skew_s
    earliest_s = max(received_s - OLDEST_S, day_s - DAY_S, shift.started_s)
    latest_s = min(
        received_s + FUTURE_LIMIT_S, day_s + 2.9 * DAY_S, math.inf if shift.ended_s is None else shift.ended_s
    )
    before = fixes[0] if last is None else last
    time_s, lon, lat = before.time_s, before.lon, before.lat
    if last is None:
        time_s -= 1.0
    for fix in fixes:
        gone_s, accuracy_m = fix.time_s - time_s, fix.accuracy_m
        if (
            gone_s <= 0.0
            or (abs(fix.lon - lon) + abs(fix.lat - lat)) * LONGEST_DEGREE_M > JUMP_MPS * gone_s
            or (accuracy_m is not None and accuracy_m > COARSE_M)
            or fix.stream != stream
        ):
            return False
        time_s, lon, lat = fix.time_s, fix.lon, fix.lat
        if not (earliest_s <= time_s <= latest_s and abs(lat) <= 90 and abs(lon) <= 180) or lat == lon == 0:
            return False
    return True


def _with_jumps(verdicts: dict[int, Verdict], speed: SpeedJudgement) -> dict[int, Verdict]:
    return {**verdicts, **{fix.seq: Verdict.jump for fix in speed.jumps}}
