"""What a fix and a page cost as a firm grows: processor time of the service and of PostgreSQL, per fix and per page.

Two databases of the same firm, one with a million fixes of today, one with twenty; and in the smaller one firms of a
hundred, a thousand and ten thousand technicians. Every delivery has ten fixes of a technician on the way, and every
eighth comes after its successor, so that its stretch is read back. Rounds alternate between all of them. A window is
due every 20 s of a technician's day, however many others there are: each round begins with a delivery of all who take
part in it, not measured, after which none is due.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import psycopg
from rich.console import Console
from rich.progress import Progress

from tracking_server import embedded
from tracking_server.bench.crowd import make_crowd
from tracking_server.bench.database import DATABASE, own_database
from tracking_server.bench.processor import processor_s
from tracking_server.bench.vans import LAT, LON, Van, post, stream, wire
from tracking_server.replay.processes import Processes, processes
from tracking_server.replay.uplink import Lane
from tracking_server.store.engine import create_engine

FEW_ROWS, MANY_ROWS = 1_000_000, 20_000_000
FIRMS = (100, 1_000, 10_000)
FILLED = 1_000  # technicians whose phones have sent what is stored
SENDING = 200  # of them, those who send more
DEVICES_AT_ONCE = 25
ROUNDS = 3
DELIVERIES = 2_000
FIXES_PER_BODY = 10
LANES = 32
PAGES_PER_LANE = 8
LATE_EVERY = 8
LARGE = f"{DATABASE}_large"
ADMIN = "doorstep_admin"

# As the phones would have: a stream of today each, in the order of their keys. By the administrator, past row security.
FILL = """
INSERT INTO fix (organisation_id, device_id, stream, seq, fix_time, received_at, skew_s, geom, accuracy_m, mock)
SELECT organisation_id, id, %(stream)s, seq, to_timestamp(%(now_s)s - 3500 + seq * 0.1), to_timestamp(%(now_s)s), 0,
       ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s + seq * 1e-6), 4326), 8, false
FROM unnest(%(organisations)s::uuid[], %(devices)s::uuid[]) AS phone (organisation_id, id),
     generate_series(1::bigint, %(last)s::bigint) AS seq
