"""What the viewers of a job are shown, read in one go, and which of it changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.job import Job, State
from tracking_server.domain.shift import Shift, open_shift
from tracking_server.domain.updates import Position
from tracking_server.store.engine import to_seconds
from tracking_server.store.jobs import read_job, read_stops
from tracking_server.store.notes import read_reached
from tracking_server.store.people import read_shifts
from tracking_server.store.proofs import ShownProof, read_proofs
from tracking_server.store.schema import job as job_table
from tracking_server.store.schema import link, organisation, promise, technician


@dataclass(frozen=True, slots=True)
class TechnicianCard:
    """The technician as customers may know them."""

    id: UUID
    name: str
    vehicle: str | None
    plate: str | None
    trade: str | None = None
    photo_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Firm:
    """The organisation as its customers know it. `colour` is `#rrggbb`."""

    name: str
    office_phone: str | None = None
    colour: str | None = None
    logo_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """What a job says in words, as its customer may read it."""

    title: str
    number: int | None = None
    preparation: str | None = None
    summary: str | None = None
    invoice_url: str | None = None
    delay_reason: str | None = None
    ended_by: str | None = None
    ended_reason: str | None = None
    duration_s: int = 3600


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with its firm, its technician and how many stops come before it, at one version.

    `broken_promise` is the window that was promised before and is not kept, in epoch seconds. `proofs` are there once
    the work is done, and as long as it is.
    """

    organisation_id: UUID
    firm: Firm
    job: Job
    details: Details
    time_zone: str
    broken_promise: tuple[float, float] | None
    technician: TechnicianCard | None
    technician_version: int
    stops: tuple[Job, ...]
    shift: Shift | None
    position: Position | None
    proofs: tuple[ShownProof, ...] = ()
    reached: tuple[tuple[UUID | None, UUID], ...] = ()  # by contact: their notes that are on this technician's phone


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A customer's tracking link as kept."""

    id: UUID
    organisation_id: UUID
    job_id: UUID
    contact_id: UUID
    expires_s: float | None
    revoked: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A link with what it leads to: when its job ended, and the versions of the job and of its technician."""

    link: LinkRow
    ended_s: float | None
    versions: tuple[int, int]


HASHES = ARRAY(sa.LargeBinary)
IDS = ARRAY(sa.Uuid)
DETAILS = tuple(field.name for field in fields(Details))


async def find_link(connection: AsyncConnection, organisation_id: UUID, token_hash: bytes) -> LinkRow | None:
    """The link that a token opens, None when there is none."""
    row = (
        await connection.execute(
            sa.select(link).where(link.c.organisation_id == organisation_id, link.c.token_hash == token_hash)
        )
    ).one_or_none()
    return None if row is None else _link_of(row)


async def find_opened(
    connection: AsyncConnection, organisation_id: UUID, token_hashes: Collection[bytes]
) -> dict[bytes, Opened]:
    """The links that tokens open, in one statement for all of them."""
    rows = await connection.execute(
        sa.select(link, job_table.c.ended_at, job_table.c.version, technician.c.version.label("technician_version"))
        .join(
            job_table,
            (job_table.c.organisation_id == link.c.organisation_id) & (job_table.c.id == link.c.job_id),
        )
        .outerjoin(
            technician,
            (technician.c.organisation_id == job_table.c.organisation_id)
            & (technician.c.id == job_table.c.technician_id),
        )
        .where(
            link.c.organisation_id == organisation_id,
            link.c.token_hash == sa.any_(sa.literal(list(token_hashes), HASHES)),
        )
    )
    return {
        row.token_hash: Opened(_link_of(row), to_seconds(row.ended_at), (row.version, row.technician_version or 0))
        for row in rows
    }


def _link_of(row: sa.Row[Any]) -> LinkRow:
    expires_s, revoked = to_seconds(row.expires_at), row.revoked_at is not None
    return LinkRow(row.id, row.organisation_id, row.job_id, row.contact_id, expires_s, revoked)


async def read_view(connection: AsyncConnection, organisation_id: UUID, job_id: UUID, now_s: float) -> JobView | None:
    """Everything a page of this job needs."""
    job = await read_job(connection, organisation_id, job_id)
    if job is None:
        return None
    made = promise.alias()
    broken = (  # a number is left out when a promise is broken twice: by the clock, then by the technician's word
        sa.select(sa.func.max(made.c.number))
        .where(
            made.c.organisation_id == job_table.c.organisation_id,
            made.c.job_id == job_table.c.id,
            made.c.number <= job_table.c.late_promise,
        )
        .scalar_subquery()
    )
    statement = (
        sa.select(
            organisation.c.name, organisation.c.office_phone, organisation.c.colour, organisation.c.logo_id,
            *(job_table.c[name] for name in ("time_zone", *DETAILS)),
            promise.c.earliest, promise.c.latest,
        )
        .join(job_table, job_table.c.organisation_id == organisation.c.id)
        .outerjoin(
            promise,
            (promise.c.organisation_id == job_table.c.organisation_id)
            & (promise.c.job_id == job_table.c.id)
            & (promise.c.number == broken),
        )
        .where(organisation.c.id == organisation_id, job_table.c.id == job_id)
    )  # fmt: skip
    row = (await connection.execute(statement)).one()
    card: TechnicianCard | None = None
    version, position, shift = 0, None, None
    stops: tuple[Job, ...] = ()
    if job.technician_id is not None:
        card, version, position = await _read_technician(connection, organisation_id, job.technician_id)
        ids = [job.technician_id]
        stops = tuple((await read_stops(connection, organisation_id, ids, now_s))[job.technician_id])
        shift = open_shift((await read_shifts(connection, organisation_id, ids, now_s))[job.technician_id])
    return JobView(
        organisation_id=organisation_id,
        firm=Firm(row.name, row.office_phone, row.colour, row.logo_id),
        job=job,
        details=Details(**{name: row._mapping[name] for name in DETAILS}),
        time_zone=row.time_zone,
        broken_promise=(row.earliest.timestamp(), row.latest.timestamp()) if row.earliest is not None else None,
        technician=card,
        technician_version=version,
        stops=stops,
        shift=shift,
        position=position,
        proofs=tuple(await read_proofs(connection, organisation_id, job_id)) if job.state is State.completed else (),
        reached=await read_reached(connection, organisation_id, job_id, job.technician_id),
    )


async def _read_technician(
    connection: AsyncConnection, organisation_id: UUID, technician_id: UUID
) -> tuple[TechnicianCard, int, Position | None]:
    row = (
        await connection.execute(
            sa.select(
                technician.c.name,
                technician.c.vehicle,
                technician.c.plate,
                technician.c.trade,
                technician.c.photo_id,
                technician.c.version,
                technician.c.position_time,
                sa.func.ST_X(technician.c.position).label("lon"),
                sa.func.ST_Y(technician.c.position).label("lat"),
                technician.c.position_accuracy_m,
                technician.c.position_course_deg,
            ).where(technician.c.organisation_id == organisation_id, technician.c.id == technician_id)
        )
    ).one()
    position = None
    if row.position_time is not None:
        position = Position(
            organisation_id,
            technician_id,
            row.version,
            row.position_time.timestamp(),
            row.lon,
            row.lat,
            row.position_accuracy_m,
            row.position_course_deg,
        )
    card = TechnicianCard(technician_id, row.name, row.vehicle, row.plate, row.trade, row.photo_id)
    return card, row.version, position


async def read_versions(connection: AsyncConnection, job_ids: Iterable[UUID]) -> dict[UUID, tuple[int, int]]:
    """The versions of jobs and of their technicians, in one query over all organisations (a `watching` transaction)."""
    rows = await connection.execute(
        sa.select(job_table.c.id, job_table.c.version, sa.func.coalesce(technician.c.version, 0))
        .outerjoin(
            technician,
            (technician.c.organisation_id == job_table.c.organisation_id)
            & (technician.c.id == job_table.c.technician_id),
        )
        .where(job_table.c.id == sa.any_(sa.literal(list(job_ids), IDS)))
    )
    return {job_id: (version, technician_version) for job_id, version, technician_version in rows}
