"""A technician's jobs as their phone shows them, and which customers' notes have reached it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.job import OPEN, Job
from tracking_server.domain.note import Author, Note
from tracking_server.domain.updates import JobChanged
from tracking_server.store.engine import to_time
from tracking_server.store.jobs import job_of, read_contacts, select_jobs
from tracking_server.store.notes import count_version_up, note_of
from tracking_server.store.schema import customer, note, organisation
from tracking_server.store.schema import job as job_table

MOST_JOBS = 100
MOST_NOTES = 1_000
ENDED_BACK_S = 2 * 86_400.0  # more than a day anywhere: which of them are of today is decided at the door


@dataclass(frozen=True, slots=True)
class Stop:
    """A job of a technician, with what they need at the door."""

    job: Job
    number: int | None
    title: str
    address: str
    time_zone: str
    customer: str
    phone: str | None
    proof: dict[str, str]
    notes: tuple[Note, ...]


async def read_stops_of(
    connection: AsyncConnection, organisation_id: UUID, technician_id: UUID, now_s: float
) -> list[Stop]:
    """A technician's open jobs, and those that ended lately, in their order."""
    rows = list(
        await connection.execute(
            select_jobs()
            .add_columns(customer.c.name.label("customer_name"))
            .join(
                customer,
                (customer.c.organisation_id == job_table.c.organisation_id)
                & (customer.c.id == job_table.c.customer_id),
            )
            .where(
                job_table.c.organisation_id == organisation_id,
                job_table.c.technician_id == technician_id,
                job_table.c.state.in_([state.value for state in OPEN])
                | (job_table.c.ended_at > to_time(now_s - ENDED_BACK_S)),
            )
            .order_by(job_table.c.ended_at.is_not(None), job_table.c.stop_number, job_table.c.id)
            .limit(MOST_JOBS)
        )
    )
    ids = [row.id for row in rows]
    phones: dict[UUID, str] = {}
    for contact in await read_contacts(connection, organisation_id, ids):
        if contact.phone:
            phones.setdefault(contact.job_id, contact.phone)
    notes: dict[UUID, list[Note]] = {}
    for one in await _read_notes(connection, organisation_id, ids):
        notes.setdefault(one.job_id, []).append(one)
    return [
        Stop(
            job=job_of(row),
            number=row.number,
            title=row.title,
            address=row.address,
            time_zone=row.time_zone,
            customer=row.customer_name,
            phone=phones.get(row.id),
            proof=row.proof,
            notes=tuple(notes.get(row.id, ())),
        )
        for row in rows
    ]


async def _read_notes(connection: AsyncConnection, organisation_id: UUID, job_ids: Iterable[UUID]) -> list[Note]:
    """Oldest first; of too many the newest."""
    rows = await connection.execute(
        sa.select(note)
        .where(note.c.organisation_id == organisation_id, note.c.job_id.in_(list(job_ids)))
        .order_by(note.c.made_at.desc(), note.c.id)
        .limit(MOST_NOTES)
    )
    return [note_of(row) for row in rows][::-1]


async def read_firms_settings(connection: AsyncConnection, organisation_id: UUID) -> dict[str, Any]:
    """A firm's settings as kept."""
    statement = sa.select(organisation.c.settings).where(organisation.c.id == organisation_id)
    return dict(await connection.scalar(statement) or {})


async def notes_reached(
    connection: AsyncConnection, organisation_id: UUID, technician_id: UUID, note_ids: Iterable[UUID], now_s: float
) -> list[JobChanged]:
    """These customers' notes are on this technician's phone; returns what to publish, nothing for those known to be."""
    job_ids = await connection.scalars(
        note.update()
        .where(
            note.c.organisation_id == organisation_id,
            note.c.id.in_(list(note_ids)),
            note.c.author == Author.customer.value,
            note.c.reached_by.is_distinct_from(technician_id),
        )
        .values(reached_at=to_time(now_s), reached_by=technician_id)
        .returning(note.c.job_id)
    )
    return [await count_version_up(connection, organisation_id, job_id) for job_id in sorted(set(job_ids))]
