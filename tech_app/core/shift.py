"""The technician's shift as their taps make it, and who can see them now: pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tech_app.core.jobs import Job, State
from tech_app.core.tap import Tap, TapKind
from tech_app.core.tracking import Duty


@dataclass(frozen=True, slots=True)
class Shift:
    """`Shift()` is off shift. Times are UTC seconds on the phone's clock."""

    started_s: float | None = None
    break_since_s: float | None = None

    @property
    def on(self) -> bool:
        """At work, breaks included."""
        return self.started_s is not None

    @property
    def on_break(self) -> bool:
        return self.break_since_s is not None

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def read_shift(text: str | None) -> Shift:
    """The reverse of `to_json`; nothing remembered is off shift."""
    return Shift() if text is None else Shift(**json.loads(text))


def possible_shift_taps(shift: Shift) -> frozenset[TapKind]:
    """What can be tapped now."""
    if not shift.on:
        return frozenset({TapKind.shift_start})
    return frozenset({TapKind.shift_end, TapKind.break_end if shift.on_break else TapKind.break_start})


def after_shift_tap(shift: Shift, tap: Tap) -> Shift:
    """The shift after a tap; the same when the tap changes nothing."""
    if tap.kind not in possible_shift_taps(shift):
        return shift
    match tap.kind:
        case TapKind.shift_start:
            return Shift(tap.time_s)
        case TapKind.shift_end:
            return Shift()
        case TapKind.break_start:
            return Shift(shift.started_s, tap.time_s)
    return Shift(shift.started_s)


def duty(shift: Shift, jobs: Iterable[Job]) -> Duty:
    """What the phone is followed for: at work, not on a break."""
    tracked = shift.on and not shift.on_break
    goal = next((job for job in jobs if job.state is State.en_route), None)
    return Duty(tracked, (goal.lat, goal.lon) if tracked and goal is not None else None)


@dataclass(frozen=True, slots=True)
class Viewers:
    """Who can see where the technician is: the office, and the customer of one job. The service may show less."""

    office: bool
    customer: Job | None


def viewers(shift: Shift, jobs: Iterable[Job]) -> Viewers:
    """The answer to "who can see me now"."""
    tracked = shift.on and not shift.on_break
    customer = next((job for job in jobs if job.state is State.en_route), None)
    return Viewers(tracked, customer if tracked else None)
