"""What the customer's page shows, from one pure function: one state, and overlays that lie over it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracking_server.domain.audience import Sight, link_opens, may_see_position
from tracking_server.domain.eta import Window
from tracking_server.domain.job import Job, State

STALE_S = 60.0  # from here on the position is said to be old
HIDDEN_S = 180.0  # an older position is not shown: it would be a guess


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


@dataclass(frozen=True, slots=True)
class PageState:
    """What to show. `window` is the promised or the estimated one, None where none is shown."""

    showing: Showing
    position: bool
    stale: bool
    paused: bool
    window: tuple[float, float] | None
    likely_s: float | None
    stops_before: int


def page_state(job: Job, sight: Sight, eta: Window | None, fix_age_s: float | None, now_s: float) -> PageState:
    """The page of one job for one link at one moment."""
    if not link_opens(sight, now_s):
        return PageState(Showing.expired, False, False, False, None, None, 0)
    entitled = may_see_position(sight, now_s)
    fresh = fix_age_s is not None and fix_age_s <= HIDDEN_S
    stale = entitled and fix_age_s is not None and fix_age_s > STALE_S
    showing = _showing(job, sight)
    window = _window(showing, job, eta)
    return PageState(
        showing=showing,
        position=entitled and fresh,
        stale=stale,
        paused=sight.on_break or (entitled and not fresh),
        window=window,
        likely_s=eta.likely_s if eta is not None and showing is Showing.en_route else None,
        stops_before=sight.stops_before,
    )


def _showing(job: Job, sight: Sight) -> Showing:
    match job.state:
        case State.draft | State.scheduled:
            return Showing.scheduled
        case State.assigned:
            return Showing.today if sight.on_shift else Showing.scheduled
        case State.en_route:
            return Showing.arriving if job.arriving_at_s is not None else Showing.en_route
    return Showing(job.state.value)


def _window(showing: Showing, job: Job, eta: Window | None) -> tuple[float, float] | None:
    match showing:
        case Showing.scheduled:
            return job.promised
        case Showing.today | Showing.en_route:
            return (eta.earliest_s, eta.latest_s) if eta is not None else job.promised
    return None
