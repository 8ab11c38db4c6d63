"""What the dispatcher's board shows, read in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.board import Whereabouts
from tracking_server.domain.job import OPEN, Job, State
from tracking_server.domain.message import Standing
from tracking_server.domain.note import Note
from tracking_server.domain.shift import open_shift
from tracking_server.store.engine import to_seconds, to_time
from tracking_server.store.jobs import job_of, select_jobs
from tracking_server.store.notes import read_notes, read_unhandled, unhandled
from tracking_server.store.people import read_shifts
from tracking_server.store.proofs import ShownProof, read_proofs
from tracking_server.store.schema import contact, customer, device, event, link, message, note, organisation
from tracking_server.store.schema import job as job_table
from tracking_server.store.schema import promise as promise_table
from tracking_server.store.schema import technician as technician_table

MOST_JOBS = 2_000
LINES_AT_ONCE = 50  # then others on the loop have their turn
MOST_MESSAGES = 200
ENDED = [State.completed.value, State.cancelled.value, State.no_access.value]


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the firm, in epoch seconds; today's board also shows what is left over from earlier ones."""

    begins_s: float
    ends_s: float
    is_today: bool


@dataclass(frozen=True, slots=True)
class TechnicianLine:
    """A technician on the board."""

    where: Whereabouts
    vehicle: str | None
    plate: str | None
    trade: str | None
    version: int
    course_deg: float | None


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job on the board, with its customer."""

    job: Job
    number: int | None
    title: str
    address: str
    time_zone: str
    duration_s: int
    customer: str
    organisation_id: UUID
    ended_reason: str | None


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """A message that did not get through."""

    id: UUID
    job_id: UUID
    kind: str
    channel: str
    recipient: str
    reason: str | None
    at_s: float


@dataclass(frozen=True, slots=True)
class Board:
    """One organisation's day."""

    organisation_id: UUID
    name: str
    time_zone: str
    technicians: tuple[TechnicianLine, ...]
    jobs: tuple[JobLine, ...]
    notes: tuple[Note, ...]
    failed: tuple[FailedMessage, ...]
    others: tuple[JobLine, ...]  # of other days: what technicians are at, and what the inbox is about
    _lines: dict[UUID, JobLine] = field(init=False, repr=False, compare=False, default_factory=dict)
    _technicians: dict[UUID | None, TechnicianLine] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._lines.update((line.job.id, line) for line in (*self.jobs, *self.others))
        self._technicians.update((line.where.id, line) for line in self.technicians)

    def line(self, job_id: UUID) -> JobLine | None:
        """A job that something on the board is about."""
        return self._lines.get(job_id)

    def technician(self, technician_id: UUID | None) -> TechnicianLine | None:
        """One of the technicians."""
        return self._technicians.get(technician_id)

    def stops(self) -> dict[UUID, list[Job]]:
        """The open jobs of each technician."""
        found: dict[UUID, list[Job]] = {}
        for line in (*self.jobs, *self.others):
            if line.job.technician_id is not None and line.job.state in OPEN:
                found.setdefault(line.job.technician_id, []).append(line.job)
        return found


async def read_firm(connection: AsyncConnection, organisation_id: UUID) -> tuple[str, str]:
    """The organisation's name and time zone."""
    row = (
        await connection.execute(
            sa.select(organisation.c.name, organisation.c.time_zone).where(organisation.c.id == organisation_id)
        )
    ).one()
    return row.name, row.time_zone


async def read_board(connection: AsyncConnection, organisation_id: UUID, day: Day, now_s: float) -> Board:
    """Everything on a day's board."""
    name, time_zone = await read_firm(connection, organisation_id)
    technicians = await read_technician_lines(connection, organisation_id, now_s)
    jobs = await _read_lines(connection, organisation_id, _on_board(day))
    notes = await read_unhandled(connection, organisation_id)
    failed = await _read_failed(connection, organisation_id)
    known = {line.job.id for line in jobs}
    about = {note.job_id for note in notes} | {one.job_id for one in failed}
    elsewhere = sa.or_(_is_open(), job_table.c.id.in_(list(about - known)))
    others = await _read_lines(connection, organisation_id, sa.and_(elsewhere, job_table.c.id.not_in(list(known))))
    return Board(
        organisation_id, name, time_zone, tuple(technicians), tuple(jobs), tuple(notes), tuple(failed), tuple(others)
    )


