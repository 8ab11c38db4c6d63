"""How many durable fixes a second the service takes, how soon it answers, and what the database alone would take.

200 phones drive: shift open, job en route, fence and arrival window judged. A tenth of them come to their door during
the run; afterwards the store must have each fix once, each arrival once, and each message about it once. Rounds
alternate:

* the limit: one psycopg connection, the service's own statement with packed arrays, 1000 rows a transaction, the app's
  role, the real tables;
* bodies of 50 fixes over HTTP, a fix at a time over HTTP, and one at a time over the phones' streams, each phone
  sending as soon as it was answered;
* a fix at a time over the streams at a steady rate, whatever is answered; a wait counts from when a fix was due.

The loader shares the machine's cores; its processor time is not counted to that of a fix.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import sqlalchemy as sa
import uvloop
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import embedded
from tracking_server.bench.database import DATABASE, own_database
from tracking_server.bench.drives import Drive, compressed, door_after
from tracking_server.bench.lines import (
    HANDSHAKE,
    HttpLine,
    Line,
    StreamLine,
    Wrong,
    http_request,
    message,
    open_line,
)
from tracking_server.bench.processor import processor_s
from tracking_server.bench.vans import begin_shifts, make_vans, stream
from tracking_server.replay.processes import Processes, processes
from tracking_server.replay.uplink import Lane
from tracking_server.store.engine import create_engine, transaction
from tracking_server.store.fixes import INSERT, FixRows, columns

PHONES = 200
ARRIVING = 20
ROUNDS = 3
PER_BODY = 50
BODIES = 20  # of each phone in a round: some 4 s
SINGLES_HTTP = 75
SINGLES_STREAM = 100
STEADY_S = 3
STEADY_RATES = (1000, 5000)
LIMIT_S = 3.0
LIMIT_ROWS = 1000
LIMIT_EVERY_S = 0.01  # a day holds them all
WARM = 2  # bodies of each phone before it counts
FIXES = WARM * PER_BODY + ROUNDS * (
    BODIES * PER_BODY + SINGLES_HTTP + SINGLES_STREAM + sum(STEADY_RATES) * STEADY_S // PHONES
)  # of each phone in all
FIRST_DOOR, LAST_DOOR = 300, FIXES - 300  # an arrival is told some 90 s after it
TAPS = 2  # a shift's start and the setting off; they are numbered with the fixes
AFTER_START_S = 3600.0  # `begin_shifts` begins them an hour before the time it is given
ANSWERED_WITHIN_S = 60.0
TICK_S = 0.001
AT_THE_DOOR = ("arriving", "arrived")
PARTS = ("serve", "PostgreSQL", "Redis", "work", "loader")

Request = tuple[bytes, bytes]  # what is sent, and what its answer must say


@dataclass
class Measured:
    """What the rounds came to."""

    limit: list[float] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)
    http_single: list[float] = field(default_factory=list)
    ws_single: list[float] = field(default_factory=list)
    cpu_us: list[dict[str, float]] = field(default_factory=list)  # per fix, by part
    waits_ms: dict[int, list[list[float]]] = field(default_factory=lambda: {rate: [] for rate in STEADY_RATES})

    def wait_ms(self, rate: int, percent: int) -> float:
        """How long so many of a hundred waited at most, in the median of the rounds."""
        return statistics.median(statistics.quantiles(waits, n=100)[percent - 1] for waits in self.waits_ms[rate])


def bench_ingest(console: Console) -> dict[str, float]:
    """Run the rounds; returns medians by name. Raises RuntimeError when something was lost, doubled or wrong."""
    with own_database() as installation:
        return uvloop.run(_rounds(installation, console))


async def _rounds(installation: embedded.Installation, console: Console) -> dict[str, float]:
    engine = create_engine(installation.app_url(DATABASE), pool_size=1)
    try:
        with console.status(f"making {PHONES} technicians"):
            drives = await _make_drives(engine)
        with processes(installation, DATABASE, "wall") as own:
            await own.ready()
            measured = await _measure(installation, own, drives, console)
            with console.status("looking for what was lost or doubled"):
                await _check(engine, drives[:PHONES])
    finally:
        await engine.dispose()
    cpu = {part: statistics.median(round_[part] for round_ in measured.cpu_us) for part in PARTS}
    console.print("CPU per fix in batches: " + ", ".join(f"{part} {us:.1f} us" for part, us in cpu.items()))
    batch, limit = statistics.median(measured.batch), statistics.median(measured.limit)
    slow, fast = STEADY_RATES
    return {
        "batch_fixes_per_s": round(batch),
        "limit_rows_per_s": round(limit),
        "batch_to_limit": round(batch / limit, 3),
        "http_single_per_s": round(statistics.median(measured.http_single)),
        "ws_single_per_s": round(statistics.median(measured.ws_single)),
        "ack_ms_p50_at_1000": round(measured.wait_ms(slow, 50), 2),
        "ack_ms_p99_at_1000": round(measured.wait_ms(slow, 99), 2),
        "ack_ms_p99_at_5000": round(measured.wait_ms(fast, 99), 2),
        "cpu_us_per_fix": round(cpu["serve"] + cpu["PostgreSQL"], 2),
    }


async def _make_drives(engine: AsyncEngine) -> list[Drive]:
    """One for each phone, which ends about now; the last is the limit's."""
    begins_s = time.time() - FIXES - 60
    doors = range(FIRST_DOOR, LAST_DOOR, (LAST_DOOR - FIRST_DOOR) // ARRIVING)[:ARRIVING]
    door_at = {n * PHONES // ARRIVING: at for n, at in enumerate(doors)}
    vans = await make_vans(engine, PHONES + 1, begins_s + AFTER_START_S, lambda n: door_after(door_at.get(n)))
    day = stream(begins_s + AFTER_START_S)
    drives = [Drive(van, day, begins_s, door_at.get(n)) for n, van in enumerate(vans[:PHONES])]
    return [*drives, Drive(vans[PHONES], day, begins_s, None, LIMIT_EVERY_S)]


async def _measure(
    installation: embedded.Installation, own: Processes, drives: list[Drive], console: Console
) -> Measured:
    measured = Measured()
    *phones, limit = drives
    lanes = [Lane(own.url) for _ in phones]
    await begin_shifts(lanes, [drive.van for drive in phones], phones[0].begins_s + AFTER_START_S)
    for lane in lanes:
        lane.close()
    await _over_http(own.url, _batches(phones, WARM))
    streams = await _open_streams(own.url, phones)
    with _all_closed(streams):
        for n in range(ROUNDS):
            with console.status(f"round {n + 1} of {ROUNDS}: the limit"):
                measured.limit.append(_limit_round(installation.app_url(DATABASE), limit))
            with console.status(f"round {n + 1} of {ROUNDS}: {PER_BODY} fixes a body"):
                requests, before = _batches(phones, BODIES), _cpu(installation, own)
                per_s = await _over_http(own.url, requests) * PER_BODY
                after, fixes = _cpu(installation, own), PHONES * BODIES * PER_BODY
                measured.batch.append(per_s)
                measured.cpu_us.append({part: (after[part] - before[part]) * 1e6 / fixes for part in PARTS})
            with console.status(f"round {n + 1} of {ROUNDS}: a fix at a time over HTTP"):
                measured.http_single.append(await _over_http(own.url, _http_singles(phones, SINGLES_HTTP)))
            with console.status(f"round {n + 1} of {ROUNDS}: a fix at a time over streams"):
                measured.ws_single.append(await _as_answered(streams, _messages(phones, SINGLES_STREAM)))
            for rate in STEADY_RATES:
                with console.status(f"round {n + 1} of {ROUNDS}: {rate} fixes a second over streams"):
                    requests = _messages(phones, rate * STEADY_S // PHONES)
                    measured.waits_ms[rate].append(await _steadily(streams, requests, rate))
    return measured


def _limit_round(url: str, drive: Drive) -> float:
    """The same rows, straight into the database."""
    van, left_s, rows = drive.van, LIMIT_S, 0
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        while left_s > 0:
            fixes = list(drive.fixes(LIMIT_ROWS))
            started_s = time.perf_counter()
            van = drive.van
            packed = columns(
                [FixRows(van.organisation_id, van.device_id, time.time(), 0.0, fixes, [None] * LIMIT_ROWS)]
            )
            with connection.transaction():
                connection.execute("SET LOCAL ROLE doorstep_ingest")
                new = connection.execute(INSERT, packed, binary=True, prepare=True).rowcount
            left_s -= time.perf_counter() - started_s
            if new != LIMIT_ROWS:
                raise Wrong(f"{new} of {LIMIT_ROWS} rows were new")
            rows += new
    return rows / (LIMIT_S - left_s)


async def _as_answered(lines: Sequence[Line], requests: Sequence[Sequence[Request]]) -> float:
    """Every phone sends its requests, the next as soon as the last was answered; returns answers a second."""
    started_s = time.perf_counter()
    answered = await asyncio.gather(*(_one_by_one(line, own) for line, own in zip(lines, requests, strict=True)))
    return sum(answered) / (time.perf_counter() - started_s)


async def _over_http(url: str, requests: Sequence[Sequence[Request]]) -> float:
    """The same on connections of their own: the service closes those that say nothing for seconds."""
    lines = await asyncio.gather(*(open_line(HttpLine, url) for _ in requests))
    with _all_closed(lines):
        return await _as_answered(lines, requests)


async def _one_by_one(line: Line, requests: Sequence[Request]) -> int:
    """Returns how many were answered; raises `Wrong`."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    rest = iter(requests)

    def go_on(_: float = 0.0) -> None:
        following = next(rest, None)
        if following is not None:
            line.request(*following, time.perf_counter())
        else:
            done.set_result(None)

    line.answered = go_on
    go_on()
    await asyncio.wait([done, line.failed], timeout=ANSWERED_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
    if line.failed.done():
        line.failed.result()
    if not done.done():
        raise Wrong(f"no answer within {ANSWERED_WITHIN_S:.0f} s")
    return len(requests)


async def _steadily(streams: Sequence[Line], requests: Sequence[Sequence[Request]], rate: int) -> list[float]:
    """Each request when it is due, in turn over all phones; returns how long each was waited for, in ms."""
    waits_ms: list[float] = []
    for line in streams:
        line.answered = lambda waited_s: waits_ms.append(waited_s * 1000)
    in_turn = [(line, *own[n]) for n in range(len(requests[0])) for line, own in zip(streams, requests, strict=True)]
    started_s = time.perf_counter()
    sent = 0
    while sent < len(in_turn):
        due = min(int((time.perf_counter() - started_s) * rate), len(in_turn))
        for line, data, expected in in_turn[sent:due]:
            line.request(data, expected, started_s + sent / rate)
            sent += 1
        await asyncio.sleep(TICK_S)
    until_s = time.perf_counter() + ANSWERED_WITHIN_S
    while len(waits_ms) < len(in_turn):
        failed = next((line.failed for line in streams if line.failed.done()), None)
        if failed is not None:
            failed.result()
        if time.perf_counter() > until_s:
            raise Wrong(f"{len(in_turn) - len(waits_ms)} of {len(in_turn)} fixes were not answered")
        await asyncio.sleep(TICK_S)
    return waits_ms


def _batches(drives: Sequence[Drive], count: int) -> list[list[Request]]:
    return [[_batch(drive) for _ in range(count)] for drive in drives]


def _batch(drive: Drive) -> Request:
    body, expected = drive.body(PER_BODY)
    return http_request(drive.van.key, compressed(body), "gzip"), expected


def _http_singles(drives: Sequence[Drive], count: int) -> list[list[Request]]:
    return [[_http_single(drive) for _ in range(count)] for drive in drives]


def _http_single(drive: Drive) -> Request:
    body, expected = drive.body(1)
    return http_request(drive.van.key, body), expected


def _messages(drives: Sequence[Drive], count: int) -> list[list[Request]]:
    return [[_message(drive) for _ in range(count)] for drive in drives]


def _message(drive: Drive) -> Request:
    body, expected = drive.body(1, id_=drive.van.seq + 1)
    return message(body), expected


async def _open_streams(url: str, drives: Sequence[Drive]) -> list[StreamLine]:
    lines = await asyncio.gather(*(open_line(StreamLine, url) for _ in drives))
    handshakes = [[(HANDSHAKE.format(key=drive.van.key).encode(), b" 101 ")] for drive in drives]
    await _as_answered(lines, handshakes)
    return lines


@contextmanager
def _all_closed(lines: Sequence[Line]) -> Iterator[None]:
    try:
        yield
    finally:
        for line in lines:
            line.close()


def _cpu(installation: embedded.Installation, own: Processes) -> dict[str, float]:
    """Processor seconds so far, by part."""
    pids = (own.family("serve"), installation.postgres_pids(), installation.redis_pids(), [own.pid("work")])
    return {**dict(zip(PARTS, map(processor_s, pids), strict=False)), PARTS[-1]: time.process_time()}


STORED = """
SELECT d.id, count(f.seq), count(DISTINCT (f.stream, f.seq)), max(f.seq)
FROM device d LEFT JOIN fix f ON f.organisation_id = d.organisation_id AND f.device_id = d.id AND f.verdict IS NULL
GROUP BY d.id
"""
ARRIVALS = """
SELECT j.id, j.state,
  (SELECT array_agg(e.kind ORDER BY e.id) FROM event e WHERE e.organisation_id = j.organisation_id AND e.job_id = j.id),
  (SELECT array_agg(m.kind ORDER BY m.kind) FROM message m
   WHERE m.organisation_id = j.organisation_id AND m.job_id = j.id)
FROM job j
"""


async def _check(engine: AsyncEngine, drives: Sequence[Drive]) -> None:
    """Each fix is kept once; who came to the door arrived once, was told of once, and nobody else did."""
    async with transaction(engine, drives[0].van.organisation_id) as connection:
        stored = {row[0]: tuple(row[1:]) for row in await connection.execute(sa.text(STORED))}
        jobs = {row[0]: tuple(row[1:]) for row in await connection.execute(sa.text(ARRIVALS))}
    for drive in drives:
        sent = drive.van.seq - TAPS
        if stored[drive.van.device_id] != (sent, sent, drive.van.seq):
            raise Wrong(f"{sent} fixes were sent, and (rows, different ones, last) is {stored[drive.van.device_id]}")
        state, events, messages = jobs[drive.van.job_id]
        came = drive.door_at is not None
        if state != ("arrived" if came else "en_route") or [events.count(kind) for kind in AT_THE_DOOR] != [came, came]:
            raise Wrong(f"door after {drive.door_at}: the job is {state} after {events}")
        if [messages.count(kind) for kind in AT_THE_DOOR] != [came, came]:
            raise Wrong(f"door after {drive.door_at}: messages are {messages}")
