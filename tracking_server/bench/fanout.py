"""How soon a fix is on the pages that watch it, against the least that could carry it there.

Two hundred jobs en route, ten pages each, a fix a second for each. Rounds alternate: the service (a fix over HTTP,
kept, judged, published, checked for each reader, sent to each page) and the bare way (the same words published to
Redis, and a program that does nothing but echo them to those who listen). The phones and the pages share the machine's
cores with both. A position that is overtaken by a newer one is told with it.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import redis.asyncio as redis
from rich.console import Console

from tracking_server import embedded
from tracking_server.bench.database import DATABASE, own_database
from tracking_server.bench.echo import CHANNEL, echo
from tracking_server.bench.vans import LAT, LON, STEP_DEG, Van, begin_shifts, make_vans, post, stream
from tracking_server.replay.processes import processes
from tracking_server.replay.uplink import Lane
from tracking_server.store.engine import create_engine

JOBS = 200
PAGES_PER_JOB = 10
FIX_EVERY_S = 1.0
ROUNDS = 3
WARM_S = 5.0
ROUND_S = 10.0
OPENING_AT_ONCE = 100
LAST_WITHIN_S = 2.0
PLACE = re.compile(rb'"lat":([\d.]+)')


class Page(asyncio.Protocol):
    """One page that listens: notes when each fix reached it."""

    def __init__(self, path: str, heard: Callable[[int], None]) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n".encode()
        self._heard = heard
        self._last = 0
        self.open = asyncio.get_running_loop().create_future()
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.open.done():
            self.open.set_result(data.startswith(b"HTTP/1.1 200"))
        for place in PLACE.findall(data):
            seq = round((float(place) - LAT) / STEP_DEG)
            for told in range(self._last + 1 if self._last else seq, seq + 1):
                self._heard(told)
            self._last = seq

    def connection_lost(self, _: Exception | None) -> None:
        if not self.open.done():
            self.open.set_result(False)


class Round:
    """What was sent when, and how long each page waited for it. The first seconds do not count."""

    def __init__(self) -> None:
        self.counts_from_s = time.perf_counter() + WARM_S
        self.sent_s: list[dict[int, float]] = [{} for _ in range(JOBS)]
        self.waits_s: list[float] = []
        self.expected = 0

    def send(self, n: int, seq: int) -> None:
        now_s = time.perf_counter()
        if now_s >= self.counts_from_s:
            self.sent_s[n][seq] = now_s
            self.expected += PAGES_PER_JOB

    def heard(self, n: int, seq: int) -> None:
        sent_s = self.sent_s[n].get(seq)
        if sent_s is not None:
            self.waits_s.append(time.perf_counter() - sent_s)


def bench_fanout(console: Console) -> dict[str, float]:
    """Run the rounds; returns medians of the rounds by name."""
    with own_database() as installation:
        return asyncio.run(_rounds(installation, console))


async def _rounds(installation: embedded.Installation, console: Console) -> dict[str, float]:
    engine = create_engine(installation.app_url(DATABASE), pool_size=1)
    with console.status(f"making {JOBS} technicians"):
        now_s = time.time()
        vans = await make_vans(engine, JOBS, now_s)
        await engine.dispose()
    results: list[list[float]] = []
    with processes(installation, DATABASE, "wall") as own, echo(installation) as bare_url:
        await own.ready()
        lanes = [Lane(own.url) for _ in vans]
        await begin_shifts(lanes, vans, now_s)
        idle_kib = _resident_kib(own.pid("serve"))
        publisher = redis.from_url(installation.redis_url)
        for n in range(ROUNDS):
            with console.status(f"round {n + 1} of {ROUNDS}: the bare way"):
                bare = await _round(bare_url, [f"/{n}" for n in range(JOBS)], _publishing(publisher, vans))
            with console.status(f"round {n + 1} of {ROUNDS}: the service"):
                pages = [f"/t/{van.token}/updates" for van in vans]
                service = await _round(own.url, pages, _sending(lanes, vans, now_s), own.pid("serve"))
            results.append([*service, *bare])
        await publisher.aclose()
        for lane in lanes:
            lane.close()
    p50_ms, p99_ms, delivered, kib, _, bare_p99_ms, *_ = map(statistics.median, zip(*results, strict=True))
    return {
        "p50_ms": round(p50_ms, 1),
        "p99_ms": round(p99_ms, 1),
        "bare_p99_ms": round(bare_p99_ms, 1),
        "p99_to_bare": round(p99_ms / bare_p99_ms, 2),
        "kib_per_viewer": round((kib - idle_kib) / (JOBS * PAGES_PER_JOB), 1),
        "delivered_per_s": round(delivered),
    }


async def _round(
    url: str, paths: Sequence[str], send: Callable[[int, Round], Awaitable[None]], pid: int | None = None
) -> list[float]:
    """Median and 99th percentile in ms, pages told per second, and what the process holds in KiB meanwhile."""
    measured = Round()
    async with _pages(url, paths, measured):
        measured.counts_from_s = time.perf_counter() + WARM_S
        until_s = measured.counts_from_s + ROUND_S

        async def drive(n: int) -> None:
            await asyncio.sleep(FIX_EVERY_S * n / JOBS)
            while time.perf_counter() < until_s:
                due_s = time.perf_counter() + FIX_EVERY_S
                await send(n, measured)
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))

        await asyncio.gather(*(drive(n) for n in range(JOBS)))
        await asyncio.sleep(LAST_WITHIN_S)
        kib = _resident_kib(pid) if pid is not None else 0.0
    if len(measured.waits_s) != measured.expected:
        raise RuntimeError(f"pages saw {len(measured.waits_s)} of {measured.expected} positions")
    quantiles = statistics.quantiles(measured.waits_s, n=100)
    return [quantiles[49] * 1000, quantiles[98] * 1000, len(measured.waits_s) / ROUND_S, kib]


@asynccontextmanager
async def _pages(url: str, paths: Sequence[str], measured: Round) -> AsyncIterator[None]:
    """Ten pages for each job, all of them open."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
    loop = asyncio.get_running_loop()
    waiting = deque((n, path) for n, path in enumerate(paths) for _ in range(PAGES_PER_JOB))
    pages: list[Page] = []

    async def open_some() -> None:
        while waiting:
            n, path = waiting.popleft()
            page = Page(path, partial(measured.heard, n))
            pages.append(page)
            await loop.create_connection(partial(_itself, page), host, port)
            if not await page.open:
                raise RuntimeError(f"{path} was not opened")

    try:
        await asyncio.gather(*(open_some() for _ in range(OPENING_AT_ONCE)))
        yield
    finally:
        for page in pages:
            if page.transport is not None:
                page.transport.close()


def _itself(page: Page) -> Page:
    return page


def _sending(lanes: Sequence[Lane], vans: Sequence[Van], began_s: float) -> Callable[[int, Round], Awaitable[None]]:
    async def send(n: int, measured: Round) -> None:
        van = vans[n]
        van.seq += 1
        fix = {"seq": van.seq, "time": time.time(), "lat": round(LAT + van.seq * STEP_DEG, 6), "lon": LON}
        measured.send(n, van.seq)
        await post(lanes[n], van, {"stream": stream(began_s), "fixes": [fix]})

    return send


def _publishing(publisher: redis.Redis, vans: Sequence[Van]) -> Callable[[int, Round], Awaitable[None]]:
    seqs = [0] * len(vans)

    async def send(n: int, measured: Round) -> None:
        seqs[n] += 1
        place = f'{{"lon":{LON},"lat":{round(LAT + seqs[n] * STEP_DEG, 6)},"accuracy_m":8,"course_deg":0,"age_s":0.1}}'
        measured.send(n, seqs[n])
        await publisher.publish(CHANNEL, f"{n} {place}")

    return send


def _resident_kib(pid: int) -> float:
    """Resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return float(re.search(r"VmRSS:\s+(\d+) kB", status)[1])  # type: ignore[index]
