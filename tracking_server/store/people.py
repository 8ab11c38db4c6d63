"""Organisations, technicians and their shifts, customers and contacts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from psycopg.rows import tuple_row
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.checkpoint import Checkpoint
from tracking_server.domain.fix import Fix
from tracking_server.domain.shift import Shift
from tracking_server.store import packing
from tracking_server.store.engine import driver_connection, set_organisation, to_seconds, to_time
from tracking_server.store.schema import contact, customer, device, organisation, shift, technician

SHIFTS_BACK_S = 4 * 86_400.0  # a phone's queue holds three days


async def insert_organisation(
    connection: AsyncConnection, *, name: str, time_zone: str, language: str, office_phone: str | None, now_s: float
) -> UUID:
    """A new firm. The transaction then sees it and nothing else."""
    organisation_id = uuid4()
    await set_organisation(connection, organisation_id)
    await connection.execute(
        organisation.insert().values(
            id=organisation_id,
            name=name,
            time_zone=time_zone,
            language=language,
            office_phone=office_phone,
            created_at=to_time(now_s),
        )
    )
    return organisation_id


async def organisation_ids(connection: AsyncConnection) -> list[UUID]:
    """Every organisation's id; for a `watching` transaction."""
    return list(await connection.scalars(sa.select(organisation.c.id).order_by(organisation.c.id)))


async def set_brand(
    connection: AsyncConnection, organisation_id: UUID, *, colour: str | None, logo_id: UUID | None
) -> None:
    """The firm's colour (`#rrggbb`) and logo, on its customers' pages and in its messages."""
    await connection.execute(
        organisation.update().where(organisation.c.id == organisation_id).values(colour=colour, logo_id=logo_id)
    )


async def time_zone(connection: AsyncConnection, organisation_id: UUID) -> str:
    """The firm's time zone, which its jobs take unless told otherwise."""
    statement = sa.select(organisation.c.time_zone).where(organisation.c.id == organisation_id)
    return str(await connection.scalar(statement))


async def insert_technician(
    connection: AsyncConnection,
    organisation_id: UUID,
    *,
    name: str,
    phone: str | None = None,
    vehicle: str | None = None,
    plate: str | None = None,
    trade: str | None = None,
    photo_id: UUID | None = None,
    now_s: float,
) -> UUID:
    """A new technician, without a phone yet."""
    technician_id = uuid4()
    await connection.execute(
        technician.insert().values(
            organisation_id=organisation_id,
            id=technician_id,
            name=name,
            phone=phone,
            vehicle=vehicle,
            plate=plate,
            trade=trade,
            photo_id=photo_id,
            created_at=to_time(now_s),
        )
    )
    return technician_id


async def technicians(connection: AsyncConnection, organisation_id: UUID) -> list[dict[str, Any]]:
    """The organisation's technicians with what is known of their phone."""
    rows = await connection.execute(
        sa.select(
            technician.c.id,
            technician.c.name,
            technician.c.vehicle,
            technician.c.plate,
            technician.c.position_time,
            technician.c.battery_pct,
            sa.func.count(device.c.id).label("devices"),
        )
        .outerjoin(
            device,
            (device.c.organisation_id == technician.c.organisation_id)
            & (device.c.technician_id == technician.c.id)
            & device.c.revoked_at.is_(None),
        )
        .where(technician.c.organisation_id == organisation_id)
        .group_by(technician.c.organisation_id, technician.c.id)
        .order_by(technician.c.name)
    )
    return [dict(row._mapping) for row in rows]


async def insert_customer(
    connection: AsyncConnection,
    organisation_id: UUID,
    *,
    name: str,
    email: str | None,
    phone: str | None,
    language: str,
    now_s: float,
) -> tuple[UUID, UUID]:
    """A new customer with their first contact; returns both ids."""
    customer_id, contact_id = uuid4(), uuid4()
    await connection.execute(
        customer.insert().values(organisation_id=organisation_id, id=customer_id, name=name, created_at=to_time(now_s))
    )
    await connection.execute(
        contact.insert().values(
            organisation_id=organisation_id,
            id=contact_id,
            customer_id=customer_id,
            name=name,
            email=email,
            phone=phone,
            language=language,
        )
    )
    return customer_id, contact_id


LOCK_TECHNICIANS = """
SELECT id, version FROM technician WHERE organisation_id = %b AND id = ANY(%b) ORDER BY id FOR NO KEY UPDATE
"""


async def lock_technicians(connection: AsyncConnection, organisation_id: UUID, ids: Iterable[UUID]) -> dict[UUID, int]:
    """Lock technicians, in id order, until the transaction ends; returns their versions."""
    driver = await driver_connection(connection)
    async with driver.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(LOCK_TECHNICIANS, (organisation_id, packing.uuids(ids)), prepare=True)
        return dict(await cursor.fetchall())


