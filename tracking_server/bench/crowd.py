"""A firm of any size at work, written straight into the store: thousands of shifts begun by taps would take minutes."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from geoalchemy2.shape import from_shape
from shapely import Point
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import tokens
from tracking_server.bench.vans import LAT, LON, Van
from tracking_server.domain.job import State
from tracking_server.store import people
from tracking_server.store.engine import begin, to_time
from tracking_server.store.schema import device, geofence, job, link, shift, technician

HOME = from_shape(Point(LON, LAT + 0.5), srid=4326)
RADIUS_M = 150.0


async def make_crowd(engine: AsyncEngine, count: int, now_s: float) -> list[Van]:
    """A new firm's technicians, each on shift and on the way to a job far ahead."""
    async with begin(engine) as connection:
        organisation_id = await people.insert_organisation(
            connection, name="Bench", time_zone="UTC", language="en", office_phone=None, now_s=now_s
        )
        customer_id, contact_id = await people.insert_customer(
            connection, organisation_id, name="Bench", email=None, phone=None, language="en", now_s=now_s
        )
        keys = [tokens.mint(organisation_id, tokens.Purpose.device) for _ in range(count)]
        links = [tokens.mint(organisation_id, tokens.Purpose.link) for _ in range(count)]
        vans = [
            Van(organisation_id, uuid4(), uuid4(), uuid4(), key, token)
            for (key, _), (token, _) in zip(keys, links, strict=True)
        ]
        now, begun = to_time(now_s), to_time(now_s - 3600)
        own: dict[str, Any] = {"organisation_id": organisation_id}
        await connection.execute(
            technician.insert(),
            [own | {"id": van.technician_id, "name": f"Van {n}", "created_at": now} for n, van in enumerate(vans)],
        )
        await connection.execute(
            device.insert(),
            [
                own | {"id": van.device_id, "technician_id": van.technician_id, "name": "bench", "key_hash": key_hash,
                       "paired_at": now}
                for van, (_, key_hash) in zip(vans, keys, strict=True)
            ],
        )  # fmt: skip
        await connection.execute(
            shift.insert(), [own | {"technician_id": van.technician_id, "started_at": begun} for van in vans]
        )
        await connection.execute(job.insert(), [own | _on_the_way(van, customer_id, now_s) for van in vans])
        await connection.execute(
            geofence.insert(), [own | {"job_id": van.job_id, "centre": HOME, "radius_m": RADIUS_M} for van in vans]
        )
        await connection.execute(
            link.insert(),
            [
                own | {"id": uuid4(), "job_id": van.job_id, "contact_id": contact_id, "token_hash": token_hash,
                       "created_at": now}
                for van, (_, token_hash) in zip(vans, links, strict=True)
            ],
        )  # fmt: skip
    return vans


def _on_the_way(van: Van, customer_id: UUID, now_s: float) -> dict[str, Any]:
    return {
        "id": van.job_id,
        "customer_id": customer_id,
        "technician_id": van.technician_id,
        "stop_number": 1,
        "state": State.en_route.value,
        "title": "Bench",
        "address": "",
        "time_zone": "UTC",
        "duration_s": 3600,
        "assignment": 1,
        "assigned_at": to_time(now_s - 3600),
        "en_route_at": to_time(now_s - 3599),
        "version": 3,
        "created_at": to_time(now_s - 7200),
    }
