"""Paired phones and the one-time codes that pair them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import sqlalchemy as sa
from psycopg.rows import tuple_row
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.store import packing
from tracking_server.store.engine import driver_connection, set_organisation, to_time
from tracking_server.store.schema import device, organisation, pairing_code, technician


@dataclass(frozen=True, slots=True)
class Device:
    """A paired phone."""

    id: UUID
    organisation_id: UUID
    technician_id: UUID


async def insert_pairing_code(
    connection: AsyncConnection, organisation_id: UUID, technician_id: UUID, code_hash: bytes, expires_s: float
) -> None:
    """A code that pairs one phone with the technician, once."""
    await connection.execute(
        pairing_code.insert().values(
            organisation_id=organisation_id,
            code_hash=code_hash,
            technician_id=technician_id,
            expires_at=to_time(expires_s),
        )
    )


async def use_pairing_code(connection: AsyncConnection, code_hash: bytes, now_s: float) -> tuple[UUID, UUID] | None:
    """Use up a code: (organisation, technician), None when it is unknown, used or too old.

    The presented code shows its row before any organisation is known; then the row's organisation is set.
    """
    await connection.execute(
        sa.text("SELECT set_config('app.pairing_code', :code_hash, true)"), {"code_hash": code_hash.hex()}
    )
    row = (
        await connection.execute(
            sa.select(pairing_code.c.organisation_id, pairing_code.c.technician_id).where(
                pairing_code.c.code_hash == code_hash
            )
        )
    ).one_or_none()
    if row is None:
        return None
    organisation_id, technician_id = row
    await set_organisation(connection, organisation_id)
    used = await connection.execute(
        pairing_code.update()
        .where(
            pairing_code.c.organisation_id == organisation_id,
            pairing_code.c.code_hash == code_hash,
            pairing_code.c.used_at.is_(None),
            pairing_code.c.expires_at > to_time(now_s),
        )
        .values(used_at=to_time(now_s))
    )
    return (organisation_id, technician_id) if used.rowcount == 1 else None


async def insert_device(
    connection: AsyncConnection, organisation_id: UUID, technician_id: UUID, *, name: str, key_hash: bytes, now_s: float
) -> UUID:
    """A newly paired phone; the technician's earlier phones stay paired until they are revoked."""
    device_id = uuid4()
    await connection.execute(
        device.insert().values(
            organisation_id=organisation_id,
            id=device_id,
            technician_id=technician_id,
            name=name,
            key_hash=key_hash,
            paired_at=to_time(now_s),
        )
    )
    return device_id


async def renew_device(
    connection: AsyncConnection,
    organisation_id: UUID,
    technician_id: UUID,
    earlier_hashes: Sequence[bytes],
    *,
    key_hash: bytes,
    now_s: float,
) -> UUID | None:
    """Another key for the technician's phone that had one of these, revoked or not: None when none is theirs.

    What it sent before and was not told of is known again under its numbers, and not stored twice.
    """
    mine = (device.c.organisation_id == organisation_id) & (device.c.technician_id == technician_id)
    found = await connection.scalar(
        sa.select(device.c.id)
        .where(mine, device.c.key_hash.in_(earlier_hashes))
        .order_by(device.c.paired_at.desc())
        .limit(1)
    )
    if found is None:
        return None
    await connection.execute(
        device.update()
        .where(mine, device.c.id == found)
        .values(key_hash=key_hash, paired_at=to_time(now_s), revoked_at=None)
    )
    return UUID(str(found))


async def read_names(connection: AsyncConnection, organisation_id: UUID, technician_id: UUID) -> tuple[str, str]:
    """Whose phone it is: the technician's name and the firm's."""
    row = (
        await connection.execute(
            sa.select(technician.c.name, organisation.c.name)
            .join(organisation, organisation.c.id == technician.c.organisation_id)
            .where(technician.c.organisation_id == organisation_id, technician.c.id == technician_id)
        )
    ).one()
    return row[0], row[1]


async def find_device(
    connection: AsyncConnection, organisation_id: UUID, key_hash: bytes
) -> tuple[Device, float] | None:
    """The phone that holds this key and when it was given it, unless it was revoked."""
    row = (
        await connection.execute(
            sa.select(device.c.id, device.c.technician_id, device.c.paired_at).where(
                device.c.organisation_id == organisation_id,
                device.c.key_hash == key_hash,
                device.c.revoked_at.is_(None),
            )
        )
    ).one_or_none()
    return None if row is None else (Device(row.id, organisation_id, row.technician_id), row.paired_at.timestamp())


SHUT_OUT = """
SELECT known.id, extract(epoch FROM known.paired_at)::float8 FROM unnest(%b, %b) AS known (id, paired_at)
WHERE NOT EXISTS (
  SELECT 1 FROM device d WHERE d.id = known.id AND d.paired_at = known.paired_at AND d.revoked_at IS NULL)
"""


async def shut_out(connection: AsyncConnection, known: Collection[tuple[UUID, float]]) -> set[tuple[UUID, float]]:
    """Which of these phones, each with the time it was given its key, were revoked or have another key by now; in every
    organisation (a `watching` transaction)."""
    driver = await driver_connection(connection)
    parameters = (packing.uuids([id_ for id_, _ in known]), packing.times([paired_s for _, paired_s in known]))
    async with driver.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(SHUT_OUT, parameters)
        return set(await cursor.fetchall())


async def revoked_devices(connection: AsyncConnection, device_ids: Collection[UUID]) -> set[UUID]:
    """Which of these phones are shut out, in every organisation (a `watching` transaction)."""
    rows = await connection.scalars(
        sa.select(device.c.id).where(device.c.id.in_(list(device_ids)), device.c.revoked_at.is_(None))
    )
    return set(device_ids) - set(rows)


async def revoke_devices(connection: AsyncConnection, organisation_id: UUID, technician_id: UUID, now_s: float) -> int:
    """Lost phone: none of the technician's keys works from now on."""
    revoked = await connection.execute(
        device.update()
        .where(
            device.c.organisation_id == organisation_id,
            device.c.technician_id == technician_id,
            device.c.revoked_at.is_(None),
        )
        .values(revoked_at=to_time(now_s))
    )
    return revoked.rowcount
