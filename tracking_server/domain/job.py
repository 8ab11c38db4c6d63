"""The job's state machine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from tracking_server.domain.eta import Window, round_outward
from tracking_server.domain.events import Event, EventKind
from tracking_server.domain.geofence import Geofence


class State(StrEnum):
    """Where a job stands."""

    draft = "draft"
    scheduled = "scheduled"
    assigned = "assigned"
    en_route = "en_route"
    arrived = "arrived"
    in_progress = "in_progress"
    completed = "completed"
    cancelled = "cancelled"
    no_access = "no_access"


S = State
OPEN = frozenset({S.assigned, S.en_route, S.arrived, S.in_progress})
ON_SITE = frozenset({S.arrived, S.in_progress})
WAITED_FOR = frozenset({S.scheduled, S.assigned, S.en_route})
JUST_ENDED_S = 7_200.0  # a technician who leaves a finished job within two hours still departs from it
LATE_AFTER_S = 600.0  # past the promised window; below it a call would worry more than it helps

# event -> (states it may happen in, state it leads to; None: the state stays)
TRANSITIONS: dict[EventKind, tuple[frozenset[State], State | None]] = {
    EventKind.scheduled: (frozenset({S.draft}), S.scheduled),
    EventKind.assigned: (frozenset({S.draft, S.scheduled}), S.assigned),
    EventKind.reassigned: (frozenset({S.assigned, S.en_route, S.arrived}), S.assigned),
    EventKind.en_route: (frozenset({S.assigned}), S.en_route),
    EventKind.arriving: (frozenset({S.en_route}), None),
    EventKind.arrived: (frozenset({S.assigned, S.en_route}), S.arrived),
    EventKind.started: (frozenset({S.assigned, S.en_route, S.arrived}), S.in_progress),
    EventKind.completed: (OPEN, S.completed),
    EventKind.no_access: (OPEN, S.no_access),
    EventKind.cancelled: (frozenset({S.draft, S.scheduled, S.assigned, S.en_route, S.arrived}), S.cancelled),
    EventKind.departed: (frozenset({S.arrived, S.in_progress, S.completed, S.no_access}), None),
    EventKind.promised: (frozenset(S) - {S.completed, S.cancelled, S.no_access}, None),
    EventKind.delayed: (WAITED_FOR, None),
    EventKind.next_up: (frozenset({S.assigned}), None),
    EventKind.late: (frozenset({S.assigned, S.en_route}), None),
    EventKind.not_home: (frozenset({S.arrived}), None),
    EventKind.noted: (OPEN | {S.completed, S.no_access}, None),
}
UNDOABLE = frozenset({S.en_route, S.arrived, S.in_progress, S.completed, S.no_access})


@dataclass(frozen=True, slots=True)
class Job:
    """One visit owed to a customer. Times are None until they happened."""

    id: UUID
    state: State
    version: int
    geofence: Geofence
    technician_id: UUID | None = None
    stop_number: int | None = None
    previous_state: State | None = None
    visit: int = 1
    assignment: int = 0
    promise: int = 0
    late_promise: int = 0
    promised: tuple[float, float] | None = None
    assigned_at_s: float | None = None
    en_route_at_s: float | None = None
    arriving_at_s: float | None = None
    arrived_at_s: float | None = None
    started_at_s: float | None = None
    ended_at_s: float | None = None
    eta: Window | None = None
    eta_made_at_s: float | None = None
    due_s: float | None = None
    late_min: int | None = None  # what the technician said themselves, of the present promise
    not_home_at_s: float | None = None  # since when they wait at a closed door


def advance(job: Job, event: Event) -> Job | None:
    """The job after the event, None when it cannot happen in the job's state."""
    if event.kind is EventKind.undone:
        return _undo(job)
    states, target = TRANSITIONS[event.kind]
    if job.state not in states:
        return None
    if not _says_something_new(job, event):
        return None
    job = replace(job, version=job.version + 1)
    if target is not None:
        job = replace(job, state=target, previous_state=job.state, not_home_at_s=None)
    return _stamp(job, event)


def _says_something_new(job: Job, event: Event) -> bool:
    """Whether a word of the technician's is one: it moves no state, so the state does not tell."""
    match event.kind:
        case EventKind.late:
            return event.minutes is not None and event.minutes > 0 and event.minutes != job.late_min
        case EventKind.not_home:
            return job.not_home_at_s is None
        case EventKind.noted:
            return bool(event.text)
    return True


def _stamp(job: Job, event: Event) -> Job:
    """Note the time the event brings, and drop what it made untrue."""
    at_s = event.at_s
    match event.kind:
        case EventKind.assigned | EventKind.reassigned:
            begun = job.en_route_at_s is not None or job.arriving_at_s is not None or job.arrived_at_s is not None
            job = replace(job, visit=job.visit + 1 if begun else job.visit)
            job = replace(job, assigned_at_s=at_s, assignment=job.assignment + 1, previous_state=None, late_min=None)
            return _forget_drive(job)
        case EventKind.en_route:
            return replace(job, en_route_at_s=at_s)
        case EventKind.arriving:
            return replace(job, arriving_at_s=at_s)
        case EventKind.arrived:
            return replace(job, arrived_at_s=at_s)
        case EventKind.started:
            return replace(job, started_at_s=at_s, arrived_at_s=job.arrived_at_s or at_s)
        case EventKind.delayed:
            return _promise_anew(job, at_s)
        case EventKind.late:
            return _promise_later(job, event.minutes or 0, at_s)
        case EventKind.not_home:
            return replace(job, not_home_at_s=at_s)
        case EventKind.completed | EventKind.no_access | EventKind.cancelled:
            return replace(job, ended_at_s=at_s)
    return job


