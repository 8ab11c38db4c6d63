"""PostgreSQL stands still under load: nothing is acknowledged that is not kept, and all comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tests.support.crowd import Crowd, all_kept_once, crowd, hung
from tests.support.firm import HOME, Firm
from tests.support.gateway import gateway
from tests.support.mute import mute_proxy
from tests.support.rows import count
from tests.support.server import Server, serving
from tests.support.watched_drive import watched_drive
from tests.support.workers import workers
from tracking_server.dispatch.jobs import NewJob, assign_job, create_job
from tracking_server.domain.events import TapKind
from tracking_server.domain.geofence import Geofence
from tracking_server.embedded import Installation
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus
from tracking_server.store import connection as store_connection
from tracking_server.store import people
from tracking_server.store.connection import LOCK_TIMEOUT_MS
from tracking_server.store.engine import Unavailable, create_engine, transaction
from tracking_server.store.people import lock_technicians

PHONES = 20
HANGS_S, LONG_HANGS_S = 10.0, 30.0  # longer than every deadline of a statement
BACK_WITHIN_S = 10.0
TOLD_WITHIN_S = 15.0  # who asked just before: 6 s for those before them, 3 s for a connection, and a machine under load
MOST_MORE_MB = 40
MOST_CONNECTIONS = 8 + 3 + 8 + 8 + 1 + 8  # of the service, the sweep, the sender, its queue, its listener; of this test


async def test_a_hung_store_is_told_and_forgotten(
    servers: Installation, database: str, firm: Firm, long: bool, tmp_path: Path
) -> None:
    """Meanwhile phones get 503 and no acknowledgement, and pages keep what they show; then all of it goes on."""
    async with (
        gateway(well_behaved=True) as sms,
        running(servers, database, tmp_path, sms.environment()) as server,
        watched_drive(server, firm) as drive,
        crowd(server.url, firm, PHONES) as phones,
    ):
        await drive.go_on(within_s=10)
        await phones.all_heard_since(time.monotonic(), 10)
        before_mb, shown = resident_mb(server.process.pid), len(drive.page.positions)
        with hung(servers.postgres_pids()):
            hung_s = time.monotonic()
            readiness = await drive.client.get("/readyz", timeout=TOLD_WITHIN_S)
            assert (readiness.status_code, readiness.json()["store"]) == (503, False)
            await asyncio.sleep(LONG_HANGS_S if long else HANGS_S)
            opened = await drive.client.get(f"/j/{drive.link_id}", timeout=TOLD_WITHIN_S)
            assert (opened.status_code, "retry-after" in opened.headers) == (503, True)
            assert (drive.page.closed, len(drive.page.positions)) == (False, shown)
            assert "on the way to you" in drive.page.status
            assert resident_mb(server.process.pid) - before_mb < MOST_MORE_MB
            resumed_s = time.monotonic()
        answers = phones.between(hung_s, resumed_s)
        assert len(answers) > PHONES
        meanwhile = [answer for answer in answers if answer.sent_s >= hung_s]
        assert {(answer.status, answer.retry_after is not None) for answer in meanwhile} == {(503, True)}
        assert max(answer.took_s for answer in answers) < TOLD_WITHIN_S
        await phones.all_heard_since(resumed_s, BACK_WITHIN_S)
        await drive.go_on(within_s=BACK_WITHIN_S)
        assert (await drive.client.get(f"/j/{drive.link_id}")).status_code == 200
        assert (await drive.client.get("/readyz")).status_code == 200
        number = await owe_a_message(firm, drive.phone.device.technician_id)
        await until(lambda: number in {one.to for one in sms.taken}, BACK_WITHIN_S)
        assert connections(servers, database) <= MOST_CONNECTIONS
    await all_kept_once(servers, database, firm, phones)


async def test_a_commit_that_was_not_answered_is_kept_once(
    servers: Installation,
    database: str,
    firm: Firm,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It happened, and nobody was told: the phone is refused, sends it again, and it is there once."""
    monkeypatch.setattr(store_connection, "ANSWER_WITHIN_S", 2.0)
    async with mute_proxy(servers, database) as proxy:
        engine = create_engine(proxy.url)
        journey = Journey(engine, bus, SetClock(firm.now_s), flushers=1)
        running_journey = asyncio.create_task(journey.run())
        try:
            phone = await firm.phone()
            fixes = [phone.fix(firm.now_s - 60 + n, 10.0 * n) for n in range(5)]
            delivery = phone.delivery(firm.now_s, fixes, [phone.tap(firm.now_s - 90, TapKind.shift_start)])
            proxy.mute_after(b"COMMIT")
            with pytest.raises(Unavailable):
                await journey.accept(delivery)
            assert (proxy.muted, await count(firm, "fix")) == (True, 5)
            proxy.speak()
            answer = await journey.accept(delivery)
        finally:
            running_journey.cancel()
            await asyncio.gather(running_journey, return_exceptions=True)
            await engine.dispose()
    assert answer.ack == ((1, 6),)
    assert await count(firm, "fix") == 5


