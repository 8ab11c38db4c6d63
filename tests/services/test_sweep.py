"""What only time brings about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm, drive_north_to_door
from tests.support.rows import events, job_row, rows
from tests.support.telling import book, tune
from tracking_server import outcome
from tracking_server.domain.events import TapKind
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus
from tracking_server.store.engine import transaction
from tracking_server.store.jobs import DueJobs, put_off
from tracking_server.store.messages import set_reminder
from tracking_server.store.schema import job
from tracking_server.sweep import PUT_OFF_S, remind, sweep


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


async def test_one_damaged_technician_costs_no_other_firm(firm: Firm, engine: AsyncEngine, bus: Bus) -> None:
    """A checkpoint that nobody can read: that technician is put off, the other firm's late job is told."""
    other = await Firm.create(engine, firm.now_s, "Another firm")
    damaged = await firm.job((await firm.phone()).device.technician_id)
    late = await other.job((await other.phone()).device.technician_id)
    async with transaction(engine, firm.organisation_id) as connection:
        await connection.execute(sa.text("UPDATE technician SET checkpoint = '{\"progress\": 5}'"))
        await connection.execute(sa.text("UPDATE job SET due_at = due_at - interval '1 minute'"))
    now_s = firm.now_s + 7200 + 700
    await sweep(engine, bus, now_s)
    assert "delayed" in [event.kind for event in await events(other, late)]
    assert (await job_row(firm, damaged)).due_at.timestamp() == now_s + PUT_OFF_S


async def test_a_job_given_away_during_the_round_keeps_its_alarm(firm: Firm, engine: AsyncEngine, bus: Bus) -> None:
    """The list was read before the reassignment: the new technician's round tells the delay."""
    ana, luis = await firm.phone("Ana"), await firm.phone("Luis")
    job_id = await firm.job(ana.device.technician_id)
    now_s = firm.now_s + 7200 + 700
    listed = DueJobs(firm.organisation_id, ana.device.technician_id, [job_id])
    await firm.assign(job_id, luis.device.technician_id, now_s - 1)
    async with transaction(engine, firm.organisation_id) as connection:
        await put_off(connection, listed, now_s, None)
    await sweep(engine, bus, now_s)
    assert [event.kind for event in await events(firm, job_id)].count("delayed") == 1


async def test_a_promise_broken_by_a_silent_phone_is_told_once(
    journey: Journey, firm: Firm, clock: SetClock, engine: AsyncEngine, bus: Bus
) -> None:
    """The last estimate is from before the silence: it is no new promise, and nobody is told every five seconds."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    taps = [phone.tap(firm.now_s, TapKind.shift_start), phone.tap(firm.now_s + 1, TapKind.en_route, job_id)]
    clock.now_s = firm.now_s + 11
    await journey.accept(phone.delivery(clock.now_s, [phone.fix(clock.now_s - 1, 3000.0)], taps))
    assert (await job_row(firm, job_id)).eta_likely is not None
    for n in range(20):
        await sweep(engine, bus, firm.now_s + 7200 + 601 + 5 * n)
    assert [event.kind for event in await events(firm, job_id)].count("delayed") == 1


async def test_who_moves_up_by_a_reassignment_is_told(firm: Firm) -> None:
    """The first technician's second customer is next now; the new technician's first customer already was."""
    ana, luis = await firm.phone("Ana"), await firm.phone("Luis")
    theirs = await firm.job(luis.device.technician_id)
    given, second = [await firm.job(ana.device.technician_id) for _ in range(2)]
    await firm.assign(given, luis.device.technician_id, firm.now_s + 5)
    kinds = {job_id: [event.kind for event in await events(firm, job_id)] for job_id in (theirs, given, second)}
    assert "next_up" in kinds[second]
    assert "next_up" not in kinds[theirs] + kinds[given]
    moved_up = next(event for event in await events(firm, second) if event.kind == "next_up")
    assert moved_up.evidence["cause"] == "dispatcher"


async def test_a_visit_is_called_to_mind_once_a_day_before(firm: Firm, engine: AsyncEngine) -> None:
    """Who booked days ahead is reminded 24 hours before the window, once; who booked for tomorrow is not."""
    day = 86_400.0
    window = (firm.now_s + 3 * day, firm.now_s + 3 * day + 7200)
    job_id = await book(firm, window=window)
    await book(firm, window=(firm.now_s + day, firm.now_s + day + 7200))
    for now_s in (firm.now_s, window[0] - day - 1, window[0] - day, window[0] - day + 5, window[0]):
        await remind(engine, now_s)
    told = [row for row in await rows(firm, "message") if row.kind == "reminder"]
    assert [(row.job_id, row.occasion, row.owed_at.timestamp()) for row in told] == [(job_id, 1, window[0] - day)]


async def test_a_visit_that_will_not_be_is_not_called_to_mind(firm: Firm, engine: AsyncEngine) -> None:
    """Cancelled in between, or with a firm that sends no reminders."""
    window = (firm.now_s + 3 * 86_400, firm.now_s + 3 * 86_400 + 7200)
    job_id = await book(firm, window=window)
    async with transaction(engine, firm.organisation_id) as connection:
        await connection.execute(job.update().where(job.c.id == job_id).values(state="cancelled"))
    await tune(firm, reminder_lead_h=0)
    await book(firm, window=window)
    assert await remind(engine, window[0]) == 1
    assert await remind(engine, window[0]) == 0
    assert {row.kind for row in await rows(firm, "message")} == {"booked"}


async def test_a_promise_made_while_the_old_one_is_called_to_mind_keeps_its_reminder(
    firm: Firm, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new time of the reminder, written meanwhile, is not cleared with the old one."""
    window = (firm.now_s + 3 * 86_400, firm.now_s + 3 * 86_400 + 7200)
    job_id = await book(firm, window=window)
    owe = outcome.owe

    async def promised_anew(*everything: Any) -> None:
        async with transaction(engine, firm.organisation_id) as connection:
            await set_reminder(connection, firm.organisation_id, job_id, window[0] + 86_400)
        await owe(*everything)

    monkeypatch.setattr(outcome, "owe", promised_anew)
    await remind(engine, window[0] - 86_400)
    assert (await job_row(firm, job_id)).remind_at.timestamp() == window[0] + 86_400


async def test_a_reminder_that_fails_costs_no_other_firm(
    firm: Firm, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One firm's fails: it is put off, the other firm's reminder is owed."""
    other = await Firm.create(engine, firm.now_s, "Another firm")
    window = (firm.now_s + 3 * 86_400, firm.now_s + 3 * 86_400 + 7200)
    for one in (firm, other):
        await book(one, window=window)
    owe = outcome.owe

    async def owe_others(connection: AsyncConnection, organisation_id: UUID, *rest: Any) -> None:
        if organisation_id == firm.organisation_id:
            raise ValueError("nobody can read this")
        await owe(connection, organisation_id, *rest)

    monkeypatch.setattr(outcome, "owe", owe_others)
    await remind(engine, window[0] - 86_400)
    assert [row.kind for row in await rows(other, "message")] == ["booked", "reminder"]
    assert [row.kind for row in await rows(firm, "message")] == ["booked"]
    (late,) = await rows(firm, "job")
    assert late.remind_at.timestamp() == window[0] - 86_400 + PUT_OFF_S
