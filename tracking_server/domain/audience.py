"""Who may see what, decided for every single update that is sent."""

from __future__ import annotations

from dataclasses import dataclass

from tracking_server.domain.job import State

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


def link_ends_s(expires_s: float | None, job_ended_s: float | None) -> float | None:
    """When a link stops opening anything: at its own end, or seven days after the job's."""
    ends = [expires_s, None if job_ended_s is None else job_ended_s + LIFE_AFTER_END_S]
    return min((end for end in ends if end is not None), default=None)
