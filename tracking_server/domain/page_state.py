"""What the customer's page shows, from one pure function: one state, and overlays that lie over it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracking_server.domain.audience import Sight, link_opens, position_to_see_s
from tracking_server.domain.eta import round_outward
from tracking_server.domain.job import Job, State

STALE_S = 60.0  # from here on the position is said to be old
HIDDEN_S = 180.0  # an older position is not shown: it would be a guess
NEWS_S = 12 * 3600.0  # so long after it a change of technician is news to somebody who looks again

Span = tuple[float, float]


class Showing(StrEnum):
    """The states of the page."""

    scheduled = "scheduled"
    today = "today"
    en_route = "en_route"
    arriving = "arriving"
    arrived = "arrived"
    in_progress = "in_progress"
    completed = "completed"
    cancelled = "cancelled"
    no_access = "no_access"
    expired = "expired"


class Action(StrEnum):
    """What a customer can do on the page. `book_again` is a wish for a new visit after one that did not happen."""

    note = "note"
    access = "access"
    reschedule = "reschedule"
    cannot_find = "cannot_find"
    rate = "rate"
    calendar = "calendar"
    call = "call"
    book_again = "book_again"


S, A = Showing, Action
ACTIONS: dict[Showing, frozenset[Action]] = {
    S.scheduled: frozenset({A.calendar, A.reschedule, A.note, A.call}),
    S.today: frozenset({A.calendar, A.reschedule, A.note, A.call}),
    S.en_route: frozenset({A.note, A.reschedule, A.call}),
    S.arriving: frozenset({A.access, A.call}),
    S.arrived: frozenset({A.cannot_find, A.call}),
    S.in_progress: frozenset({A.call}),
    S.completed: frozenset({A.rate}),
    S.cancelled: frozenset({A.book_again, A.call}),
    S.no_access: frozenset({A.book_again, A.call}),
    S.expired: frozenset(),
}
AWAITED = frozenset({S.scheduled, S.today, S.en_route})
# What was being written while the page moved on is taken all the same.
STILL_TAKEN: dict[Action, frozenset[Showing]] = {
    A.note: AWAITED | {S.arriving, S.arrived, S.in_progress},
    A.access: AWAITED | {S.arriving, S.arrived, S.in_progress},
    A.reschedule: AWAITED | {S.arriving, S.no_access},
    A.cannot_find: frozenset({S.arriving, S.arrived, S.in_progress, S.no_access}),
    A.rate: frozenset({S.completed}),
    A.book_again: frozenset({S.cancelled, S.no_access}),
}
NAMED = frozenset({S.today, S.en_route, S.arriving, S.arrived, S.in_progress, S.completed, S.no_access})


@dataclass(frozen=True, slots=True)
class PageState:
    """What to show. Spans are epoch seconds; `about_min` is a single likely time beside its window, in minutes.

    `window` is the promised or the estimated one, None where none is shown or known; `was` is a promised one that is
    not kept, to be struck out.
    """

    showing: Showing
    position: bool = False
    stale: bool = False
    paused: bool = False
    delayed: bool = False
    reassigned: bool = False
    window: Span | None = None
    was: Span | None = None
    about_min: int | None = None
    stops_before: int = 0

    @property
    def actions(self) -> frozenset[Action]:
        """What the customer can do now."""
        return ACTIONS[self.showing] - (frozenset() if self.window else {Action.calendar})

    def takes(self, action: Action) -> bool:
        """Whether the customer's form for this action is still of use."""
        return self.showing in STILL_TAKEN.get(action, frozenset())

    @property
    def names_technician(self) -> bool:
        """Whether the technician's name, photo and vehicle are shown."""
        return self.showing in NAMED


EXPIRED = PageState(Showing.expired)


def page_state(job: Job, sight: Sight, now_s: float, *, today: bool, broken: Span | None = None) -> PageState:
    """The page of one job for one link at one moment.

    `today` says that the visit may be today's; `broken` is the promised window that was broken last.
    """
    if not link_opens(sight, now_s):
        return EXPIRED
    seen_s = position_to_see_s(sight, now_s)
    age_s = None if seen_s is None else max(now_s - seen_s, 0.0)
    position = age_s is not None and age_s <= HIDDEN_S
    showing = _showing(job, sight, today)
    delayed = showing in AWAITED and job.late_promise > 0
    window = _window(showing, job, now_s, age_s if position else None)
    return PageState(
        showing=showing,
        position=position,
        stale=age_s is not None and age_s > STALE_S,
        paused=job.state is State.en_route and not position,
        delayed=delayed,
        reassigned=_is_news(showing, job, now_s),
        window=window,
        was=broken if delayed and broken != window else None,
        about_min=_about_min(job, now_s) if showing is Showing.en_route and position and window else None,
        stops_before=sight.stops_before,
    )


def _showing(job: Job, sight: Sight, today: bool) -> Showing:
    match job.state:
        case State.draft | State.scheduled:
            return Showing.scheduled
        case State.assigned:
            return Showing.today if sight.on_shift and today else Showing.scheduled
        case State.en_route:
            return Showing.arriving if job.arriving_at_s is not None else Showing.en_route
    return Showing(job.state.value)


def _is_news(showing: Showing, job: Job, now_s: float) -> bool:
    """Whether to say that somebody else comes now than who was named before."""
    recent = job.assigned_at_s is not None and now_s - job.assigned_at_s < NEWS_S
    return showing in (Showing.today, Showing.en_route, Showing.arriving) and job.assignment > 1 and recent


def _window(showing: Showing, job: Job, now_s: float, age_s: float | None) -> Span | None:
    """The estimate where there is one, else what is promised and not broken. `age_s` is the age of the position that
    is shown, None when none is: the estimate is coarse then, as its minutes would tell the distance."""
    if showing not in AWAITED:
        return None
    if showing is not Showing.scheduled and job.eta is not None:
        eta = job.eta if age_s is not None else round_outward(job.eta)
        unheard_s = age_s if age_s is not None and age_s > STALE_S else 0.0  # nobody knows what they brought
        if eta.latest_s + unheard_s > now_s:
            return eta.earliest_s, eta.latest_s + unheard_s
    return job.promised if job.promise > job.late_promise or not job.late_promise else None


def _about_min(job: Job, now_s: float) -> int | None:
    """Minutes until the likely time; at least one."""
    return None if job.eta is None else max(1, round((job.eta.likely_s - now_s) / 60.0))