async def read_fingerprint(connection: AsyncConnection, organisation_id: UUID, day: Day) -> tuple[Any, ...]:
    """A value that is another one when anything on the board is."""
    technicians = await connection.execute(
        sa.select(sa.func.count(), sa.func.sum(technician_table.c.version)).where(
            technician_table.c.organisation_id == organisation_id
        )
    )
    jobs = await connection.execute(
        sa.select(sa.func.count(), sa.func.sum(job_table.c.version))
        .select_from(job_table)
        .outerjoin(promise_table, _promised())
        .where(job_table.c.organisation_id == organisation_id, sa.or_(_on_board(day), _is_open()))
    )
    failed = await connection.execute(
        sa.select(sa.func.count(), sa.func.max(message.c.settled_at)).where(*_unhandled_failures(organisation_id))
    )
    notes = await connection.execute(
        sa.select(sa.func.count(), sa.func.max(note.c.made_at)).where(*unhandled(organisation_id))
    )
    phones = await connection.execute(
        sa.select(sa.func.count()).where(device.c.organisation_id == organisation_id, device.c.revoked_at.is_(None))
    )
    return (*technicians.one(), *jobs.one(), *failed.one(), *notes.one(), *phones.one())


def _on_board(day: Day) -> sa.ColumnElement[bool]:
    """What is promised for that day, or ended in it; today also what is under way, overdue, or not promised at all."""
    begins, ends = to_time(day.begins_s), to_time(day.ends_s)
    promised = sa.and_(promise_table.c.earliest < ends, promise_table.c.latest >= begins)
    ended = sa.and_(job_table.c.ended_at >= begins, job_table.c.ended_at < ends)
    if not day.is_today:
        return sa.or_(promised, ended)
    present = [State.en_route.value, State.arrived.value, State.in_progress.value]
    left_over = sa.or_(promise_table.c.latest < begins, promise_table.c.latest.is_(None))
    waits = sa.and_(job_table.c.state.not_in(ENDED), sa.or_(job_table.c.state.in_(present), left_over))
    return sa.or_(promised, ended, waits)


def _is_open() -> sa.ColumnElement[bool]:
    """What technicians are at, or have before them, of whatever day."""
    return job_table.c.state.in_([state.value for state in OPEN])


def _promised() -> sa.ColumnElement[bool]:
    return (
        (promise_table.c.organisation_id == job_table.c.organisation_id)
        & (promise_table.c.job_id == job_table.c.id)
        & (promise_table.c.number == job_table.c.promise)
    )


async def _read_lines(
    connection: AsyncConnection, organisation_id: UUID, which: sa.ColumnElement[bool]
) -> list[JobLine]:
    statement = (
        select_jobs()
        .add_columns(customer.c.name.label("customer_name"))
        .join(
            customer,
            (customer.c.organisation_id == job_table.c.organisation_id) & (customer.c.id == job_table.c.customer_id),
        )
        .where(job_table.c.organisation_id == organisation_id, which)
        .order_by(job_table.c.created_at.desc())
        .limit(MOST_JOBS)
    )
    lines: list[JobLine] = []
    for row in await connection.execute(statement):
        lines.append(_line_of(row, organisation_id))
        if len(lines) % LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
    return lines


def _line_of(row: sa.Row[Any], organisation_id: UUID) -> JobLine:
    return JobLine(
        job=job_of(row),
        number=row.number,
        title=row.title,
        address=row.address,
        time_zone=row.time_zone,
        duration_s=row.duration_s,
        customer=row.customer_name,
        organisation_id=organisation_id,
        ended_reason=row.ended_reason,
    )


async def read_line(connection: AsyncConnection, organisation_id: UUID, job_id: UUID) -> JobLine | None:
    """One job as on the board."""
    return next(iter(await _read_lines(connection, organisation_id, job_table.c.id == job_id)), None)


async def read_technician_lines(
    connection: AsyncConnection, organisation_id: UUID, now_s: float
) -> list[TechnicianLine]:
    """All technicians by name, with what was last heard of them."""
    columns = technician_table.c
    phones = (
        sa.select(device.c.technician_id, sa.func.count().label("phones"))
        .where(device.c.organisation_id == organisation_id, device.c.revoked_at.is_(None))
        .group_by(device.c.technician_id)
        .subquery()
    )
    rows = list(
        await connection.execute(
            sa.select(
                columns.id, columns.name, columns.vehicle, columns.plate, columns.trade, columns.version,
                columns.position_time, columns.position_course_deg, columns.battery_pct,
                sa.func.ST_X(columns.position).label("lon"), sa.func.ST_Y(columns.position).label("lat"),
                sa.func.coalesce(phones.c.phones, 0).label("phones"),
            )
            .outerjoin(phones, phones.c.technician_id == columns.id)
            .where(columns.organisation_id == organisation_id)
            .order_by(columns.name, columns.id)
        )
    )  # fmt: skip
    shifts = await read_shifts(connection, organisation_id, [row.id for row in rows], now_s)
    return [
        TechnicianLine(
            where=Whereabouts(
                id=row.id,
                name=row.name,
                shift=open_shift(shifts[row.id]),
                position_s=to_seconds(row.position_time),
                lon=row.lon,
                lat=row.lat,
                battery_pct=row.battery_pct,
                phones=row.phones,
            ),
            vehicle=row.vehicle,
            plate=row.plate,
            trade=row.trade,
            version=row.version,
            course_deg=row.position_course_deg,
        )
        for row in rows
    ]


