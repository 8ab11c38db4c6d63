"""A firm's own trips teach how long its drives take."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from tests.support.clocks import SetClock
from tests.support.firm import Firm, drive_north_to_door
from tests.support.rows import job_row
from tracking_server.domain.eta import DEFAULT, ENOUGH_TRIPS
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.journey import Journey
from tracking_server.store.corrections import Corrections
from tracking_server.store.engine import transaction
from tracking_server.store.maintain import maintain


async def drive_once(journey: Journey, firm: Firm, clock: SetClock, speed_mps: float) -> None:
    """One drive of 1500 m that is seen from its start to the arrival."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    taps = [phone.tap(firm.now_s + 1, TapKind.shift_start), phone.tap(firm.now_s + 5, TapKind.en_route, job_id)]
    before = phone.fix(firm.now_s + 2, 1500.0)
    drive = drive_north_to_door(phone, firm.now_s + 6, speed_mps=speed_mps)
    clock.now_s = max(clock.now_s, drive[-1].time_s + 1)
    await journey.accept(phone.delivery(clock.now_s, [before, *drive], taps))
    assert (await job_row(firm, job_id)).state == "arrived"


async def test_slow_drives_make_later_windows(
    journey: Journey, firm: Firm, clock: SetClock, servers: Installation, database: str
) -> None:
    """Too few trips teach nothing; enough of them, at a third of town speed, triple the likely time."""
    await asyncio.gather(*(drive_once(journey, firm, clock, 3.0) for _ in range(ENOUGH_TRIPS - 1)))
    list(maintain(servers.owner_url(database)))
    async with transaction(firm.engine, firm.organisation_id) as connection:
        assert await Corrections().of(connection, firm.organisation_id, clock.now_s) == DEFAULT

    await drive_once(journey, firm, clock, 3.0)
    (line,) = [line for line in maintain(servers.owner_url(database)) if "learnt" in line]
    assert line == f"{firm.organisation_id}: learnt travel times from {ENOUGH_TRIPS} trips"
    async with transaction(firm.engine, firm.organisation_id) as connection:
        learnt = await Corrections().of(connection, firm.organisation_id, clock.now_s)
        setting = await connection.scalar(sa.text("SELECT settings ? 'eta_correction' FROM organisation"))
    assert setting is True
    assert learnt.trips == ENOUGH_TRIPS
    assert 1.5 < learnt.likely_ratio / DEFAULT.likely_ratio < 4
