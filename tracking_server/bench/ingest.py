"""How many durable fixes a second the service takes, and how many the database itself would.

Rounds alternate: the limit (one psycopg connection, the service's own statement, 1000 rows a transaction, the app's
role, the real tables) and the service (200 phones, 50 fixes a body over HTTP, shift open, job en route, window kept up
to date). The loader shares the machine's cores.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import embedded
from tracking_server.bench.database import DATABASE, own_database
from tracking_server.bench.vans import Van, begin_shifts, make_vans, post, stream, wire
from tracking_server.replay.processes import processes
from tracking_server.replay.uplink import Lane
from tracking_server.store.engine import begin, create_engine, set_organisation
from tracking_server.store.fixes import FixRows, insert_fixes

PHONES = 200
FIXES_PER_BODY = 50
ROUNDS = 3
ROUND_S = 4.0
LIMIT_ROWS = 1000


def bench_ingest(console: Console) -> dict[str, float]:
    """Run the rounds; returns medians by name."""
    with own_database() as installation:
        return asyncio.run(_rounds(installation, console))


async def _rounds(installation: embedded.Installation, console: Console) -> dict[str, float]:
    engine = create_engine(installation.app_url(DATABASE), pool_size=1)
    limits, services, waits = [], [], []
    try:
        with console.status(f"making {PHONES} technicians"):
            now_s = time.time()
            vans = await make_vans(engine, PHONES + 1, now_s)
        with processes(installation, DATABASE, "wall") as own:
            await own.ready()
            lanes = [Lane(own.url) for _ in vans[:PHONES]]
            await begin_shifts(lanes, vans[:PHONES], now_s)
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


async def _service_round(lanes: list[Lane], vans: list[Van], now_s: float) -> tuple[float, list[float]]:
    """Every phone sends body after body; returns fixes per second and how long each body waited."""
    until = time.perf_counter() + ROUND_S
    waits: list[float] = []

    async def drive(lane: Lane, van: Van) -> None:
        while time.perf_counter() < until:
            delivery = {"stream": stream(now_s), "fixes": wire(van.fixes(FIXES_PER_BODY, now_s))}
            started = time.perf_counter()
            await post(lane, van, delivery)
            waits.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(drive(lane, van) for lane, van in zip(lanes, vans, strict=True)))
    return len(waits) * FIXES_PER_BODY / (time.perf_counter() - started), waits


async def _limit_round(engine: AsyncEngine, van: Van, now_s: float) -> float:
    """The same rows, straight into the database."""
    rows = 0
    started = time.perf_counter()
    while time.perf_counter() - started < ROUND_S:
        async with begin(engine) as connection:
            await set_organisation(connection, van.organisation_id)
            fixes = list(van.fixes(LIMIT_ROWS, now_s))
            batch = FixRows(van.organisation_id, van.device_id, now_s, 0.0, fixes, [None] * LIMIT_ROWS)
            rows += await insert_fixes(connection, [batch])
    return rows / (time.perf_counter() - started)
