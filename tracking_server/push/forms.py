"""What customers send: notes, wishes and ratings, from plain forms."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl
from uuid import UUID, uuid4, uuid5

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from tracking_server import words
from tracking_server.domain.form import Problem, Rated, Refused, Written, judge
from tracking_server.domain.note import Author, Note
from tracking_server.domain.page_state import Action, PageState
from tracking_server.domain.updates import JobChanged
from tracking_server.push.render import DAYS_AHEAD
from tracking_server.store.engine import transaction
from tracking_server.store.notes import insert_note, rate
from tracking_server.store.views import JobView, LinkRow

MOST_BYTES = 16_384
MOST_FIELDS = 20
FORM = "application/x-www-form-urlencoded"


class NotAForm(Exception):
    """The request is no form of ours; its status and its one line are the answer."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


async def read_fields(request: Request) -> dict[str, str]:
    """The fields of a form. What is no UTF-8 stays in them as half characters, for the judge to refuse."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise NotAForm(415, f"send the form as {FORM}")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise NotAForm(413, f"the form is too large: {MOST_BYTES} bytes fit")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="surrogateescape", max_num_fields=MOST_FIELDS
        )
    except ValueError as error:
        raise NotAForm(400, "the form cannot be read") from error
    return dict(pairs)


async def take(
    engine: AsyncEngine,
    view: JobView,
    page: PageState,
    link: LinkRow,
    action: Action,
    fields: Mapping[str, str],
    now_s: float,
) -> JobChanged:
    """Keep what was sent and return what to publish. Raises `Refused`."""
    if not page.takes(action):
        raise Refused(Problem.too_late)
    sent = judge(action, fields, offered_days(view, now_s))
    async with transaction(engine, view.organisation_id) as connection:
        if isinstance(sent, Rated):
            return await rate(
                connection, view.organisation_id, view.job.id, link.contact_id,
                stars=sent.stars, comment=sent.comment, now_s=now_s,
            )  # fmt: skip
        note = Note(
            id=_id(fields.get("id", ""), (view.job.id, link.contact_id, sent)),
            job_id=view.job.id,
            kind=sent.kind,
            author=Author.customer,
            contact_id=link.contact_id,
            text=sent.text,
            made_s=now_s,
            wish=sent.wish,
        )
        change = await insert_note(connection, view.organisation_id, note)
    if change is None:
        raise Refused(Problem.too_many)
    return change


def offered_days(view: JobView, now_s: float) -> list[str]:
    """The dates that a customer may wish for, from today on: a form may be a day old."""
    zone = view.time_zone
    return [words.iso_day(words.days_later(now_s, n, zone), zone) for n in range(DAYS_AHEAD + 1)]


def _id(form: str, said: tuple[UUID, UUID, Written]) -> UUID:
    """A form sent twice is one note; changed and sent again, as after going back to it, it is another."""
    try:
        return uuid5(UUID(form), repr(said))
    except ValueError:
        return uuid4()
