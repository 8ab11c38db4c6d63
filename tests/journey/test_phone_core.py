"""The phone's own core and the real service: what is kept on the phone is what customers are shown."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tech_app.core.clock import PhoneClock
from tech_app.core.fix import Fix
from tech_app.core.gps.gpsd import GpsdSource
from tech_app.core.http_line import HttpLine
from tech_app.core.line import Unpaired
from tech_app.core.outbox import Outbox
from tech_app.core.tap import Tap, TapKind
from tech_app.core.tracking import Duty, Tracking
from tech_app.core.uplink import Send, Uplink, Way
from tech_app.core.websocket_line import WebSocketLine
from tests.support.firm import HOME, METRE, Firm
from tests.support.gps_receiver import receiver
from tests.support.phone_clock import SetPhoneClock
from tests.support.rows import events
from tests.support.server import Server, enter_link, page_stream
from tracking_server.store.engine import transaction

BACKLOG = 10_000


def an_uplink(server: Server, key: str, queue: Outbox, clock: PhoneClock | SetPhoneClock) -> Uplink:
    lines = {
        Way.websocket: WebSocketLine(server.url, key, None, lambda _: None),
        Way.http: HttpLine(server.url, key, None),
    }
    return Uplink(queue, lines, clock)


async def drain(phone: Uplink, queue: Outbox) -> int:
    """Steps until the queue is empty; returns how many batches were sent."""
    batches = 0
    async with asyncio.timeout(60):
        while queue.facts().taps + queue.facts().fixes:
            batches += isinstance(await phone.step(), Send)
    return batches


async def test_a_long_backlog_is_drained(server: Server, engine: AsyncEngine, firm: Firm, tmp_path: Path) -> None:
    """Ten thousand fixes reach the store, once each, in about twenty batches."""
    clock = PhoneClock()
    phone = await firm.phone()
    queue = Outbox(tmp_path / "outbox.db", clock)
    begun_s = clock.now() - BACKLOG
    queue.append_tap(Tap(begun_s - 1, TapKind.shift_start))
    for n in range(BACKLOG):
        queue.append_fix(Fix(begun_s + n, 41 + n * 1e-5, -8.61, 8.0, 1.1, 0.0, 94.0, 83.0))
    started = time.monotonic()
    batches = await drain(an_uplink(server, phone.key, queue, clock), queue)
    print(f"{BACKLOG} fixes in {batches} batches and {time.monotonic() - started:.1f} s")  # noqa: T201 - the figure
    async with transaction(engine, firm.organisation_id) as connection:
        row = (await connection.execute(sa.text("SELECT count(*), count(DISTINCT seq), max(seq) FROM fix"))).one()
    assert tuple(row) == (BACKLOG, BACKLOG, BACKLOG + 1)
    assert batches <= 22
    queue.close()


async def test_visits_are_told_with_their_true_times(server: Server, firm: Firm, now_s: float, tmp_path: Path) -> None:
    """Phones two years off that have spoken before, and are put right on the way: arrived when it really was."""
    for wrong_s in (0.0, 63_072_000.0, -63_072_000.0):
        phone = await firm.phone()
        job_id = await firm.job(phone.device.technician_id)
        clock = SetPhoneClock(now_s + wrong_s)
        queue = Outbox(tmp_path / f"{wrong_s}.db", clock)
        uplink = an_uplink(server, phone.key, queue, clock)
        queue.append_tap(Tap(clock.now(), TapKind.break_end))
        await drain(uplink, queue)
        clock.set_forward(-600 - (clock.now() - now_s - wrong_s))
        queue.append_tap(Tap(clock.now(), TapKind.shift_start))
        queue.append_tap(Tap(clock.now() + 1, TapKind.en_route, str(job_id)))
        for n in range(60):
            clock.pass_time(10)
            away_m = max(0, 3000 - 100 * n)
            queue.append_fix(Fix(clock.now(), HOME[1] + away_m * METRE, HOME[0], 8.0))
            if n == 25:
                clock.set_forward(-wrong_s)
        await drain(uplink, queue)
        times = {event.kind: event.at.timestamp() - now_s for event in await events(firm, job_id)}
        assert times["en_route"] == pytest.approx(-599, abs=3)
        assert times["arrived"] == pytest.approx(-294, abs=10)
        queue.close()


async def test_a_service_that_was_away_gets_everything(
    server: Server, engine: AsyncEngine, firm: Firm, tmp_path: Path
) -> None:
    """Ten minutes without it: the phone keeps on, and when the service is back nothing is missing.

    A phone whose key was revoked is told so, which is no trouble of the network.
    """
    clock = SetPhoneClock(time.time() - 700)
    phone = await firm.phone()
    queue = Outbox(tmp_path / "outbox.db", clock)
    uplink = an_uplink(server, phone.key, queue, clock)
    queue.append_tap(Tap(clock.now(), TapKind.shift_start))
    server.kill()
    for n in range(60):
        queue.append_fix(Fix(clock.now(), 41 + n * 1e-5, -8.61, 8.0))
        clock.pass_time(10)
        await uplink.step()
    assert queue.facts().fixes == 60
    assert uplink.trouble is not None
    await asyncio.to_thread(server.start_again)
    await drain(uplink, queue)
    async with transaction(engine, firm.organisation_id) as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM fix"))).scalar_one() == 60
    queue.append_tap(Tap(clock.now(), TapKind.shift_end))
    batch = queue.next_batch(500)
    assert batch is not None
    with pytest.raises(Unpaired):
        await HttpLine(server.url, f"{firm.organisation_id}.wrong", None).exchange(batch)
    queue.close()


async def test_a_receivers_sentences_reach_the_customers_page(
    server: Server, client: httpx.AsyncClient, firm: Firm, tmp_path: Path
) -> None:
    """NMEA -> gpsd -> the phone's core -> the service -> the page: where the van is, and that it is arriving."""
    clock = PhoneClock()
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    link_id = await enter_link(client, await firm.link(job_id))
    queue = Outbox(tmp_path / "outbox.db", clock)
    uplink = an_uplink(server, phone.key, queue, clock)
    with receiver() as real:
        if real is None:
            pytest.skip("gpsd is not installed")
        tracking = Tracking(GpsdSource(clock, port=real.port), queue, uplink, lambda: 83.0)
        queue.append_tap(Tap(clock.now(), TapKind.shift_start))
        queue.append_tap(Tap(clock.now(), TapKind.en_route, str(job_id)))
        tracking.change(Duty(tracked=True, goal=(HOME[1], HOME[0])))
        south = HOME[1] - 250 * METRE
        running = [real.drive_north(south, HOME[0], 200), tracking.run(), uplink.run()]
        tasks = [asyncio.create_task(one) for one in running]
        async with page_stream(client, link_id) as page:
            await page.until_position(30)
            await page.until("arriving now", 60)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    lats = [position["lat"] for position in page.positions]
    assert south - 30 * METRE < lats[0] <= lats[-1] < HOME[1]
    queue.close()
