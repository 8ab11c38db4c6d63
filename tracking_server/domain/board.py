"""What the dispatcher's board makes of jobs and technicians: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from tracking_server.domain.geo import distance_m
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import ON_SITE, WAITED_FOR, Job, State, next_stop
from tracking_server.domain.shift import Shift

FRESH_S = 180.0  # an older fix is no answer to "who is nearest"
SILENT_S = 300.0  # at work, and nothing heard for so long: something is wrong with the phone
LOW_BATTERY_PCT = 15.0
SOON_S = 7_200.0  # a visit promised within two hours needs somebody now


class Group(StrEnum):
    """The parts of the job list, the most urgent first."""

    late = "late"
    unassigned = "unassigned"
    under_way = "under_way"
    waiting = "waiting"
    ended = "ended"


class Doing(StrEnum):
    """What a technician is at, most interesting first."""

    driving = "driving"
    at = "at"
    free = "free"
    on_break = "on_break"
    off_shift = "off_shift"


class Trouble(StrEnum):
    """What is wrong with a technician's phone, as far as the service can tell."""

    no_phone = "no_phone"
    silent = "silent"
    never_heard = "never_heard"
    battery = "battery"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The last that was heard of a technician. Times are epoch seconds."""

    id: UUID
    name: str
    shift: Shift | None
    position_s: float | None
    lon: float | None
    lat: float | None
    battery_pct: float | None
    phones: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A technician as a choice for a job. Without a fresh fix there is no distance."""

    id: UUID
    name: str
    doing: Doing
    away_m: float | None
    age_s: float | None


def late_by_s(job: Job, now_s: float) -> float | None:
    """How far past the promised window the visit begins, as things stand; None when it is in time."""
    if job.promised is None or job.state not in WAITED_FOR:
        return None
    expected_s = max(now_s, job.eta.likely_s) if job.eta is not None else now_s
    over_s = expected_s - job.promised[1]
    return over_s if over_s > 0 else None


def group_of(job: Job, now_s: float) -> Group:
    """Where a job stands in the list."""
    if late_by_s(job, now_s) is not None:
        return Group.late
    if job.state in (State.draft, State.scheduled):
        return Group.unassigned
    if job.state is State.en_route or job.state in ON_SITE:
        return Group.under_way
    return Group.waiting if job.state is State.assigned else Group.ended


def needs_somebody(job: Job, now_s: float) -> bool:
    """Whether a visit is promised for soon, or for a time that is over, and nobody goes there."""
    waits = job.state in (State.draft, State.scheduled)
    return waits and job.promised is not None and job.promised[0] - now_s < SOON_S


def urgency(job: Job, now_s: float) -> tuple[int, float, str]:
    """A key to sort the list by: group, then the latest hour first among the late, else by the promised beginning."""
    group = group_of(job, now_s)
    late_s = late_by_s(job, now_s)
    if late_s is not None:
        at_s = -late_s
    elif group is Group.ended:
        at_s = -(job.ended_at_s or 0.0)
    else:
        at_s = job.promised[0] if job.promised is not None else float("inf")
    return list(Group).index(group), at_s, job.id.hex


def doing(shift: Shift | None, stops: Collection[Job], now_s: float) -> tuple[Doing, Job | None]:
    """What a technician is at, and the job it concerns; of a free one, the next."""
    if shift is None:
        return Doing.off_shift, None
    if shift.on_break(now_s):
        return Doing.on_break, None
    for job in stops:
        if job.state in ON_SITE:
            return Doing.at, job
    ahead = next_stop(stops)
    if ahead is not None and ahead.state is State.en_route:
        return Doing.driving, ahead
    return Doing.free, ahead


def troubles(technician: Whereabouts, now_s: float) -> list[Trouble]:
    """What is wrong, worst first. Off shift a silent phone is as it should be."""
    if technician.phones == 0:
        return [Trouble.no_phone]
    if technician.shift is None:
        return []
    found = []
    if technician.position_s is None or technician.position_s < technician.shift.started_s:
        if now_s - technician.shift.started_s > SILENT_S:
            found.append(Trouble.never_heard)
    elif now_s - technician.position_s > SILENT_S:
        found.append(Trouble.silent)
    if technician.battery_pct is not None and technician.battery_pct < LOW_BATTERY_PCT:
        found.append(Trouble.battery)
    return found


def nearest(
    technicians: Iterable[Whereabouts], stops: dict[UUID, list[Job]], door: Geofence, now_s: float
) -> list[Candidate]:
    """Everybody as a choice for a job, the nearest first; those without a fresh fix last."""
    lon, lat = door.entrance or (door.lon, door.lat)
    choices = []
    for one in technicians:
        age_s = None if one.position_s is None else max(now_s - one.position_s, 0.0)
        busy, _ = doing(one.shift, stops.get(one.id, []), now_s)
        away_m = None
        if busy is not Doing.off_shift and age_s is not None and age_s <= FRESH_S:
            away_m = distance_m(one.lon or 0.0, one.lat or 0.0, lon, lat)
        choices.append(Candidate(one.id, one.name, busy, away_m, age_s))
    return sorted(choices, key=_nearness)


def _nearness(choice: Candidate) -> tuple[bool, float, int, str, str]:
    away_m = choice.away_m
    return away_m is None, away_m or 0.0, list(Doing).index(choice.doing), choice.name, choice.id.hex
