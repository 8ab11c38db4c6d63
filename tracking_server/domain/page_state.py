"""What the customer's page shows, from one pure function: one state, and overlays that lie over it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracking_server.domain.audience import Sight, link_opens, position_to_see_s
from tracking_server.domain.eta import Window, round_outward
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
    stops_before: int


EXPIRED = PageState(Showing.expired, position=False, stale=False, paused=False, window=None, stops_before=0)


def page_state(job: Job, sight: Sight, now_s: float, *, today: bool) -> PageState:
    """The page of one job for one link at one moment; `today` says that the visit may be today's."""
    if not link_opens(sight, now_s):
        return EXPIRED
    seen_s = position_to_see_s(sight, now_s)
    age_s = None if seen_s is None else max(now_s - seen_s, 0.0)
    position = age_s is not None and age_s <= HIDDEN_S
    showing = _showing(job, sight, today)
    return PageState(
        showing=showing,
        position=position,
        stale=age_s is not None and age_s > STALE_S,
        paused=job.state is State.en_route and not position,
        window=_window(showing, job, position),
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


def _window(showing: Showing, job: Job, position: bool) -> tuple[float, float] | None:
    """While the position is hidden the estimate is coarse: its minutes would tell the distance."""
    match showing:
        case Showing.scheduled:
            return job.promised
        case Showing.today | Showing.en_route if job.eta is not None:
            eta: Window = job.eta if position else round_outward(job.eta)
            return eta.earliest_s, eta.latest_s
        case Showing.today | Showing.en_route:
            return job.promised
    return None
