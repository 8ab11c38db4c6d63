"""The customer's page as HTML: `page.html` around `status.html`, in one language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from uuid import UUID, uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tracking_server import words
from tracking_server.basemap.view import Basemap
from tracking_server.domain.audience import Sight, link_ends_s, positions_seen_from_s
from tracking_server.domain.colour import DEFAULT
from tracking_server.domain.job import stops_before
from tracking_server.domain.note import MOST_CHARACTERS, Note
from tracking_server.domain.page_state import HIDDEN_S, Action, PageState, Showing, page_state
from tracking_server.push.access import Visitor
from tracking_server.store.proofs import ShownProof
from tracking_server.store.views import Details, Firm, JobView, LinkRow, TechnicianCard
from tracking_server.view_files import ViewFiles

MOST_UPDATES = 256  # rendered updates kept: pages of one job that are read or begin to listen within some seconds
# They stand for what is the visitor's own in what is rendered once for all; no text of the store holds NUL.
BASE = "\0base"
REACHED = "\0reached"
DAYS_AHEAD = 14
STEP = {
    Showing.scheduled: 0,
    Showing.today: 0,
    Showing.en_route: 1,
    Showing.arriving: 1,
    Showing.arrived: 2,
    Showing.in_progress: 3,
    Showing.completed: 4,
}


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


@dataclass(frozen=True, slots=True)
class Words:
    """All that the words of a page are made of: equal words are rendered once, however many read them."""

    language: str
    page: PageState
    firm: Firm
    details: Details
    technician: TechnicianCard | None
    time_zone: str
    is_today: bool
    arrived_s: float | None
    started_s: float | None
    ended_s: float | None
    not_home_s: float | None
    proofs: tuple[ShownProof, ...]


def update(view: JobView, page: PageState, visitor: Visitor, now_s: float) -> str:
    """What changes on an open page: `status.html`. It is another only when it says something else."""
    words, own = words_of(view, page, visitor.language, now_s), reached(view, page, visitor.link.contact_id)
    return said(words, visitor.base, own)


def said(words: Words, base: str, reached: str) -> str:
    """The words of a page for one visitor, put into `status.html`."""
    return _update(words).replace(BASE, base).replace(REACHED, reached)


def reached(view: JobView, page: PageState, contact_id: UUID) -> str:
    """The contact's own notes that are on the phone of the technician who is named, by their names in the page."""
    return " ".join(_reached(view, page, contact_id))


def _reached(view: JobView, page: PageState, contact_id: UUID) -> list[str]:
    if not page.names_technician:
        return []
    return [note_name(note_id) for owner, note_id in view.reached if owner == contact_id]


def note_name(note_id: UUID) -> str:
    """A note in a page: no more of its id than keeps it apart from the others there."""
    return note_id.hex[:8]


@lru_cache(maxsize=MOST_UPDATES)
def _update(said: Words) -> str:
    facts = _facts(said) | {"base": BASE, "reached": REACHED}
    return _environment(said.language).get_template("status.html").render(facts)


