"""Photos and signatures as rows: whose they are, of which visit, and whether they are shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.proof import FileVerdict
from tracking_server.store.devices import Device
from tracking_server.store.engine import to_time
from tracking_server.store.schema import attachment, job, tap


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that arrived whole."""

    id: UUID
    job_id: UUID
    kind: str
    media_type: str
    size: int
    sha256: bytes
    made_s: float
    shown: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A file that is here already."""

    device_id: UUID
    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class ShownProof:
    """A photo or a signature of a visit."""

    id: UUID
    kind: str
    made_s: float


async def find_file(connection: AsyncConnection, organisation_id: UUID, id_: UUID) -> Known | None:
    """The file of this id, None when there is none."""
    row = (
        await connection.execute(
            sa.select(attachment.c.device_id, attachment.c.sha256, attachment.c.size).where(
                attachment.c.organisation_id == organisation_id, attachment.c.id == id_
            )
        )
    ).one_or_none()
    return None if row is None else Known(row.device_id, row.sha256, row.size)


async def count_files(connection: AsyncConnection, device: Device, since_s: float) -> int:
    """How many files came from this phone since then."""
    statement = (
        sa.select(sa.func.count())
        .select_from(attachment)
        .where(
            attachment.c.organisation_id == device.organisation_id,
            attachment.c.received_at > to_time(since_s),
            attachment.c.device_id == device.id,
        )
    )
    return int(await connection.scalar(statement) or 0)


async def insert_file(
    connection: AsyncConnection, device: Device, new: NewFile, most_per_job: int, now_s: float
) -> FileVerdict | None:
    """Keep a file's row, once. One that is not shown says why: it is somebody else's visit, cannot be read, or there
    are enough of this visit."""
    organisation_id = device.organisation_id
    exists, theirs = await _whose(connection, device, new.job_id)
    verdict = None
    if not theirs:
        verdict = FileVerdict.not_yours
    elif not new.shown:
        verdict = FileVerdict.unreadable
    elif len(await read_proofs(connection, organisation_id, new.job_id)) >= most_per_job:
        verdict = FileVerdict.too_many
    row = insert(attachment).values(
        organisation_id=organisation_id,
        id=new.id,
        device_id=device.id,
        technician_id=device.technician_id,
        job_id=new.job_id if exists else None,
        kind=new.kind,
        media_type=new.media_type,
        size=new.size,
        sha256=new.sha256,
        made_at=to_time(new.made_s),
        received_at=to_time(now_s),
        verdict=verdict,
    )
    await connection.execute(row.on_conflict_do_nothing(index_elements=["organisation_id", "id"]))
    return verdict


async def _whose(connection: AsyncConnection, device: Device, job_id: UUID) -> tuple[bool, bool]:
    """Whether the firm has this job, and whether this technician has it or was at it: a photo may come hours later."""
    row = (
        await connection.execute(
            sa.select(job.c.technician_id).where(job.c.organisation_id == device.organisation_id, job.c.id == job_id)
        )
    ).one_or_none()
    if row is None:
        return False, False
    tapped = sa.exists().where(
        tap.c.organisation_id == device.organisation_id,
        tap.c.job_id == job_id,
        tap.c.technician_id == device.technician_id,
        tap.c.verdict.is_(None),
    )
    return True, row.technician_id == device.technician_id or bool(await connection.scalar(sa.select(tapped)))


async def read_proofs(connection: AsyncConnection, organisation_id: UUID, job_id: UUID) -> list[ShownProof]:
    """The photos and signatures of a visit, in the order in which they were made."""
    rows = await connection.execute(
        sa.select(attachment.c.id, attachment.c.kind, attachment.c.made_at)
        .where(
            attachment.c.organisation_id == organisation_id,
            attachment.c.job_id == job_id,
            attachment.c.verdict.is_(None),
        )
        .order_by(attachment.c.made_at, attachment.c.id)
    )
    return [ShownProof(row.id, row.kind, row.made_at.timestamp()) for row in rows]


def old_files(organisation_id: UUID, before: object) -> sa.Select[Any]:
    """Files that arrived before then."""
    return sa.select(attachment.c.id).where(
        attachment.c.organisation_id == organisation_id, attachment.c.received_at < before
    )


def known_files(organisation_id: UUID) -> sa.Select[Any]:
    """All files of a firm."""
    return sa.select(attachment.c.id).where(attachment.c.organisation_id == organisation_id)


def forget_files(organisation_id: UUID, ids: Collection[UUID]) -> sa.Delete:
    """Delete rows; the files go after the commit."""
    return attachment.delete().where(attachment.c.organisation_id == organisation_id, attachment.c.id.in_(list(ids)))
