"""More than the service can take: what it holds stays bounded, and those who behave are served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import httpx

from tests.support.bare import connections, get, ping_until_stuck, resident_mib, stalled, upgrade
from tests.support.firm import Firm
from tests.support.server import PageStream, enter_link, page_stream, serving
from tests.support.staff import begin_session, hire
from tracking_server.domain.updates import JobChanged
from tracking_server.embedded import Installation
from tracking_server.live.bus import Bus
from tracking_server.store.engine import transaction
from tracking_server.store.schema import job

JOBS = 10
STALLED_PAGES, STALLED_BOARDS, STALLED_PHONES = 200, 40, 40
CHANGES = 25
LONG = "x" * 8_000
GONE_WITHIN_S = 30.0  # fifteen until they are let go, and then some, on a busy machine
MOST_MORE_MIB = 50.0


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