@dataclass(frozen=True, slots=True)
class Own:
    """What one contact wrote and rated; their other pages show it, and nobody else's."""

    notes: Sequence[Note] = ()
    rating: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A form as it was sent and not taken, with what is wrong with it."""

    fields: Mapping[str, str]
    problem: str


class Renderer:
    """Whole pages."""

    def __init__(self, view_files: ViewFiles, basemap: Basemap) -> None:
        self._view_files = view_files
        self._basemap = basemap

    def page(
        self, view: JobView, page: PageState, visitor: Visitor, own: Own, now_s: float, said: Action | None = None
    ) -> str:
        """The page of a visit, complete without script. `said` is the form that was just sent."""
        facts = self._page_facts(view, page, visitor, own, now_s) | {
            "status": update(view, page, visitor, now_s),
            "said": said,
            "map_attributes": self._basemap.data_attributes,
            "ages": _ages(visitor.language),
            "age_s": None if view.position is None else max(now_s - view.position.time_s, 0.0),
            "languages": [
                (language, words.OWN_NAMES[language], visitor.address(lang=language)) for language in words.LANGUAGES
            ],
        }
        return self._render("page.html", visitor.language, facts)

    def form(
        self, view: JobView, page: PageState, visitor: Visitor, own: Own, now_s: float, action: Action, draft: Draft
    ) -> str:
        """One form on a page of its own: for browsers without script, and when it was not taken."""
        facts = self._page_facts(view, page, visitor, own, now_s) | {"action": action, "draft": draft}
        return self._render("form.html", visitor.language, facts)

    def share(self, view: JobView, visitor: Visitor, address: str | None) -> str:
        """The address of a second link, for copying; None when there were enough."""
        facts = {"firm": view.firm, "colour": view.firm.colour or DEFAULT, "visitor": visitor, "address": address}
        return self._render("share.html", visitor.language, facts)

    def gone(self, language: str, *, asked: bool = False) -> str:
        """The same bytes for an expired, a revoked and an unknown link."""
        return self._render("expired.html", language, {"asked": asked, "colour": DEFAULT})

    def away(self, language: str, reloads: bool) -> str:
        """While nothing can be read."""
        return self._render("away.html", language, {"reloads": reloads, "colour": DEFAULT})

    def _page_facts(self, view: JobView, page: PageState, visitor: Visitor, own: Own, now_s: float) -> dict[str, Any]:
        ends_s = link_ends_s(visitor.link.expires_s, view.job.ended_at_s)
        zone, language = view.time_zone, visitor.language
        return _facts(words_of(view, page, language, now_s)) | {
            "visitor": visitor,
            "base": visitor.base,
            "colour": view.firm.colour or DEFAULT,
            "new_id": uuid4,
            "most_characters": MOST_CHARACTERS,
            "days": [
                (words.iso_day(at_s, zone), words.date(at_s, zone, language))
                for at_s in (words.days_later(now_s, n, zone) for n in range(1, DAYS_AHEAD + 1))
            ],
            "rating": own.rating,
            "notes": [(note, note_name(note.id), words.clock_time(note.made_s, zone, language)) for note in own.notes],
            "reached": _reached(view, page, visitor.link.contact_id),
            "ends": ends_s and words.date(ends_s, zone, language),
        }

    def _render(self, name: str, language: str, facts: Mapping[str, Any]) -> str:
        served = {
            "url": self._view_files.url,
            "style": self._view_files.style,
            "language": language,
            "direction": words.direction(language),
        }
        return _environment(language).get_template(name).render(served, **facts)


def words_of(view: JobView, page: PageState, language: str, now_s: float) -> Words:
    """What a page says now."""
    job = view.job
    return Words(
        language=language,
        page=page,
        firm=view.firm,
        details=view.details,
        technician=view.technician if page.names_technician else None,
        time_zone=view.time_zone,
        is_today=page.window is not None and words.same_day(page.window[0], now_s, view.time_zone),
        arrived_s=job.arrived_at_s,
        started_s=job.started_at_s,
        ended_s=job.ended_at_s,
        not_home_s=job.not_home_at_s,
        proofs=view.proofs,
    )


def _facts(said: Words) -> dict[str, Any]:
    page, zone, language = said.page, said.time_zone, said.language

    def clock(at_s: float | None) -> str | None:
        return None if at_s is None else words.clock_time(at_s, zone, language)

    return {
        "page": page,
        "step": STEP.get(page.showing),
        "firm": said.firm,
        "details": said.details,
        "technician": said.technician,
        "name": words.first_name(said.technician.name) if said.technician else None,
        "window": page.window and words.span(*page.window, zone, language),
        "was": page.was and words.span(*page.was, zone, language),
        "day": page.window and not said.is_today and words.date(page.window[0], zone, language),
        "about": page.about_min and words.duration(page.about_min * 60, language),
        "takes": words.duration(said.details.duration_s, language),
        "arrived": clock(said.arrived_s),
        "started": clock(said.started_s),
        "ended": clock(said.ended_s),
        "waits": clock(said.not_home_s),
        "photos": [proof for proof in said.proofs if proof.kind == "photo"],
        "signatures": [proof for proof in said.proofs if proof.kind == "signature"],
        "ended_day": said.ended_s and words.date(said.ended_s, zone, language),
    }


@cache
def _ages(language: str) -> list[str]:
    """How old a position is, in words: second by second for a minute, then by the minute while it is shown at all."""
    _, ngettext = words.catalogue(language).gettext, words.catalogue(language).ngettext
    return [
        _("Position from just now"),
        *(
            ngettext("Position %(num)s second old", "Position %(num)s seconds old", n) % {"num": n}
            for n in range(1, 60)
        ),
        *(
            ngettext("Position %(num)s minute old", "Position %(num)s minutes old", n) % {"num": n}
            for n in range(1, int(HIDDEN_S // 60) + 1)
        ),
    ]


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
