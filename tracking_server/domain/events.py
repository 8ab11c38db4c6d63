"""What happened to a job, and what a technician tapped."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class EventKind(StrEnum):
    """Everything that can happen to a job."""

    scheduled = "scheduled"
    assigned = "assigned"
    reassigned = "reassigned"
    en_route = "en_route"
    arriving = "arriving"
    arrived = "arrived"
    started = "started"
    completed = "completed"
    no_access = "no_access"
    cancelled = "cancelled"
    departed = "departed"
    undone = "undone"
    promised = "promised"
    delayed = "delayed"
    next_up = "next_up"
    late = "late"
    not_home = "not_home"
    noted = "noted"


class Cause(StrEnum):
    """Who or what made an event."""

    tap = "tap"
    geofence = "geofence"
    eta = "eta"
    clock = "clock"
    dispatcher = "dispatcher"
    customer = "customer"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job, at its own time, with what proves it.

    `minutes` is how late the technician says they will be, `text` what they wrote about it.
    """

    kind: EventKind
    at_s: float
    cause: Cause
    evidence: dict[str, Any] = field(default_factory=dict)
    minutes: int | None = None
    text: str | None = None


class TapKind(StrEnum):
    """What a technician can tap."""

    shift_start = "shift_start"
    shift_end = "shift_end"
    break_start = "break_start"
    break_end = "break_end"
    en_route = "en_route"
    arrived = "arrived"
    start = "start"
    done = "done"
    no_access = "no_access"
    undo = "undo"
    late = "late"
    not_home = "not_home"
    note = "note"


class Obstacle(StrEnum):
    """Why a visit could not be done, as far as phones agree on words for it."""

    nobody_home = "nobody_home"
    no_way_in = "no_way_in"
    wrong_address = "wrong_address"
    refused = "refused"
    part_missing = "part_missing"
    unsafe = "unsafe"
    other = "other"


class TapVerdict(StrEnum):
    """Why a tap changed nothing. It is kept all the same."""

    not_yours = "not_yours"  # the job is somebody else's now, or there is none
    too_old = "too_old"
    not_judged = "not_judged"  # kept, but the service could not make sense of this phone's data
    not_now = "not_now"  # the job's state does not allow it: it happened already, or cannot


SHIFT_TAPS = frozenset({TapKind.shift_start, TapKind.shift_end, TapKind.break_start, TapKind.break_end})
EVENT_OF_TAP = {
    TapKind.en_route: EventKind.en_route,
    TapKind.arrived: EventKind.arrived,
    TapKind.start: EventKind.started,
    TapKind.done: EventKind.completed,
    TapKind.no_access: EventKind.no_access,
    TapKind.undo: EventKind.undone,
    TapKind.late: EventKind.late,
    TapKind.not_home: EventKind.not_home,
    TapKind.note: EventKind.noted,
}


@dataclass(frozen=True, slots=True)
class Tap:
    """A technician's tap, with the phone's time on the server's clock.

    `reason` is why a job cannot be done, `text` what was written, `minutes` how late one will be, or how long one
    waited.
    """

    stream: int
    seq: int
    time_s: float
    kind: TapKind
    job_id: UUID | None = None
    reason: str | None = None
    text: str | None = None
    minutes: int | None = None
