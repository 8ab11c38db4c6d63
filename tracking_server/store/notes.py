"""Notes and ratings as kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.note import MOST_NOTES, Author, Note, NoteKind
from tracking_server.domain.updates import JobChanged
from tracking_server.store.engine import to_seconds, to_time
from tracking_server.store.schema import job, note, rating

MOST_OF_A_TECHNICIAN = 200  # notes on one job


async def insert_note(connection: AsyncConnection, organisation_id: UUID, new: Note) -> JobChanged | None:
    """Keep a note and count its job's version up, so that everybody who watches the job looks again. The same note sent
    twice is kept once.

    None, and nothing kept, when the contact wrote MOST_NOTES already.
    """
    own = sa.select(sa.func.count()).where(
        note.c.organisation_id == organisation_id, note.c.job_id == new.job_id, note.c.contact_id == new.contact_id
    )
    if new.contact_id is not None and (await connection.scalar(own) or 0) >= MOST_NOTES:
        return None
    await _insert(connection, organisation_id, new)
    return await count_version_up(connection, organisation_id, new.job_id)


async def keep_note(connection: AsyncConnection, organisation_id: UUID, new: Note) -> None:
    """Keep a technician's note, of an event that counted the job's version up. Past MOST_OF_A_TECHNICIAN of them only
    the tap keeps what was written."""
    own = sa.select(sa.func.count()).where(
        note.c.organisation_id == organisation_id, note.c.job_id == new.job_id, note.c.author == new.author.value
    )
    if (await connection.scalar(own) or 0) < MOST_OF_A_TECHNICIAN:
        await _insert(connection, organisation_id, new)


async def _insert(connection: AsyncConnection, organisation_id: UUID, new: Note) -> None:
    row = insert(note).values(
        organisation_id=organisation_id,
        id=new.id,
        job_id=new.job_id,
        kind=new.kind.value,
        author=new.author.value,
        contact_id=new.contact_id,
        technician_id=new.technician_id,
        text=new.text,
        wish=new.wish,
        made_at=to_time(new.made_s),
    )
    await connection.execute(row.on_conflict_do_nothing(index_elements=["organisation_id", "id"]))


async def read_notes(connection: AsyncConnection, organisation_id: UUID, job_id: UUID) -> list[Note]:
    """All notes of a job, oldest first."""
    rows = await connection.execute(
        sa.select(note)
        .where(note.c.organisation_id == organisation_id, note.c.job_id == job_id)
        .order_by(note.c.made_at, note.c.id)
    )
    return [note_of(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Said:
    """What was written about a job, oldest first, and the stars and comments of its contacts."""

    notes: tuple[Note, ...]
    ratings: dict[UUID, tuple[int, str]]


async def read_said(connection: AsyncConnection, organisation_id: UUID, job_ids: Collection[UUID]) -> dict[UUID, Said]:
    """The notes and ratings of jobs, in two statements for all of them."""
    notes = await connection.execute(
        sa.select(note)
        .where(note.c.organisation_id == organisation_id, note.c.job_id.in_(job_ids))
        .order_by(note.c.made_at, note.c.id)
    )
    ratings = await connection.execute(
        sa.select(rating).where(rating.c.organisation_id == organisation_id, rating.c.job_id.in_(job_ids))
    )
    written: dict[UUID, list[Note]] = {job_id: [] for job_id in job_ids}
    rated: dict[UUID, dict[UUID, tuple[int, str]]] = {job_id: {} for job_id in job_ids}
    for row in notes:
        written[row.job_id].append(note_of(row))
    for row in ratings:
        rated[row.job_id][row.contact_id] = (row.stars, row.comment)
    return {job_id: Said(tuple(written[job_id]), rated[job_id]) for job_id in job_ids}


async def read_reached(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, technician_id: UUID | None
) -> tuple[tuple[UUID | None, UUID], ...]:
    """Customers' notes on a job that are on this technician's phone: (contact, note)."""
    if technician_id is None:
        return ()
    rows = await connection.execute(
        sa.select(note.c.contact_id, note.c.id)
        .where(note.c.organisation_id == organisation_id, note.c.job_id == job_id, note.c.reached_by == technician_id)
        .order_by(note.c.made_at, note.c.id)
    )
    return tuple((row.contact_id, row.id) for row in rows)


def unhandled(organisation_id: UUID) -> tuple[sa.ColumnElement[bool], ...]:
    """Which notes are customers' that nobody saw to yet."""
    return (
        note.c.organisation_id == organisation_id,
        note.c.handled_at.is_(None),
        note.c.author == Author.customer.value,
    )


async def read_unhandled(connection: AsyncConnection, organisation_id: UUID, most: int = 200) -> list[Note]:
    """Customers' notes that nobody saw to yet, oldest first."""
    rows = await connection.execute(
        sa.select(note).where(*unhandled(organisation_id)).order_by(note.c.made_at, note.c.id).limit(most)
    )
    return [note_of(row) for row in rows]


async def handle_note(
    connection: AsyncConnection, organisation_id: UUID, note_id: UUID, actor: str, now_s: float
) -> JobChanged | None:
    """Note who saw to it, once; None when there is no such note or somebody did already."""
    job_id = await connection.scalar(
        note.update()
        .where(note.c.organisation_id == organisation_id, note.c.id == note_id, note.c.handled_at.is_(None))
        .values(handled_at=to_time(now_s), handled_by=actor)
        .returning(note.c.job_id)
    )
    return None if job_id is None else await count_version_up(connection, organisation_id, job_id)


async def rate(
    connection: AsyncConnection,
    organisation_id: UUID,
    job_id: UUID,
    contact_id: UUID,
    *,
    stars: int,
    comment: str,
    now_s: float,
) -> JobChanged:
    """Keep a contact's rating of a job; a second one replaces the first."""
    values = {"stars": stars, "comment": comment, "made_at": to_time(now_s)}
    statement = insert(rating).values(organisation_id=organisation_id, job_id=job_id, contact_id=contact_id, **values)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["organisation_id", "job_id", "contact_id"], set_=values)
    )
    return await count_version_up(connection, organisation_id, job_id)


async def count_version_up(connection: AsyncConnection, organisation_id: UUID, job_id: UUID) -> JobChanged:
    """Make everybody who watches this job look at it again; returns what to publish."""
    row = (
        await connection.execute(
            job.update()
            .where(job.c.organisation_id == organisation_id, job.c.id == job_id)
            .values(version=job.c.version + 1)
            .returning(job.c.version, job.c.technician_id)
        )
    ).one_or_none()
    if row is None:
        return JobChanged(organisation_id, job_id, 0)
    return JobChanged(organisation_id, job_id, row.version, (row.technician_id,) if row.technician_id else ())


def note_of(row: sa.Row[tuple[object, ...]]) -> Note:
    """The note in a row of its table."""
    return Note(
        id=row.id,
        job_id=row.job_id,
        kind=NoteKind(row.kind),
        author=Author(row.author),
        contact_id=row.contact_id,
        text=row.text,
        made_s=row.made_at.timestamp(),
        handled_s=to_seconds(row.handled_at),
        wish=row.wish,
        reached_by=row.reached_by,
        technician_id=row.technician_id,
    )
