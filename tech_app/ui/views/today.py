"""The home screen: the shift, who can see one, what waits, the visits of today and tomorrow in their order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tech_app.core.jobs import ENDED, OPEN, Job, State
from tech_app.core.shift import Shift, viewers
from tech_app.core.tap import TapKind
from tech_app.ui.views import said
from tech_app.ui.views.said import Action
from tech_app.ui.words import _, clock_time, day_name, window

UNDER_WAY = (State.in_progress, State.arrived, State.en_route)
NEXT_STEP = {
    State.assigned: TapKind.en_route,
    State.en_route: TapKind.arrived,
    State.arrived: TapKind.start,
    State.in_progress: TapKind.done,
}


@dataclass(frozen=True, slots=True)
class Visit:
    """A job in the list."""

    id: str
    stop: str
    window: str
    customer: str
    address: str
    summary: str
    state: State
    state_word: str
    action: Action | None
    pending: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Visits under a heading."""

    heading: str
    visits: tuple[Visit, ...]


@dataclass(frozen=True, slots=True)
class TodayView:
    """Everything on the screen."""

    seen: str
    is_seen: bool
    shift_line: str
    is_paused: bool
    shift_actions: tuple[Action, ...]
    next: Visit | None
    groups: tuple[Group, ...]
    empty: str


def today_view(
    jobs: Sequence[Job],
    shift: Shift,
    today: str,
    *,
    pending: Collection[str] = (),
    changed: Collection[str] = (),
    paired: bool = True,
    fetched: bool = True,
) -> TodayView:
    """`today` is an ISO date; `pending` and `changed` name jobs; `paired` says that the office knows this phone,
    `fetched` that it ever told of visits."""
    now = [job for job in jobs if job.day <= today or job.state in UNDER_WAY]
    first = next_job(now)
    lines = {job.id: _visit(job, job.id in pending, job.id in changed) for job in jobs}
    groups = [
        Group(_("Then"), tuple(lines[j.id] for j in now if j.state not in ENDED and j is not first)),
        *(
            Group(day_name(day, today), tuple(lines[j.id] for j in jobs if j.day == day and j not in now))
            for day in sorted({job.day for job in jobs if job not in now})
        ),
        Group(_("Finished"), tuple(lines[j.id] for j in now if j.state in ENDED)),
    ]
    seen, is_seen = who_sees(shift, jobs, paired=paired)
    return TodayView(
        seen,
        is_seen,
        _shift_line(shift),
        shift.on_break,
        _shift_actions(shift),
        None if first is None else lines[first.id],
        tuple(group for group in groups if group.visits),
        "" if first else _no_visit(bool(now), fetched),
    )


def _no_visit(finished: bool, fetched: bool) -> str:
    if finished:
        return _("All visits of today are finished.")
    return _("No visits today.") if fetched else _("Your visits are fetched as soon as there is a connection.")


def next_job(jobs: Iterable[Job]) -> Job | None:
    """What to do now: what is begun, furthest first, else the first that is not."""
    open_ = [job for job in jobs if job.state in OPEN]
    begun = sorted((job for job in open_ if job.state in UNDER_WAY), key=lambda job: UNDER_WAY.index(job.state))
    return next(iter([*begun, *open_]), None)


def earlier_stop(jobs: Iterable[Job], job: Job) -> Job | None:
    """The stop of the same day that comes before `job` and is not begun: whoever begins `job` now leaves it out."""
    if job.stop_number is None:
        return None
    return next(
        (
            other
            for other in jobs
            if other.state is State.assigned
            and other.day == job.day
            and other.stop_number is not None
            and other.stop_number < job.stop_number
        ),
        None,
    )


def who_sees(shift: Shift, jobs: Iterable[Job], *, paired: bool = True) -> tuple[str, bool]:
    """Who can see where one is, in words, and whether anybody can."""
    who = viewers(shift, jobs)
    if not paired:
        return _("Nobody can see where you are: this phone was removed."), False
    if shift.on_break:
        return _("Nobody can see where you are: you are on a break."), False
    if not who.office:
        return _("Nobody can see where you are: you are off shift."), False
    if who.customer is None:
        return _("The office can see where you are. No customer can."), True
    return _("The office and %(customer)s can see where you are.") % {"customer": said.name(who.customer)}, True


def _shift_line(shift: Shift) -> str:
    if shift.break_since_s is not None:
        return _("On a break since %(time)s") % {"time": clock_time(shift.break_since_s)}
    if shift.started_s is not None:
        return _("On shift since %(time)s") % {"time": clock_time(shift.started_s)}
    return _("Off shift")


def _shift_actions(shift: Shift) -> tuple[Action, ...]:
    """The main one first."""
    if not shift.on:
        kinds = [TapKind.shift_start]
    elif shift.on_break:
        kinds = [TapKind.break_end, TapKind.shift_end]
    else:
        kinds = [TapKind.break_start, TapKind.shift_end]
    return tuple(said.action(kind) for kind in kinds)


def _visit(job: Job, pending: bool, changed: bool) -> Visit:
    step = NEXT_STEP.get(job.state)
    return Visit(
        job.id,
        stop_name(job),
        window(job.promised) if job.promised else "",
        job.customer,
        job.address,
        job.summary,
        job.state,
        said.state(job.state),
        None if step is None else said.action(step),
        pending,
        changed,
    )


def stop_name(job: Job) -> str:
    """ "Stop 2", or nothing where no order was made."""
    return "" if job.stop_number is None else _("Stop %(number)s") % {"number": job.stop_number}