async def test_a_hung_backend_costs_only_its_own_technician(
    servers: Installation, database: str, firm: Firm, engine: AsyncEngine
) -> None:
    """It holds one technician's row for good: that phone is refused, the others go on, and then it goes on too."""
    with serving(servers, database) as server:
        async with crowd(server.url, firm, PHONES) as phones:
            await phones.all_heard_since(time.monotonic(), 10)
            unlucky, *others = phones.senders
            held = create_engine(servers.app_url(database), pool_size=1)
            with suppress(Unavailable):
                async with transaction(held, firm.organisation_id) as connection:
                    device = unlucky.phone.device
                    await lock_technicians(connection, firm.organisation_id, [device.technician_id])
                    backend = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
                    with hung([int(backend or 0)]):
                        hung_s = time.monotonic()
                        for _ in range(2):  # in the second, who holds nothing notices nothing of it
                            await Crowd(others).all_heard_since(time.monotonic(), 4 * LOCK_TIMEOUT_MS / 1000)
                        await until(lambda: unlucky.answers[-1].sent_s >= hung_s, BACK_WITHIN_S)
                        refused = [answer for answer in unlucky.answers if answer.sent_s >= hung_s]
                        assert {answer.status for answer in refused} == {503}
                        assert {answer.status for answer in Crowd(others).between(hung_s, time.monotonic())} == {200}
                        os.kill(int(backend or 0), signal.SIGTERM)
            await phones.all_heard_since(time.monotonic(), 2 * BACK_WITHIN_S)
            await held.dispose()
    await all_kept_once(servers, database, firm, phones)


@asynccontextmanager
async def running(
    servers: Installation, database: str, folder: Path, settings: dict[str, str]
) -> AsyncIterator[Server]:
    """The service and a worker."""
    with serving(servers, database) as server, workers(servers, database, folder / "work.log", 1, settings):
        yield server


async def owe_a_message(firm: Firm, technician_id: UUID) -> str:
    """Give the technician a job of somebody who is told by SMS that it is booked; returns their number."""
    number = "+351910000001"
    async with transaction(firm.engine, firm.organisation_id) as connection:
        customer_id, _ = await people.insert_customer(
            connection, firm.organisation_id, name="Rui", email=None, phone=number, language="en", now_s=firm.now_s
        )
        window = (firm.now_s + 48 * 3600, firm.now_s + 50 * 3600)
        new = NewJob(customer_id, "Leaking tap", "Rua das Flores 1", "Europe/Lisbon", Geofence(*HOME), window)
        job = await create_job(connection, firm.organisation_id, new, actor="test", now_s=firm.now_s)
        await assign_job(connection, firm.organisation_id, job.id, technician_id, actor="test", now_s=firm.now_s)
    return number


async def until(true: Callable[[], bool], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - a gateway tells nobody
            await asyncio.sleep(0.05)


def resident_mb(pid: int) -> float:
    """The memory of a process that is in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def connections(servers: Installation, database: str) -> int:
    """How many sessions there are; those that were given up are none any more."""
    with psycopg.connect(host=str(servers.socket_folder), user="doorstep_admin", dbname="postgres") as connection:
        found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [database]).fetchone()
    assert found is not None
    return int(found[0])
