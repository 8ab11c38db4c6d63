"""How soon a position is on the pages that watch it once it is published, against the least that could carry it.

Two hundred jobs en route, ten pages each, a fix a second for each. Rounds alternate between the service and the bare
way, a program that does nothing but echo what is published to those who listen. Both are measured alike: from the
moment at which PUBLISH reached Redis, by Redis's own clock (MONITOR), to the moment at which a page has read it. In the
service's rounds the positions come of real fixes, which the same processes take over HTTP, judge and commit meanwhile;
in the bare way's rounds nothing else happens. How long the whole way takes, from the phone's send to the page, is told
beside it, and what processor time it costs. A position that is overtaken by a newer one is told with it.

The phones and the pages are one process, which shares the machine's cores. They set off one after another, so that
windows, which are looked at anew every 20 s, are not all looked at in the same second.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from os import sysconf
from pathlib import Path
from urllib.parse import urlsplit

import redis.asyncio as redis
from rich.console import Console

from tracking_server import embedded
from tracking_server.bench.database import DATABASE, own_database
from tracking_server.bench.echo import CHANNEL, echo
from tracking_server.bench.processor import processor_s
from tracking_server.bench.vans import LAT, LON, STEP_DEG, Van, begin_shifts, make_vans, post, stream
from tracking_server.domain.assess import ETA_EVERY_S
from tracking_server.live.names import UPDATES
from tracking_server.replay.processes import processes
from tracking_server.replay.uplink import Lane
from tracking_server.store.engine import create_engine

JOBS = 200
PAGES_PER_JOB = 10
FIX_EVERY_S = 1.0
ROUNDS = 3
WARM_S = 3.0
ROUND_S = 10.0
OPENING_AT_ONCE = 100
LAST_WITHIN_S = 2.0
PLACE = re.compile(rb'"lat":([\d.]+)')
PAGE_KIB = sysconf("SC_PAGE_SIZE") / 1024

# As MONITOR writes it: the time, the client, and the words of the command, quoted.
PUBLISH = re.compile(rb'^\+([\d.]+) \[[^]]*\] "PUBLISH" "([^"]+)" (.*)$', re.MULTILINE)
# Whose position is published, and the latitude: by the channel.
POSITIONS = {
    UPDATES: re.compile(rb'\\"technician_id\\":\\"([^\\]+)\\".*?\\"lat\\":([\d.]+)'),
    CHANNEL: re.compile(rb'"(\d+) .*?\\"lat\\":([\d.]+)'),
}


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
            seq = _seq(place)
            for told in range(self._last + 1 if self._last else seq, seq + 1):
                self._heard(told)
            self._last = seq

    def connection_lost(self, _: Exception | None) -> None:
        if not self.open.done():
            self.open.set_result(False)


def _seq(lat: bytes) -> int:
    """Which fix of its van a place is."""
    return round((float(lat) - LAT) / STEP_DEG)


class Overheard(asyncio.Protocol):
    """What Redis is asked to do, with its times; kept as it comes and read when the round is over."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"MONITOR\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._kept += data

    def take(self, channel: str) -> Iterator[tuple[str, int, float]]:
        """Whose position, which fix and when it was published, of all that was overheard until now."""
        kept, self._kept = self._kept, bytearray()
        for at_s, where, said in PUBLISH.findall(kept):
            if where.decode() == channel:
                for who, lat in POSITIONS[channel].findall(said):
                    yield who.decode(), _seq(lat), float(at_s)


@dataclass
class Round:
    """What was sent when, and when each page had it, in epoch seconds. The first seconds do not count."""

    counts_from_s: float = field(default_factory=lambda: time.time() + WARM_S)
    sent_s: list[dict[int, float]] = field(default_factory=lambda: [{} for _ in range(JOBS)])
    heard_s: list[tuple[int, int, float]] = field(default_factory=list)

    def send(self, n: int, seq: int) -> None:
        now_s = time.time()
        if now_s >= self.counts_from_s:
            self.sent_s[n][seq] = now_s

    def hear(self, n: int, seq: int) -> None:
        if seq in self.sent_s[n]:
            self.heard_s.append((n, seq, time.time()))


@dataclass(frozen=True, slots=True)
class Result:
    """Waits in ms from PUBLISH and from the phone's send; pages told and their cost; KiB held meanwhile."""

    p50_ms: float
    p99_ms: float
    whole_p50_ms: float
    whole_p99_ms: float
    told_per_s: float
    cpu_us: float
    kib: float


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
    bare: list[Result] = []
    service: list[Result] = []
    with processes(installation, DATABASE, "wall") as own, echo(installation) as (bare_url, bare_pid):
        await own.ready()
        overheard = Overheard()
        monitor, _ = await asyncio.get_running_loop().create_unix_connection(
            lambda: overheard, str(installation.redis_socket)
        )
        lanes = [Lane(own.url) for _ in vans]
        await begin_shifts(lanes, vans, now_s)
        with console.status("setting off"):
            await _set_off(_sending(lanes, vans, now_s))
        idle_kib = _resident_kib(own.family("serve"))
        publisher = redis.from_url(installation.redis_url)
        numbers = {str(n): n for n in range(JOBS)}
        technicians = {str(van.technician_id): n for n, van in enumerate(vans)}
        for n in range(ROUNDS):
            with console.status(f"round {n + 1} of {ROUNDS}: the bare way"):
                measured, pages = Round(), [f"/{n}" for n in range(JOBS)]
                spent = await _round(bare_url, [bare_pid], pages, _publishing(publisher, vans), measured)
                bare.append(_result(measured, numbers, overheard.take(CHANNEL), *spent))
            with console.status(f"round {n + 1} of {ROUNDS}: the service"):
                measured, pages = Round(), [f"/t/{van.token}/updates" for van in vans]
                spent = await _round(own.url, own.family("serve"), pages, _sending(lanes, vans, now_s), measured)
                service.append(_result(measured, technicians, overheard.take(UPDATES), *spent))
        await publisher.aclose()
        monitor.close()
        for lane in lanes:
            lane.close()
    return _summed_up(console, service, bare, idle_kib)