def _unhandled_failures(organisation_id: UUID) -> Sequence[sa.ColumnElement[bool]]:
    return (
        message.c.organisation_id == organisation_id,
        message.c.state == Standing.failed.value,
        message.c.handled_at.is_(None),
    )


async def _read_failed(connection: AsyncConnection, organisation_id: UUID) -> list[FailedMessage]:
    rows = await connection.execute(
        sa.select(message)
        .where(*_unhandled_failures(organisation_id))
        .order_by(message.c.settled_at.desc())
        .limit(MOST_MESSAGES)
    )
    return [
        FailedMessage(
            row.id,
            row.job_id,
            row.kind,
            row.channel,
            row.recipient,
            row.reason,
            (row.settled_at or row.owed_at).timestamp(),
        )
        for row in rows
    ]


async def handle_message(
    connection: AsyncConnection, organisation_id: UUID, message_id: UUID, actor: str, now_s: float
) -> bool:
    """Note who saw to a failed message, once; says whether there is one that nobody saw to."""
    done = await connection.execute(
        message.update()
        .where(*_unhandled_failures(organisation_id), message.c.id == message_id)
        .values(handled_at=to_time(now_s), handled_by=actor)
    )
    return done.rowcount == 1


@dataclass(frozen=True, slots=True)
class EventLine:
    """Something that happened to a job."""

    kind: str
    at_s: float
    recorded_s: float
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MessageLine:
    """A message owed to somebody, and what became of it."""

    kind: str
    channel: str
    recipient: str
    state: str
    reason: str | None
    at_s: float


@dataclass(frozen=True, slots=True)
class ContactLine:
    """Somebody to be told, and how many links of theirs still open."""

    id: UUID
    name: str
    email: str | None
    phone: str | None
    language: str
    links: int


@dataclass(frozen=True, slots=True)
class Detail:
    """One job, with all that is known of it."""

    line: JobLine
    events: tuple[EventLine, ...]
    messages: tuple[MessageLine, ...]
    contacts: tuple[ContactLine, ...]
    notes: tuple[Note, ...]
    proofs: tuple[ShownProof, ...] = ()


async def read_detail(connection: AsyncConnection, organisation_id: UUID, job_id: UUID) -> Detail | None:
    """One job, None when the organisation has none of this id."""
    line = await read_line(connection, organisation_id, job_id)
    if line is None:
        return None
    events = await connection.execute(
        sa.select(event.c.kind, event.c.at, event.c.recorded_at, event.c.evidence)
        .where(event.c.organisation_id == organisation_id, event.c.job_id == job_id)
        .order_by(event.c.id.desc())
        .limit(MOST_MESSAGES)
    )
    messages = await connection.execute(
        sa.select(message)
        .where(message.c.organisation_id == organisation_id, message.c.job_id == job_id)
        .order_by(message.c.owed_at.desc(), message.c.id)
        .limit(MOST_MESSAGES)
    )
    live = (
        sa.select(link.c.contact_id, sa.func.count().label("links"))
        .where(link.c.organisation_id == organisation_id, link.c.job_id == job_id, link.c.revoked_at.is_(None))
        .group_by(link.c.contact_id)
        .subquery()
    )
    contacts = await connection.execute(
        sa.select(contact, sa.func.coalesce(live.c.links, 0).label("links"))
        .join(
            job_table,
            (job_table.c.organisation_id == contact.c.organisation_id)
            & (job_table.c.customer_id == contact.c.customer_id),
        )
        .outerjoin(live, live.c.contact_id == contact.c.id)
        .where(job_table.c.organisation_id == organisation_id, job_table.c.id == job_id)
        .order_by(contact.c.name, contact.c.id)
    )
    return Detail(
        line=line,
        events=tuple(
            EventLine(row.kind, row.at.timestamp(), row.recorded_at.timestamp(), row.evidence) for row in events
        ),
        messages=tuple(
            MessageLine(
                row.kind, row.channel, row.recipient, row.state, row.reason, (row.settled_at or row.owed_at).timestamp()
            )
            for row in messages
        ),
        contacts=tuple(
            ContactLine(row.id, row.name, row.email, row.phone, row.language, row.links) for row in contacts
        ),
        notes=tuple(await read_notes(connection, organisation_id, job_id)),
        proofs=tuple(await read_proofs(connection, organisation_id, job_id)),
    )