def _forget_drive(job: Job) -> Job:
    return replace(
        job, en_route_at_s=None, arriving_at_s=None, arrived_at_s=None, started_at_s=None, eta=None, eta_made_at_s=None
    )


def _promise_anew(job: Job, now_s: float) -> Job:
    """A broken promise is followed by the window that is now believed in, unless that one is over too: an estimate
    from before the phone fell silent would be broken at once, and told again and again."""
    broken = replace(job, late_promise=job.promise, late_min=None)
    window = round_outward(job.eta) if job.eta is not None else None
    if window is None or job.promised is None or window.latest_s <= max(job.promised[1], now_s):
        return broken
    return replace(broken, promise=job.promise + 1, promised=(window.earliest_s, window.latest_s))


def _promise_later(job: Job, minutes: int, at_s: float) -> Job:
    """The technician says how late they will be. Up to ten minutes the promise stands; else it is the window as many
    minutes later, counted from what was promised before they spoke, and never one that is over when they say it.
    Who comes within ten minutes after all is not late any more."""
    said = replace(job, late_min=minutes)
    if job.promised is None or _worth_telling_s(minutes) == _worth_telling_s(job.late_min or 0):
        return said
    earliest_s, latest_s = job.promised
    later_s = _worth_telling_s(minutes) - _worth_telling_s(job.late_min or 0)
    later_s = max(later_s, at_s + minutes * 60.0 - latest_s)
    if not later_s:
        return said
    told = replace(said, promise=job.promise + 1, promised=(earliest_s + later_s, latest_s + later_s))
    if later_s > 0 and job.late_promise == job.promise:  # that it is broken was told: this is another message
        return replace(told, promise=job.promise + 2, late_promise=job.promise + 1)
    if later_s > 0:
        return replace(told, late_promise=job.promise)
    return told if _worth_telling_s(minutes) else replace(told, late_promise=0)


def _worth_telling_s(minutes: int) -> float:
    return minutes * 60.0 if minutes * 60.0 > LATE_AFTER_S else 0.0


def late_at_s(job: Job) -> float | None:
    """When this job is late if nobody came by then; None when nothing is promised or its lateness was told."""
    if job.promised is None or job.late_promise >= job.promise or job.state not in WAITED_FOR:
        return None
    return job.promised[1] + LATE_AFTER_S


def is_late(job: Job, now_s: float) -> bool:
    """Whether the promise is broken: by the clock, or by the time the technician is expected."""
    late_s = late_at_s(job)
    return late_s is not None and (now_s >= late_s or (job.eta is not None and job.eta.likely_s >= late_s))


def _undo(job: Job) -> Job | None:
    """Take the last step back. What was told of it may be told again, of a new visit."""
    if job.state not in UNDOABLE or job.previous_state is None:
        return None
    undone = replace(job, state=job.previous_state, previous_state=None, version=job.version + 1, not_home_at_s=None)
    match job.state:
        case State.en_route:
            return _forget_drive(replace(undone, visit=job.visit + 1))
        case State.arrived:
            return replace(undone, arrived_at_s=None, arriving_at_s=None, visit=job.visit + 1)
        case State.in_progress:
            arrived_at_s = job.arrived_at_s if undone.state is State.arrived else None
            return replace(undone, started_at_s=None, arrived_at_s=arrived_at_s)
        case State.completed:
            return replace(undone, ended_at_s=None, visit=job.visit + 1)
    return replace(undone, ended_at_s=None)


def is_remembered(job: Job, now_s: float) -> bool:
    """Whether a technician's job still matters to them: it is open, or they may still depart from it or undo it."""
    return job.state in OPEN or (job.ended_at_s is not None and now_s - job.ended_at_s < JUST_ENDED_S)


def next_stop(stops: Collection[Job]) -> Job | None:
    """Where the technician goes next: the job en route, else the first assigned one in their order."""
    waiting = []
    for job in stops:
        if job.state is State.en_route:
            return job
        if job.state is State.assigned:
            waiting.append(job)
    return min(waiting, key=lambda job: (job.stop_number or 0, str(job.id)), default=None)


def stops_before(job: Job, stops: Collection[Job]) -> int:
    """How many visits the technician makes before this one."""
    if job.state is not State.assigned:
        return 0
    at = (job.stop_number or 0, str(job.id))
    return sum(
        1
        for other in stops
        if other.id != job.id
        and (other.state is not State.assigned or (other.stop_number or 0, str(other.id)) < at)
        and other.state in OPEN
    )
