"""The technicians that benches drive with: their phones, their jobs, and what they send."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import tokens
from tracking_server.dispatch.jobs import NewJob, assign_job, create_job
from tracking_server.domain.fix import DAY_S, STREAM_DAY_SHIFT, Fix
from tracking_server.domain.geofence import Geofence
from tracking_server.links import mint_link
from tracking_server.replay.uplink import Lane
from tracking_server.store import devices, people
from tracking_server.store.engine import begin, transaction

LON, LAT = -8.61, 41.15
STEP_DEG = 1e-5  # about a metre north per fix


@dataclass
class Van:
    """A phone of a bench: its identity, its key, its customer's link and how far it counted."""

    organisation_id: UUID
    device_id: UUID
    technician_id: UUID
    job_id: UUID
    key: str
    token: str
    seq: int = 0

    def fixes(self, count: int, now_s: float) -> Iterator[Fix]:
        """The next fixes of a drive to the north, a metre and a tenth of a second each."""
        for _ in range(count):
            self.seq += 1
            yield Fix(
                stream(now_s), self.seq, now_s - 3500 + self.seq * 0.1, LON, LAT + self.seq % 20_000 * STEP_DEG, 8
            )


def stream(now_s: float) -> int:
    """The stream of a phone that began its day at `now_s`."""
    return int(now_s // DAY_S) << STREAM_DAY_SHIFT | 1


def far_ahead(_: int) -> Geofence:
    """A door that nobody reaches."""
    return Geofence(LON, LAT + 0.5)


async def make_vans(
    engine: AsyncEngine, count: int, now_s: float, door: Callable[[int], Geofence] = far_ahead
) -> list[Van]:
    """Technicians of one firm, each with a phone and a job at their door."""
    async with begin(engine) as connection:
        organisation_id = await people.insert_organisation(
            connection, name="Bench", time_zone="UTC", language="en", office_phone=None, now_s=now_s
        )
        customer_id, contact_id = await people.insert_customer(
            connection, organisation_id, name="Bench", email=None, phone=None, language="en", now_s=now_s
        )
    vans = []
    for n in range(count):
        async with transaction(engine, organisation_id) as connection:
            technician_id = await people.insert_technician(connection, organisation_id, name=f"Van {n}", now_s=now_s)
            key, key_hash = tokens.mint(organisation_id, tokens.Purpose.device)
            device_id = await devices.insert_device(
                connection, organisation_id, technician_id, name="bench", key_hash=key_hash, now_s=now_s
            )
            new = NewJob(customer_id, "Bench", "", "UTC", door(n))
            job = await create_job(connection, organisation_id, new, actor="bench", now_s=now_s - 7200)
            await assign_job(connection, organisation_id, job.id, technician_id, actor="bench", now_s=now_s - 7200)
            token = await mint_link(connection, organisation_id, job.id, contact_id, now_s)
        vans.append(Van(organisation_id, device_id, technician_id, job.id, key, token))
    return vans


async def begin_shifts(lanes: Sequence[Lane], vans: Sequence[Van], now_s: float) -> None:
    """Everybody starts work and sets off to their job."""
    await asyncio.gather(*(_begin_shift(lane, van, now_s) for lane, van in zip(lanes, vans, strict=True)))


async def _begin_shift(lane: Lane, van: Van, now_s: float) -> None:
    taps = [
        {"seq": 1, "time": now_s - 3600, "kind": "shift_start"},
        {"seq": 2, "time": now_s - 3599, "kind": "en_route", "job": str(van.job_id)},
    ]
    van.seq = 2
    await post(lane, van, {"stream": stream(now_s), "taps": taps})


async def post(lane: Lane, van: Van, delivery: dict[str, object]) -> None:
    """Send a delivery; raises RuntimeError unless all of it was taken and trusted."""
    body = gzip.compress(msgspec.json.encode(delivery), compresslevel=1)
    head = (
        f"POST /v1/fixes HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {van.key}\r\n"
        f"content-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    status, answer = await lane.exchange(head.encode() + body)
    if status != 200 or b'"verdicts":{}' not in answer:
        raise RuntimeError(f"the service answered {status}: {answer[:200]!r}")


def wire(fixes: Iterator[Fix]) -> list[dict[str, object]]:
    """Fixes as a phone writes them."""
    return [
        {"seq": fix.seq, "time": fix.time_s, "lat": fix.lat, "lon": fix.lon, "accuracy_m": fix.accuracy_m}
        for fix in fixes
    ]
