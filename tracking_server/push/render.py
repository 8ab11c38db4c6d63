"""The customer's page as HTML: `page.html` around `status.html`, in one language."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tracking_server import words
from tracking_server.domain.audience import Sight, link_ends_s, positions_seen_from_s
from tracking_server.domain.job import stops_before
from tracking_server.domain.page_state import PageState, page_state
from tracking_server.store.views import JobView, LinkRow

AGE_STEP_S = 60  # the age of a position is said in whole minutes


def page_of(view: JobView, link: LinkRow, now_s: float) -> PageState:
    """What this link shows of the job at this moment: asked for every update that is sent."""
    job = view.job
    sight = Sight(
        state=job.state,
        stops_before=stops_before(job, view.stops),
        on_shift=view.shift is not None,
        on_break=view.shift is not None and view.shift.on_break(now_s),
        link_expires_s=link_ends_s(link.expires_s, job.ended_at_s),
        link_revoked=link.revoked,
        position_s=None if view.position is None else view.position.time_s,
        seen_from_s=positions_seen_from_s(job.en_route_at_s, view.shift),
    )
    today = job.promised is None or words.same_day(job.promised[0], now_s, view.time_zone)
    return page_state(job, sight, now_s, today=today, broken=view.broken_promise)


def status(view: JobView, page: PageState, language: str, now_s: float) -> str:
    """The words of the page. They change only when what they say changes."""
    return _environment(language).get_template("status.html").render(**_facts(view, page, language, now_s))


def whole_page(view: JobView, page: PageState, language: str, now_s: float, link: LinkRow) -> str:
    """The page, complete without script."""
    facts = _facts(view, page, language, now_s)
    return _environment(language).get_template("page.html").render(**facts, link_id=link.id.hex)


def expired_page(language: str) -> str:
    """The same bytes for an expired, a revoked and an unknown link."""
    template = _environment(language).get_template("expired.html")
    return template.render(language=language, direction=words.direction(language))


def _facts(view: JobView, page: PageState, language: str, now_s: float) -> dict[str, Any]:
    job = view.job
    return {
        "language": language,
        "direction": words.direction(language),
        "page": page,
        "firm": view.firm.name,
        "office_phone": view.firm.office_phone,
        "title": view.details.title,
        "technician": view.technician if page.names_technician else None,
        "window": page.window and tuple(words.clock_time(at, view.time_zone, language) for at in page.window),
        "day": page.window and words.day(page.window[0], view.time_zone, language),
        "arrived": job.arrived_at_s and words.clock_time(job.arrived_at_s, view.time_zone, language),
        "ended": job.ended_at_s and words.clock_time(job.ended_at_s, view.time_zone, language),
        "age_min": _age_min(view, page, now_s),
    }


def _age_min(view: JobView, page: PageState, now_s: float) -> int | None:
    if not page.stale or view.position is None:
        return None
    return int((now_s - view.position.time_s) // AGE_STEP_S)


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(words.VIEW),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(words.catalogue(language), newstyle=True)  # type: ignore[attr-defined]
    return environment
