"""The firm that drives: for each drive a technician with a phone, and a customer who waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tech_app.core.gps.replay import Drive
from tracking_server import tokens
from tracking_server.dispatch.jobs import NewJob, assign_job, create_job
from tracking_server.domain.geofence import Geofence
from tracking_server.replay.visit import Visit, arrival_s
from tracking_server.store import devices, people
from tracking_server.store.engine import transaction

PROMISED_AROUND_S = 1800.0  # the usual promise: an hour
ACTOR = "replay"
TIME_ZONE = "UTC"


async def make_firm(engine: AsyncEngine, now_s: float) -> UUID:
    """The organisation."""
    async with engine.begin() as connection:
        return await people.insert_organisation(
            connection, name="Replay", time_zone=TIME_ZONE, language="en", office_phone=None, now_s=now_s
        )


async def make_visits(
    engine: AsyncEngine, organisation_id: UUID, drives: Sequence[Drive], start_s: float, now_s: float
) -> list[Visit]:
    """Everybody and everything that the drives need, when they all begin at `start_s`."""
    visits = []
    for number, drive in enumerate(drives, 1):
        async with transaction(engine, organisation_id) as connection:
            technician_id, key = await _technician(connection, organisation_id, number, now_s)
            job_id = await _job(connection, organisation_id, number, drive, start_s, now_s)
            await assign_job(connection, organisation_id, job_id, technician_id, actor=ACTOR, now_s=now_s)
        visits.append(Visit(drive, start_s, job_id, key))
    return visits


async def _technician(
    connection: AsyncConnection, organisation_id: UUID, number: int, now_s: float
) -> tuple[UUID, str]:
    technician_id = await people.insert_technician(
        connection, organisation_id, name=f"Technician {number}", now_s=now_s
    )
    key, key_hash = tokens.mint(organisation_id, tokens.Purpose.device)
    await devices.insert_device(
        connection, organisation_id, technician_id, name=f"phone {number}", key_hash=key_hash, now_s=now_s
    )
    return technician_id, key


async def _job(
    connection: AsyncConnection, organisation_id: UUID, number: int, drive: Drive, start_s: float, now_s: float
) -> UUID:
    customer_id, _ = await people.insert_customer(
        connection,
        organisation_id,
        name=f"Customer {number}",
        email=f"customer{number}@replay.invalid",
        phone=None,
        language="en",
        now_s=now_s,
    )
    door = drive.fixes[-1]
    true_s = arrival_s(drive, start_s)
    promised = (true_s - PROMISED_AROUND_S, true_s + PROMISED_AROUND_S)
    new = NewJob(customer_id, drive.name, "", TIME_ZONE, Geofence(door.lon, door.lat), promised)
    return (await create_job(connection, organisation_id, new, actor=ACTOR, now_s=now_s)).id
