"""Who may see what, decided for every single update that is sent."""

from __future__ import annotations

from dataclasses import dataclass

from tracking_server.domain.job import OPEN, State
from tracking_server.domain.shift import Shift

LIFE_AFTER_END_S = 7 * 86_400.0  # time for a complaint, an invoice, a rating


@dataclass(frozen=True, slots=True)
class Sight:
    """What decides whether a customer may see where the technician is."""

    state: State
    stops_before: int
    on_shift: bool
    on_break: bool
    link_expires_s: float | None
    link_revoked: bool = False
    position_s: float | None = None  # when the newest position was measured
    seen_from_s: float = 0.0  # what was measured earlier is of another drive, of a break, or from outside the shift


def link_opens(sight: Sight, now_s: float) -> bool:
    """Whether the link still shows anything at all."""
    return not sight.link_revoked and (sight.link_expires_s is None or now_s < sight.link_expires_s)


def may_see_position(sight: Sight, now_s: float) -> bool:
    """Only while the technician drives to this customer, at work and not on a break, and the link lives."""
    return (
        sight.state is State.en_route
        and sight.stops_before == 0
        and sight.on_shift
        and not sight.on_break
        and link_opens(sight, now_s)
    )


def position_to_see_s(sight: Sight, now_s: float) -> float | None:
    """When the position that may be seen was measured; None when there is none."""
    if sight.position_s is None or sight.position_s < sight.seen_from_s or not may_see_position(sight, now_s):
        return None
    return sight.position_s


def positions_seen_from_s(en_route_s: float | None, shift: Shift | None) -> float:
    """From when on positions are of this drive, at work, and not of a break."""
    times = [0.0 if en_route_s is None else en_route_s]
    if shift is not None:
        times += [shift.started_s, *(end for _, end in shift.breaks if end is not None)]
    return max(times)


def link_ends_s(expires_s: float | None, job_ended_s: float | None) -> float | None:
    """When a link stops opening anything: at its own end, or seven days after the job's."""
    ends = [expires_s, None if job_ended_s is None else job_ended_s + LIFE_AFTER_END_S]
    return min((end for end in ends if end is not None), default=None)


def technician_may_know(state: State) -> bool:
    """Whether a technician is told how to reach the customer and how to get in: until the visit is over."""
    return state in OPEN