def _summed_up(console: Console, service: list[Result], bare: list[Result], idle_kib: float) -> dict[str, float]:
    def median(results: list[Result], name: str) -> float:
        return float(statistics.median(getattr(result, name) for result in results))

    for said, results in (("service", service), ("bare", bare)):
        console.print(
            f"{said}: from PUBLISH p50 {median(results, 'p50_ms'):.2f} ms, p99 "
            + ", ".join(f"{result.p99_ms:.2f}" for result in results)
            + f" ms; from the sender p50 {median(results, 'whole_p50_ms'):.2f} ms, "
            f"p99 {median(results, 'whole_p99_ms'):.2f} ms; "
            f"{median(results, 'cpu_us'):.0f} us of processor time per page told",
            highlight=False,
        )
    p99_ms, bare_p99_ms = median(service, "p99_ms"), median(bare, "p99_ms")
    return {
        "p50_ms": round(median(service, "p50_ms"), 2),
        "p99_ms": round(p99_ms, 2),
        "bare_p99_ms": round(bare_p99_ms, 2),
        "p99_to_bare": round(p99_ms / bare_p99_ms, 2),
        "kib_per_viewer": round((median(service, "kib") - idle_kib) / (JOBS * PAGES_PER_JOB), 1),
        "delivered_per_s": round(median(service, "told_per_s")),
    }


async def _set_off(send: Callable[[int, Round], Awaitable[None]]) -> None:
    async def begin(n: int) -> None:
        await asyncio.sleep(ETA_EVERY_S * n / JOBS)
        await send(n, Round())

    await asyncio.gather(*(begin(n) for n in range(JOBS)))


async def _round(
    url: str, pids: Sequence[int], paths: Sequence[str], send: Callable[[int, Round], Awaitable[None]], measured: Round
) -> tuple[float, float]:
    """Drive for as long as a round takes; returns the seconds of processor time it took and the KiB held at its end."""
    async with _pages(url, paths, measured):
        measured.counts_from_s = time.time() + WARM_S
        until_s = measured.counts_from_s + ROUND_S
        spent_s: list[float] = []

        async def drive(n: int) -> None:
            await asyncio.sleep(FIX_EVERY_S * n / JOBS)
            while time.time() < until_s:
                due_s = time.time() + FIX_EVERY_S
                await send(n, measured)
                await asyncio.sleep(max(0.0, due_s - time.time()))

        async def look_at_processor() -> None:
            await asyncio.sleep(WARM_S)
            before_s = processor_s(pids)
            await asyncio.sleep(ROUND_S)
            spent_s.append(processor_s(pids) - before_s)

        await asyncio.gather(look_at_processor(), *(drive(n) for n in range(JOBS)))
        await asyncio.sleep(LAST_WITHIN_S)
        return spent_s[0], _resident_kib(pids)


def _result(
    measured: Round,
    numbers: dict[str, int],
    overheard: Iterator[tuple[str, int, float]],
    processor_s: float,
    kib: float,
) -> Result:
    """Raises RuntimeError when a page missed a position."""
    expected = sum(map(len, measured.sent_s)) * PAGES_PER_JOB
    if len(measured.heard_s) != expected:
        raise RuntimeError(f"pages saw {len(measured.heard_s)} of {expected} positions")
    published_s: list[dict[int, float]] = [{} for _ in range(JOBS)]
    for who, seq, at_s in overheard:
        published_s[numbers[who]][seq] = at_s
    waits, whole = [], []
    for n, seq, at_s in measured.heard_s:
        told_with = min(later for later in published_s[n] if later >= seq)  # it may have been overtaken on its way
        waits.append(at_s - published_s[n][told_with])
        whole.append(at_s - measured.sent_s[n][seq])
    quantiles, whole_quantiles = statistics.quantiles(waits, n=100), statistics.quantiles(whole, n=100)
    return Result(
        p50_ms=quantiles[49] * 1000,
        p99_ms=quantiles[98] * 1000,
        whole_p50_ms=whole_quantiles[49] * 1000,
        whole_p99_ms=whole_quantiles[98] * 1000,
        told_per_s=len(waits) / ROUND_S,
        cpu_us=processor_s / len(waits) * 1e6,
        kib=kib,
    )


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
            page = Page(path, partial(measured.hear, n))
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


def _resident_kib(pids: Iterable[int]) -> float:
    """Resident memory of processes (Linux)."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * PAGE_KIB
