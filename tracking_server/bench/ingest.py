"""How many durable fixes a second the service takes, and how many the database itself would.

Rounds alternate: the limit (one psycopg connection, the service's own statement, 1000 rows a transaction, the app's
role, the real tables) and the service (200 phones, 50 fixes a body over HTTP, shift open, job en route, window kept up
to date). The loader shares the machine's cores.
"""

from __future__ import annotations

import asyncio
import gzip
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import msgspec
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import embedded, tokens
from tracking_server.dispatch.jobs import NewJob, assign_job, create_job
from tracking_server.domain.fix import DAY_S, STREAM_DAY_SHIFT, Fix
from tracking_server.domain.geofence import Geofence
from tracking_server.replay.processes import processes
from tracking_server.replay.uplink import Lane
from tracking_server.store import devices, people
from tracking_server.store.engine import begin, create_engine, set_organisation, transaction
from tracking_server.store.fixes import FixRows, insert_fixes
from tracking_server.store.migrate import migrate

DATABASE = "doorstep_bench"
PHONES = 200
FIXES_PER_BODY = 50
ROUNDS = 3
ROUND_S = 4.0
LIMIT_ROWS = 1000
LON, LAT = -8.61, 41.15
STEP_DEG = 1e-5  # about a metre north per fix


@dataclass
class Van:
    """A phone of the bench: its identity, its key and how far it counted."""

    organisation_id: UUID
    device_id: UUID
    technician_id: UUID
    job_id: UUID
    key: str
    seq: int = 0


def bench_ingest(console: Console) -> dict[str, float]:
    """Run the rounds; returns medians by name."""
    with embedded.running() as installation:
        embedded.drop_database(installation, DATABASE)
        embedded.create_database(installation, DATABASE)
        migrate(installation.owner_url(DATABASE))
        try:
            return asyncio.run(_rounds(installation, console))
        finally:
            embedded.drop_database(installation, DATABASE)


async def _rounds(installation: embedded.Installation, console: Console) -> dict[str, float]:
    engine = create_engine(installation.app_url(DATABASE), pool_size=1)
    limits, services, waits = [], [], []
    try:
        with console.status(f"making {PHONES} technicians"):
            now_s = time.time()
            vans = await _make_vans(engine, PHONES + 1, now_s)
        with processes(installation, DATABASE, "wall") as own:
            await own.ready()
            lanes = [Lane(own.url) for _ in vans[:PHONES]]
            await asyncio.gather(*(_begin_shift(lane, van, now_s) for lane, van in zip(lanes, vans, strict=False)))
            for n in range(ROUNDS):
                with console.status(f"round {n + 1} of {ROUNDS}: the limit"):
                    limits.append(await _limit_round(engine, vans[PHONES], now_s))
                with console.status(f"round {n + 1} of {ROUNDS}: the service"):
                    rate, waited = await _service_round(lanes, vans[:PHONES], now_s)
                    services.append(rate)
                    waits += waited
            for lane in lanes:
                lane.close()
    finally:
        await engine.dispose()
    batch, limit = statistics.median(services), statistics.median(limits)
    quantiles = statistics.quantiles(waits, n=100)
    return {
        "batch_fixes_per_s": round(batch),
        "limit_rows_per_s": round(limit),
        "batch_to_limit": round(batch / limit, 3),
        "ack_ms_p50": round(statistics.median(waits) * 1000, 1),
        "ack_ms_p99": round(quantiles[98] * 1000, 1),
    }


async def _make_vans(engine: AsyncEngine, count: int, now_s: float) -> list[Van]:
    async with begin(engine) as connection:
        organisation_id = await people.insert_organisation(
            connection, name="Bench", time_zone="UTC", language="en", office_phone=None, now_s=now_s
        )
        customer_id, _ = await people.insert_customer(
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
            fence = Geofence(LON, LAT + 0.5)
            new = NewJob(customer_id, "Bench", "", "UTC", fence)
            job = await create_job(connection, organisation_id, new, actor="bench", now_s=now_s - 7200)
            await assign_job(connection, organisation_id, job.id, technician_id, actor="bench", now_s=now_s - 7200)
        vans.append(Van(organisation_id, device_id, technician_id, job.id, key))
    return vans


def _stream(now_s: float) -> int:
    return int(now_s // DAY_S) << STREAM_DAY_SHIFT | 1


async def _begin_shift(lane: Lane, van: Van, now_s: float) -> None:
    taps = [
        {"seq": 1, "time": now_s - 3600, "kind": "shift_start"},
        {"seq": 2, "time": now_s - 3599, "kind": "en_route", "job": str(van.job_id)},
    ]
    van.seq = 2
    await _post(lane, van, {"stream": _stream(now_s), "taps": taps})


async def _service_round(lanes: list[Lane], vans: list[Van], now_s: float) -> tuple[float, list[float]]:
    """Every phone sends body after body; returns fixes per second and how long each body waited."""
    until = time.perf_counter() + ROUND_S
    waits: list[float] = []

    async def drive(lane: Lane, van: Van) -> None:
        while time.perf_counter() < until:
            fixes = [
                {"seq": fix.seq, "time": fix.time_s, "lat": fix.lat, "lon": fix.lon, "accuracy_m": fix.accuracy_m}
                for fix in _fixes(van, FIXES_PER_BODY, now_s)
            ]
            started = time.perf_counter()
            await _post(lane, van, {"stream": _stream(now_s), "fixes": fixes})
            waits.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(drive(lane, van) for lane, van in zip(lanes, vans, strict=True)))
    return len(waits) * FIXES_PER_BODY / (time.perf_counter() - started), waits


async def _post(lane: Lane, van: Van, delivery: dict[str, object]) -> None:
    body = gzip.compress(msgspec.json.encode(delivery), compresslevel=1)
    head = (
        f"POST /v1/fixes HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {van.key}\r\n"
        f"content-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    status, answer = await lane.exchange(head.encode() + body)
    if status != 200 or b'"verdicts":{}' not in answer:
        raise RuntimeError(f"the service answered {status}: {answer[:200]!r}")


async def _limit_round(engine: AsyncEngine, van: Van, now_s: float) -> float:
    """The same rows, straight into the database."""
    rows = 0
    started = time.perf_counter()
    while time.perf_counter() - started < ROUND_S:
        async with begin(engine) as connection:
            await set_organisation(connection, van.organisation_id)
            fixes = list(_fixes(van, LIMIT_ROWS, now_s))
            batch = FixRows(van.organisation_id, van.device_id, now_s, 0.0, fixes, [None] * LIMIT_ROWS)
            rows += await insert_fixes(connection, [batch])
    return rows / (time.perf_counter() - started)


def _fixes(van: Van, count: int, now_s: float) -> Iterator[Fix]:
    """The next fixes of a van that drives north at a metre per fix, ten fixes a second."""
    for _ in range(count):
        van.seq += 1
        yield Fix(_stream(now_s), van.seq, now_s - 3500 + van.seq * 0.1, LON, LAT + (van.seq % 20_000) * STEP_DEG, 8.0)