ORDER BY id, seq
"""


@dataclass
class Spot:
    """A firm that is measured, with what each round found: microseconds per fix and per page."""

    own: Processes
    installation: embedded.Installation
    vans: Sequence[Van]
    now_s: float
    fix_us: list[float] = field(default_factory=list)
    page_us: list[float] = field(default_factory=list)

    async def round(self) -> None:
        """One round of fixes, and one of pages."""
        lanes = [Lane(self.own.url) for _ in range(LANES)]
        some = self._next()
        await _send(lanes, some, self.now_s, turns=1)
        begun_s = self._processor_s()
        turns = DELIVERIES // len(some)
        await _send(lanes, some, self.now_s, turns)
        sent_s = self._processor_s()
        await asyncio.gather(*(self._read(lane) for lane in lanes))
        read_s = self._processor_s()
        self.fix_us.append((sent_s - begun_s) / (turns * len(some) * FIXES_PER_BODY) * 1e6)
        self.page_us.append((read_s - sent_s) / (LANES * PAGES_PER_LANE) * 1e6)
        for lane in lanes:
            lane.close()

    async def begin(self) -> None:
        """Hear everybody once: the service remembers who is at work."""
        lanes = [Lane(self.own.url) for _ in range(LANES)]
        await _send(lanes, self.vans, self.now_s, turns=1)
        for lane in lanes:
            lane.close()

    def _next(self) -> Sequence[Van]:
        """Whose turn it is: in a large firm, others in each round."""
        begin = len(self.fix_us) * DELIVERIES % len(self.vans)
        return self.vans[begin : begin + DELIVERIES]

    async def _read(self, lane: Lane) -> None:
        for n in range(PAGES_PER_LANE):
            van = self.vans[n % len(self.vans)]
            status, _ = await lane.exchange(f"GET /t/{van.token}?c=1 HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
            if status != 200:
                raise RuntimeError(f"the page of a job was answered with {status}")

    def _processor_s(self) -> float:
        return processor_s([self.own.pid("serve"), *self.installation.postgres_pids()])


async def _send(lanes: Sequence[Lane], vans: Sequence[Van], now_s: float, turns: int) -> None:
    """A delivery of every technician, so many times; each keeps to one lane, and so to an order."""

    async def drive(lane: Lane, own: Sequence[Van]) -> None:
        for n, van in enumerate(list(own) * turns):
            fixes = wire(van.fixes(FIXES_PER_BODY, now_s))
            half = len(fixes) // 2
            for part in (fixes[half:], fixes[:half]) if n % LATE_EVERY == 0 else (fixes,):
                await post(lane, van, {"stream": stream(now_s), "fixes": part})

    await asyncio.gather(*(drive(lane, vans[n::LANES]) for n, lane in enumerate(lanes)))


def bench_growth(console: Console) -> dict[str, float]:
    """Fill the databases, run the rounds; returns medians by name."""
    with own_database() as installation, own_database(LARGE) as _:
        return asyncio.run(_measure(installation, console))


async def _measure(installation: embedded.Installation, console: Console) -> dict[str, float]:
    now_s = time.time()
    few, *firms = await _make(installation, DATABASE, (FILLED, *FIRMS), now_s, console)
    (many,) = await _make(installation, LARGE, (FILLED,), now_s, console)
    with Progress(console=console, transient=True) as progress:
        for database, vans, rows in ((DATABASE, few, FEW_ROWS), (LARGE, many, MANY_ROWS)):
            task = progress.add_task(f"storing {rows:,} fixes", total=rows)
            await _fill(installation, database, vans, rows, now_s, partial(progress.advance, task))
    with processes(installation, DATABASE, "wall") as small, processes(installation, LARGE, "wall", "large") as large:
        await small.ready()
        await large.ready()
        spots = [
            Spot(small, installation, few[:SENDING], now_s),
            Spot(large, installation, many[:SENDING], now_s),
            *(Spot(small, installation, vans, now_s) for vans in firms),
        ]
        for spot in spots:
            with console.status(f"{len(spot.vans):,} technicians set off"):
                await spot.begin()
        for n in range(ROUNDS):
            for spot in spots:
                with console.status(f"round {n + 1} of {ROUNDS}: {len(spot.vans):,} technicians at {spot.own.url}"):
                    await spot.round()
    return _result(spots, console)


def _result(spots: Sequence[Spot], console: Console) -> dict[str, float]:
    names = [f"{FEW_ROWS:,} fixes", f"{MANY_ROWS:,} fixes", *(f"{count:,} technicians" for count in FIRMS)]
    fix_us = [statistics.median(spot.fix_us) for spot in spots]
    page_us = [statistics.median(spot.page_us) for spot in spots]
    for name, fix, page in zip(names, fix_us, page_us, strict=True):
        console.print(f"{name}: {fix:.1f} us of processor per fix, {page:.0f} per page", highlight=False)
    few, many, *firms = fix_us
    return {
        "fix_cost_ratio_rows": round(many / few, 2),
        "fix_cost_ratio_technicians": round(max(firms) / firms[0], 2),
        "page_cost_ratio_rows": round(page_us[1] / page_us[0], 2),
    }


async def _make(
    installation: embedded.Installation, database: str, firms: Sequence[int], now_s: float, console: Console
) -> list[list[Van]]:
    engine = create_engine(installation.app_url(database), pool_size=1)
    try:
        with console.status(f"making {sum(firms):,} technicians"):
            return [await make_crowd(engine, count, now_s) for count in firms]
    finally:
        await engine.dispose()


async def _fill(
    installation: embedded.Installation,
    database: str,
    vans: Sequence[Van],
    rows: int,
    now_s: float,
    tell: Callable[[int], None],
) -> None:
    """Rows as these technicians' phones would have sent them today, in an earlier stream of theirs."""
    each = rows // len(vans)
    ordered = sorted(vans, key=lambda van: van.device_id)
    admin = await psycopg.AsyncConnection.connect(
        host=str(installation.socket_folder), user=ADMIN, dbname=database, autocommit=True
    )
    async with admin:
        for n in range(0, len(ordered), DEVICES_AT_ONCE):
            some = ordered[n : n + DEVICES_AT_ONCE]
            await admin.execute(
                FILL,
                {
                    "organisations": [van.organisation_id for van in some],
                    "devices": [van.device_id for van in some],
                    "stream": stream(now_s) + 1, "now_s": now_s, "lon": LON, "lat": LAT, "last": each,
                },
            )  # fmt: skip
            tell(each * len(some))
        await admin.execute("VACUUM (ANALYZE) fix")  # else it would begin by itself in the midst of a round
        await admin.execute("CHECKPOINT")
