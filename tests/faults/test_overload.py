"""More than the service can take: what it holds stays bounded, and those who behave are served."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import sqlalchemy as sa

from tests.support.bare import (
    Flood,
    Page,
    connections,
    get,
    ping_until_stuck,
    post,
    processor_s,
    resident_mib,
    serving_pids,
    stalled,
    upgrade,
)
from tests.support.crowd import hung
from tests.support.firm import Firm
from tests.support.server import PageStream, Server, enter_link, page_stream, send, serving, wait_until_ready
from tests.support.staff import begin_session, hire
from tracking_server.bench.vans import make_vans
from tracking_server.domain.events import TapKind
from tracking_server.domain.updates import JobChanged
from tracking_server.embedded import Installation
from tracking_server.ingest.room import MOST_BYTES
from tracking_server.live.bus import Bus
from tracking_server.store.engine import create_engine, transaction
from tracking_server.store.schema import fix, job

JOBS = 10
STALLED_PAGES, STALLED_BOARDS, STALLED_PHONES = 200, 40, 40
CHANGES = 25
LONG = "x" * 8_000
GONE_WITHIN_S = 30.0  # fifteen until they are let go, and then some, on a busy machine
MOST_MORE_MIB = 50.0
FLOODING, FIXES_PER_BODY, STANDING_S = 150, 400, 5  # more than twice what may wait of one firm
UPLOADING, UPLOAD_BYTES = 100, 1_900_000
MOST_MORE_OF_A_FLOOD_MIB = 100.0
BACK_JOBS, BACK_PAGES_PER_JOB = 200, 10
FEW_FILES = 100


async def test_readers_who_take_nothing_cost_little_and_are_let_go(
    servers: Installation, database: str, firm: Firm, now_s: float
) -> None:
    """Two hundred pages, forty boards and forty phones: memory stays, their sockets are gone, and readers beside them
    are told everything."""
    phones = [await firm.phone(f"Technician {n}") for n in range(STALLED_PHONES)]
    jobs = [await firm.job(phones[n].device.technician_id) for n in range(JOBS)]
    tokens = [await firm.link(job_id) for job_id in jobs]
    session = await begin_session(firm.engine, await hire(firm), time.time())
    bus = Bus(servers.redis_url)
    pages = [get(f"/t/{tokens[n % JOBS]}/updates") for n in range(STALLED_PAGES)]
    boards = [get("/board/updates", cookie=f"board={session}")] * STALLED_BOARDS
    streams = [upgrade("/v1/stream", phone.key) for phone in phones]
    with serving(servers, database) as server:
        async with AsyncExitStack() as healthy:
            client = await healthy.enter_async_context(httpx.AsyncClient(base_url=server.url))
            watching = [
                await healthy.enter_async_context(page_stream(client, await enter_link(client, token)))
                for token in tokens
            ]
            await change(firm, bus, jobs, "warm", watching)
            before, held_mib = connections(server), resident_mib(server)
            with stalled(server, pages), stalled(server, boards), stalled(server, streams) as stuck:
                for phone in stuck[:JOBS]:  # those who will be told of their jobs
                    await asyncio.to_thread(ping_until_stuck, phone)
                assert connections(server) == before + STALLED_PAGES + STALLED_BOARDS + STALLED_PHONES
                most_mib = 0.0
                for n in range(CHANGES):
                    await change(firm, bus, jobs, f"{n:03}", watching)
                    most_mib = max(most_mib, resident_mib(server) - held_mib)
                print(f"{most_mib:.1f} MiB more")  # noqa: T201 - for the failure report
                assert most_mib <= MOST_MORE_MIB
                until_s = time.monotonic() + GONE_WITHIN_S
                while connections(server) - before > STALLED_PHONES - JOBS:
                    assert time.monotonic() < until_s, "their sockets are still held"
                    await asyncio.sleep(0.5)
                await change(firm, bus, jobs, "last", watching)
    await bus.close()


async def change(firm: Firm, bus: Bus, jobs: Sequence[UUID], word: str, watching: Sequence[PageStream]) -> None:
    """Each job says something else, and each of its readers who listens is told."""
    async with transaction(firm.engine, firm.organisation_id) as connection:
        rows = await connection.execute(
            job.update()
            .where(job.c.id.in_(jobs))
            .values(title=f"{word} {LONG}", version=job.c.version + 1)
            .returning(job.c.id, job.c.version, job.c.technician_id)
        )
    await bus.publish([JobChanged(firm.organisation_id, *row[:2], (row[2],)) for row in rows])
    await asyncio.gather(*(page.until(f"{word} x") for page in watching))


async def test_a_flood_is_refused_before_memory_grows(
    servers: Installation, database: str, firm: Firm, now_s: float
) -> None:
    """While PostgreSQL stands still, floods of deliveries and of uploads that never end are told to come again, each at
    its own time; everything that was acknowledged is kept, and the service goes on."""
    floods = [Flood(await firm.phone(f"Technician {n}"), FIXES_PER_BODY, now_s - 3600) for n in range(FLOODING)]
    idle = [await firm.phone(f"Uploader {n}") for n in range(UPLOADING)]
    uploads = [post("/v1/fixes", UPLOAD_BYTES, phone.key) + bytes(UPLOAD_BYTES - 1) for phone in idle]
    stop = asyncio.Event()
    with serving(servers, database) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            for phone in (*(flood.phone for flood in floods), *idle):
                shift = phone.tap(now_s - 3600, TapKind.shift_start)
                assert (await send(client, phone, phone.delivery(now_s, taps=[shift]))).status_code == 200
        async with asyncio.TaskGroup() as tasks:
            for flood in floods:
                tasks.create_task(flood.run(server, stop))
            await until(lambda: all(flood.acknowledged for flood in floods))
            held_mib, most_mib = resident_mib(server), 0.0
            with hung(servers.postgres_pids()):
                stand = sum(flood.acknowledged for flood in floods)
                with stalled(server, []) as uploading:
                    for request in uploads:
                        uploading.append(await asyncio.to_thread(upload, server, request))
                    for _ in range(STANDING_S * 10):
                        most_mib = max(most_mib, resident_mib(server) - held_mib)
                        await asyncio.sleep(0.1)
                    refused = [one for one in uploading if await asyncio.to_thread(is_refused, one)]
                    for one in uploading:
                        one.close()
            after = sum(flood.acknowledged for flood in floods)
            await until(lambda: sum(flood.acknowledged for flood in floods) > after + FIXES_PER_BODY * FLOODING)
            stop.set()
        told = sum((flood.told for flood in floods), Counter[str]())
        print(f"{most_mib:.1f} MiB more; {after - stand} kept while it stood; {told}")  # noqa: T201 - for the report
        assert most_mib <= MOST_MORE_OF_A_FLOOD_MIB
        assert after - stand <= FIXES_PER_BODY * FLOODING, "acknowledged while nothing could be written"
        assert len({one for one in told if one.startswith("503")}) > 3
        assert len(refused) >= UPLOADING - MOST_BYTES // UPLOAD_BYTES - 1
        async with transaction(firm.engine, firm.organisation_id) as connection:
            kept = await connection.execute(sa.select(fix.c.device_id, sa.func.count()).group_by(fix.c.device_id))
            assert dict(iter(kept)) == {one.phone.device.id: one.acknowledged for one in floods}


async def test_two_thousand_pages_come_back_at_once(
    servers: Installation, database: str, firm: Firm, now_s: float
) -> None:
    """After a restart: each is told what is, for less than a read of each job a second and a few looks at the links."""
    vans = await make_vans(firm.engine, BACK_JOBS, now_s)
    with serving(servers, database) as server:
        host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
        before, begun_s = await transactions(firm), time.monotonic()
        pages = [Page(f"/t/{van.token}/updates") for van in vans for _ in range(BACK_PAGES_PER_JOB)]
        loop = asyncio.get_running_loop()
        for page in pages:
            await loop.create_connection(lambda page=page: page, host, port)  # type: ignore[misc]
        heard = await asyncio.gather(*(page.told for page in pages))
        took_s = time.monotonic() - begun_s
        for page in pages:
            if page.transport is not None:
                page.transport.close()
        await asyncio.sleep(1.5)  # the store counts a second later
        asked = await transactions(firm) - before
    print(f"{asked} transactions in {took_s:.1f} s")  # noqa: T201 - for the failure report
    assert all(b"Bench" in one and one.startswith(b"HTTP/1.1 200") for one in heard)
    assert asked <= BACK_JOBS * (took_s + 1)


async def test_without_a_file_descriptor_left_it_goes_on(
    servers: Installation, database: str, firm: Firm, now_s: float
) -> None:
    """Those who come too many are not answered, those who were there are; it does not spin, and is well afterwards."""
    phone = await firm.phone()
    with serving(servers, database) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await send(client, phone, phone.delivery(now_s, [phone.fix(now_s - 9)]))).status_code == 200
            pid = serving_pids(server)[-1]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (FEW_FILES, FEW_FILES))
            with stalled(server, [b"GET / HTTP/1.1\r\n"] * (2 * FEW_FILES)):
                used_s, begun_s = processor_s(server), time.monotonic()
                await asyncio.sleep(2.0)
                assert (processor_s(server) - used_s) / (time.monotonic() - begun_s) < 0.5
                answer = await send(client, phone, phone.delivery(now_s, [phone.fix(now_s - 8)]))
                assert answer.status_code in (200, 503), "who was there before is answered"
        await asyncio.to_thread(wait_until_ready, server)
        async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
            for _ in range(5):  # a connection that could not be made is tried again after a moment
                answer = await send(client, phone, phone.delivery(now_s, [phone.fix(now_s - 7)]))
                if answer.status_code == 200:
                    break
                await asyncio.sleep(1.0)
        assert answer.status_code == 200


async def test_phones_and_pages_do_not_wait_behind_boards(
    servers: Installation, database: str, firm: Firm, now_s: float
) -> None:
    """Twenty boards hang in the store; a fix is acknowledged and a page shown while all of them wait."""
    phone = await firm.phone()
    token = await firm.link(await firm.job(phone.device.technician_id))
    session = await begin_session(firm.engine, await hire(firm), time.time())
    owner = create_engine(servers.owner_url(database))
    with serving(servers, database) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client, owner.begin() as locking:
            await locking.execute(sa.text("LOCK TABLE customer IN ACCESS EXCLUSIVE MODE"))
            cookie = {"cookie": f"board={session}"}
            boards = [asyncio.create_task(client.get("/board", headers=cookie)) for _ in range(20)]
            await asyncio.sleep(0.5)
            assert (await send(client, phone, phone.delivery(now_s, [phone.fix(now_s - 9)]))).status_code == 200
            assert (await client.get(f"/t/{token}/status")).status_code == 200
            assert sum(board.done() for board in boards) == 0
            for board in boards:
                board.cancel()
            await asyncio.gather(*boards, return_exceptions=True)
    await owner.dispose()


async def until(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(within_s):
        while not what():  # noqa: ASYNC110 (many writers)
            await asyncio.sleep(0.05)


def upload(server: Server, request: bytes) -> socket.socket:
    """All of a delivery but its last byte."""
    uploading = socket.create_connection((urlsplit(server.url).hostname, urlsplit(server.url).port))
    uploading.settimeout(5.0)
    uploading.sendall(request)
    return uploading


def is_refused(uploading: socket.socket) -> bool:
    """Whether it was answered with 503, though it has not ended."""
    uploading.settimeout(0.1)
    try:
        return uploading.recv(12) == b"HTTP/1.1 503"
    except TimeoutError:
        return False


async def transactions(firm: Firm) -> int:
    """How many the store counts in this database."""
    async with firm.engine.connect() as connection:
        committed = sa.text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        return int(await connection.scalar(committed) or 0)
