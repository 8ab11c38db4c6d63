"""Two processes of the service share one store, and each other's memory is none of theirs."""

from __future__ import annotations

import asyncio
import random

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm, batches, drive_north_to_door
from tests.support.rows import count, events, job_row, rows
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus
from tracking_server.store.engine import create_engine


async def test_deliveries_that_change_sides_are_judged_as_by_one_process(
    journey: Journey, firm: Firm, clock: SetClock, engine: AsyncEngine, bus: Bus, servers: Installation, database: str
) -> None:
    """Each batch goes to a process drawn by lot, some to both at once: stored once, arrived once, at the true time."""
    lot = random.Random(7)
    other_engine = create_engine(servers.app_url(database))
    other = Journey(other_engine, bus, clock, flushers=2)
    running = asyncio.create_task(other.run())
    phones = [await firm.phone(f"Technician {n}") for n in range(8)]
    jobs = [await firm.job(phone.device.technician_id) for phone in phones]
    drives = {}
    for phone, job_id in zip(phones, jobs, strict=True):
        taps = [phone.tap(firm.now_s, TapKind.shift_start), phone.tap(firm.now_s + 1, TapKind.en_route, job_id)]
        await journey.accept(phone.delivery(firm.now_s + 2, taps=taps))
        drives[phone.device.id] = drive_north_to_door(phone, firm.now_s + 2)
    clock.now_s = drives[phones[0].device.id][-1].time_s + 1
    for parts in zip(*(batches(drives[phone.device.id], 4) for phone in phones), strict=True):
        deliveries = [phone.delivery(clock.now_s, part) for phone, part in zip(phones, parts, strict=True)]
        lot.shuffle(deliveries)
        sides = [lot.choice(((journey,), (other,), (journey, other))) for _ in deliveries]
        sent = [(side, delivery) for delivery, both in zip(deliveries, sides, strict=True) for side in both]
        answers = await asyncio.gather(*(side.accept(delivery) for side, delivery in sent))
        assert all(answer.verdicts == {} for answer in answers)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await other_engine.dispose()

    assert await count(firm, "fix") == sum(len(drive) for drive in drives.values())
    for phone, job_id in zip(phones, jobs, strict=True):
        standing_s = next(fix.time_s for fix in drives[phone.device.id] if fix.speed_mps == 0)
        arrived = [event for event in await events(firm, job_id) if event.kind == "arrived"]
        assert [abs(event.at.timestamp() - standing_s) <= 15 for event in arrived] == [True]
        assert (await job_row(firm, job_id)).state == "arrived"
    told = [message.job_id for message in await rows(firm, "message") if message.kind == "arrived"]
    assert sorted(told) == sorted(jobs)