async def read_checkpoints(
    connection: AsyncConnection, organisation_id: UUID, ids: Iterable[UUID]
) -> dict[UUID, Checkpoint]:
    """The technicians' memories."""
    rows = await connection.execute(
        sa.select(technician.c.id, technician.c.checkpoint).where(
            technician.c.organisation_id == organisation_id, technician.c.id.in_(list(ids))
        )
    )
    return {technician_id: Checkpoint.from_json(value) for technician_id, value in rows}


async def read_shifts(
    connection: AsyncConnection, organisation_id: UUID, ids: Iterable[UUID], now_s: float
) -> dict[UUID, list[Shift]]:
    """The technicians' shifts of the last days, oldest first."""
    found: dict[UUID, list[Shift]] = {technician_id: [] for technician_id in ids}
    rows = await connection.execute(
        sa.select(shift.c.technician_id, shift.c.started_at, shift.c.ended_at, shift.c.breaks)
        .where(
            shift.c.organisation_id == organisation_id,
            shift.c.technician_id.in_(list(found)),
            shift.c.ended_at.is_(None) | (shift.c.ended_at > to_time(now_s - SHIFTS_BACK_S)),
        )
        .order_by(shift.c.started_at)
    )
    for technician_id, started_at, ended_at, breaks in rows:
        pauses = tuple((start, end) for start, end in breaks)
        found[technician_id].append(Shift(started_at.timestamp(), to_seconds(ended_at), pauses))
    return found


async def save_shifts(
    connection: AsyncConnection, organisation_id: UUID, technician_id: UUID, shifts: Iterable[Shift]
) -> None:
    """Write shifts that were begun or changed; a shift is known by its technician and its start."""
    for item in shifts:
        values = {"ended_at": to_time(item.ended_s), "breaks": [list(pause) for pause in item.breaks]}
        statement = insert(shift).values(
            organisation_id=organisation_id, technician_id=technician_id, started_at=to_time(item.started_s), **values
        )
        await connection.execute(statement.on_conflict_do_update(constraint="shift_pkey", set_=values))


async def count_versions_up(connection: AsyncConnection, organisation_id: UUID, ids: Iterable[UUID]) -> None:
    """Something about locked technicians changed elsewhere: what processes remember of them is outdated."""
    await connection.execute(
        technician.update()
        .where(technician.c.organisation_id == organisation_id, technician.c.id.in_(list(ids)))
        .values(version=technician.c.version + 1)
    )


# One statement for all technicians of a flush; the version is what in-process copies and viewers compare.
SAVE_TECHNICIANS = """
UPDATE technician t SET
  version = t.version + 1, checkpoint = new.checkpoint,
  position = COALESCE(new.position::geometry, t.position),
  position_time = COALESCE(new.position_time, t.position_time),
  position_accuracy_m = CASE WHEN new.position IS NULL THEN t.position_accuracy_m ELSE new.accuracy_m END,
  position_speed_mps = CASE WHEN new.position IS NULL THEN t.position_speed_mps ELSE new.speed_mps END,
  position_course_deg = CASE WHEN new.position IS NULL THEN t.position_course_deg ELSE new.course_deg END,
  battery_pct = COALESCE(new.battery_pct, t.battery_pct)
FROM unnest(%b, %b, %b, %b, %b, %b, %b, %b)
  AS new (id, checkpoint, position, position_time, accuracy_m, speed_mps, course_deg, battery_pct)
WHERE t.organisation_id = %s AND t.id = new.id
"""


async def save_technicians(
    connection: AsyncConnection, organisation_id: UUID, saved: Sequence[tuple[UUID, Checkpoint]]
) -> None:
    """Write the memories and newest positions of locked technicians and count their versions up."""
    if not saved:
        return
    positions: list[Fix | None] = [checkpoint.position for _, checkpoint in saved]
    driver = await driver_connection(connection)
    await driver.execute(
        SAVE_TECHNICIANS,
        (
            packing.uuids([technician_id for technician_id, _ in saved]),
            packing.jsons([checkpoint.to_json() for _, checkpoint in saved]),
            packing.points([None if p is None else (p.lon, p.lat) for p in positions]),
            packing.times([None if p is None else p.time_s for p in positions]),
            packing.float4s([None if p is None else p.accuracy_m for p in positions]),
            packing.float4s([None if p is None else p.speed_mps for p in positions]),
            packing.float4s([None if p is None else p.course_deg for p in positions]),
            packing.float4s([None if p is None else p.battery_pct for p in positions]),
            organisation_id,
        ),
    )
