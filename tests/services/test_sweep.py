"""What only time brings about."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm, drive_north_to_door
from tests.support.rows import events, job_row, rows
from tracking_server.domain.events import TapKind
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus
from tracking_server.sweep import sweep


async def test_a_dwell_ends_without_another_fix(
    journey: Journey, firm: Firm, clock: SetClock, engine: AsyncEngine, bus: Bus
) -> None:
    """A parked phone falls silent: the clock tells the arrival, once, dated back to the entry."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    taps = [phone.tap(firm.now_s, TapKind.shift_start), phone.tap(firm.now_s, TapKind.en_route, job_id)]
    drive = drive_north_to_door(phone, firm.now_s + 1)
    standing_s = next(fix.time_s for fix in drive if fix.speed_mps == 0)
    heard = [fix for fix in drive if fix.time_s <= standing_s + 40]
    clock.now_s = heard[-1].time_s + 1
    await journey.accept(phone.delivery(clock.now_s, heard, taps))
    assert (await job_row(firm, job_id)).state == "en_route"

    assert await sweep(engine, bus, clock.now_s) == 0
    await sweep(engine, bus, standing_s + 120)
    job = await job_row(firm, job_id)
    assert job.state == "arrived"
    assert abs(job.arrived_at.timestamp() - standing_s) <= 15
    await sweep(engine, bus, standing_s + 130)
    arrived = [event for event in await events(firm, job_id) if event.kind == "arrived"]
    assert len(arrived) == 1
    assert arrived[0].evidence["cause"] == "clock"


async def test_fixes_after_a_gap_are_judged_without_it_after_a_minute(
    journey: Journey, firm: Firm, clock: SetClock, engine: AsyncEngine, bus: Bus
) -> None:
    """Lost numbers hold the order lane back for sixty seconds, no longer."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    start = phone.tap(firm.now_s, TapKind.shift_start)
    drive = drive_north_to_door(phone, firm.now_s + 1)
    missing = {drive[3].seq, drive[4].seq}
    clock.now_s = drive[-1].time_s + 1
    await journey.accept(phone.delivery(clock.now_s, [fix for fix in drive if fix.seq not in missing], [start]))
    assert (await job_row(firm, job_id)).state == "assigned", "what follows the gap waits"

    await sweep(engine, bus, clock.now_s + 30)
    assert (await job_row(firm, job_id)).state == "assigned"
    await sweep(engine, bus, clock.now_s + 61)
    assert (await job_row(firm, job_id)).state == "arrived"


async def test_a_broken_promise_is_told_once(firm: Firm, engine: AsyncEngine, bus: Bus) -> None:
    """Ten minutes after the promised window nobody came: one event, one message, however often the sweep looks."""
    phone = await firm.phone()
    late = [await firm.job(phone.device.technician_id), await firm.job()]
    for minutes in (5, 11, 12, 60):
        await sweep(engine, bus, firm.now_s + 7200 + minutes * 60)
    for job_id in late:
        kinds = [event.kind for event in await events(firm, job_id)]
        assert kinds.count("delayed") == 1
        assert (await job_row(firm, job_id)).due_at is None
    owed = [message for message in await rows(firm, "message") if message.kind == "delayed"]
    assert {message.job_id for message in owed} == set(late)
    assert len(owed) == 2
