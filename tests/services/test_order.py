"""Whatever order things come in, what happened to a job comes out right and with its own time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.support.clocks import SetClock
from tests.support.firm import Firm, batches, drive_north_to_door, stream_of
from tests.support.rows import count, events, job_row, rows
from tracking_server.domain.events import TapKind
from tracking_server.journey import Journey
from tracking_server.store.engine import transaction

TWO_YEARS_S = 2 * 365 * 86_400


async def test_a_backlog_that_comes_newest_first_arrives_with_its_own_time(
    journey: Journey, firm: Firm, clock: SetClock
) -> None:
    """At the door the phone finds the network again: the newest batch first, then backwards to the oldest."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    start = phone.tap(firm.now_s, TapKind.shift_start)
    drive = drive_north_to_door(phone, firm.now_s + 1)
    clock.now_s = drive[-1].time_s + 1
    await journey.accept(phone.delivery(clock.now_s, taps=[start]))
    for batch in reversed(list(batches(drive, 4))):
        assert (await job_row(firm, job_id)).state == "assigned"
        answer = await journey.accept(phone.delivery(clock.now_s, batch))
        assert answer.ack == ((batch[0].seq, batch[-1].seq),)
        clock.now_s += 2
    job = await job_row(firm, job_id)
    assert job.state == "arrived"
    standing_s = next(fix.time_s for fix in drive if fix.speed_mps == 0)
    assert abs(job.arrived_at.timestamp() - standing_s) <= 15
    (technician,) = await rows(firm, "technician")
    assert technician.position_time.timestamp() == drive[-1].time_s, "the position never went back"


async def test_a_tap_that_comes_after_the_fixes_takes_nothing_back(
    journey: Journey, firm: Firm, clock: SetClock
) -> None:
    """En route, tapped before the drive, delivered after the arrival: kept, said to be too late, arrival untouched."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    start = phone.tap(firm.now_s, TapKind.shift_start)
    late = phone.tap(firm.now_s + 1, TapKind.en_route, job_id)
    drive = drive_north_to_door(phone, firm.now_s + 2)
    clock.now_s = drive[-1].time_s + 1
    await journey.accept(phone.delivery(clock.now_s, drive, [start]))
    clock.now_s += 61
    await journey.accept(phone.delivery(clock.now_s, [phone.fix(clock.now_s - 1)]))
    arrived_at = (await job_row(firm, job_id)).arrived_at
    assert arrived_at is not None

    answer = await journey.accept(phone.delivery(clock.now_s, taps=[late]))
    assert answer.verdicts == {late.seq: "not_now"}
    job = await job_row(firm, job_id)
    assert (job.state, job.arrived_at) == ("arrived", arrived_at)
    assert {(tap.kind, tap.verdict) for tap in await rows(firm, "tap")} == {
        ("shift_start", None),
        ("en_route", "not_now"),
    }


async def test_a_backlog_after_a_reassignment_moves_only_the_new_technicians_job(
    journey: Journey, firm: Firm, clock: SetClock
) -> None:
    """The first technician was there, unheard; meanwhile the job was given away: it stays with the second."""
    ana, luis = await firm.phone("Ana"), await firm.phone("Luis")
    job_id = await firm.job(ana.device.technician_id)
    start = ana.tap(firm.now_s, TapKind.shift_start)
    en_route = ana.tap(firm.now_s + 1, TapKind.en_route, job_id)
    clock.now_s = firm.now_s + 2
    await journey.accept(ana.delivery(clock.now_s, taps=[start, en_route]))
    drive = drive_north_to_door(ana, firm.now_s + 3)
    arrived = ana.tap(drive[-1].time_s, TapKind.arrived, job_id)
    clock.now_s = drive[-1].time_s + 300
    await firm.assign(job_id, luis.device.technician_id, clock.now_s - 60)

    answer = await journey.accept(ana.delivery(clock.now_s, drive, [arrived]))
    assert answer.verdicts == {arrived.seq: "not_yours"}
    assert await count(firm, "fix") == len(drive), "what Ana drove is kept"
    job = await job_row(firm, job_id)
    assert (job.state, job.technician_id, job.arrived_at) == ("assigned", luis.device.technician_id, None)

    start = luis.tap(clock.now_s, TapKind.shift_start)
    drive = drive_north_to_door(luis, clock.now_s + 1)
    clock.now_s = drive[-1].time_s + 1
    await journey.accept(luis.delivery(clock.now_s, drive, [start]))
    assert (await job_row(firm, job_id)).state == "arrived"
    kinds = [event.kind for event in await events(firm, job_id)]
    assert kinds == ["scheduled", "assigned", "en_route", "reassigned", "arrived"]


async def test_what_is_said_of_a_visit_hours_after_its_end_is_heard(
    journey: Journey, firm: Firm, clock: SetClock
) -> None:
    """A note in the evening on the morning's job is kept, and a step that was tapped by mistake can be taken back; what
    a colleague says of it still counts for nothing."""
    ana, luis = await firm.phone("Ana"), await firm.phone("Luis")
    job_id = await firm.job(ana.device.technician_id)
    clock.now_s = firm.now_s + 2
    await journey.accept(ana.delivery(clock.now_s, taps=[ana.tap(firm.now_s + 1, TapKind.done, job_id)]))
    clock.now_s += 5 * 3600
    await journey.accept(ana.delivery(clock.now_s, taps=[ana.tap(clock.now_s - 9, TapKind.shift_start)]))
    foreign = luis.tap(clock.now_s - 3, TapKind.note, job_id, text="not mine")
    answer = await journey.accept(luis.delivery(clock.now_s, taps=[foreign]))
    assert answer.verdicts == {foreign.seq: "not_yours"}
    said = ana.tap(clock.now_s - 2, TapKind.note, job_id, text="the valve needs a new seal")
    answer = await journey.accept(ana.delivery(clock.now_s, taps=[said]))
    assert answer.verdicts == {}
    assert [note.text for note in await rows(firm, "note")] == ["the valve needs a new seal"]
    undo = ana.tap(clock.now_s - 1, TapKind.undo, job_id)
    assert (await journey.accept(ana.delivery(clock.now_s, taps=[undo]))).verdicts == {}
    assert (await job_row(firm, job_id)).state == "assigned"


@pytest.mark.parametrize("wrong_by_s", [TWO_YEARS_S, -TWO_YEARS_S])
async def test_a_clock_two_years_wrong_costs_nothing(
    journey: Journey, firm: Firm, clock: SetClock, wrong_by_s: float
) -> None:
    """Fixes, taps and the day of the stream are two years off: stored once, arrived at the true time."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    phone.stream = stream_of(firm.now_s + wrong_by_s)
    start = phone.tap(firm.now_s, TapKind.shift_start)
    drive = drive_north_to_door(phone, firm.now_s + 1)
    clock.now_s = drive[-1].time_s + 1
    delivery = phone.delivery(
        clock.now_s,
        [fix._replace(time_s=fix.time_s + wrong_by_s) for fix in drive],
        [replace(start, time_s=start.time_s + wrong_by_s)],
        sent_s=clock.now_s + wrong_by_s,
    )
    answer = await journey.accept(delivery)
    assert answer.verdicts == {}
    again = await journey.accept(delivery._replace(received_s=clock.now_s + 5))
    assert again.ack == answer.ack
    assert await count(firm, "fix") == len(drive)
    job = await job_row(firm, job_id)
    assert job.state == "arrived"
    standing_s = next(fix.time_s for fix in drive if fix.speed_mps == 0)
    assert abs(job.arrived_at.timestamp() - standing_s) <= 15


async def test_what_cannot_be_kept_as_a_fix_is_kept_in_quarantine_once(
    journey: Journey, firm: Firm, clock: SetClock
) -> None:
    """Absurd times and places are acknowledged with their verdict, kept as they came, never shown and never doubled."""
    phone = await firm.phone()
    clock.now_s = firm.now_s + 100
    start = phone.tap(firm.now_s, TapKind.shift_start)
    good = phone.fix(firm.now_s + 10)
    future = phone.fix(clock.now_s + 121)
    old = phone.fix(firm.now_s - 31 * 86_400)
    nowhere = phone.fix(firm.now_s + 11)._replace(lon=0.0, lat=0.0)
    beyond = phone.fix(firm.now_s + 12)._replace(lat=90.0001)
    before_shift = phone.fix(firm.now_s - 5)
    delivery = phone.delivery(clock.now_s, [good, future, old, nowhere, beyond, before_shift], [start])
    for _ in range(2):
        answer = await journey.accept(delivery)
        assert answer.ack == ((1, 7),)
        assert answer.verdicts == {
            future.seq: "future",
            old.seq: "too_old",
            nowhere.seq: "bad_coordinates",
            beyond.seq: "bad_coordinates",
            before_shift.seq: "not_on_shift",
        }
    assert await count(firm, "fix") == 1
    assert sorted(row.reason for row in await rows(firm, "quarantine")) == [
        "bad_coordinates",
        "bad_coordinates",
        "future",
        "too_old",
    ]


async def test_a_jump_is_quarantined_in_place_and_a_true_leap_is_cleared(
    journey: Journey, firm: Firm, clock: SetClock
) -> None:
    """500 km away and back: never the position. Away and staying: believed with the next fix."""
    phone = await firm.phone()
    start = phone.tap(firm.now_s, TapKind.shift_start)
    clock.now_s = firm.now_s + 100
    here = [phone.fix(firm.now_s + n, 10.0) for n in (10, 20)]
    jump = phone.fix(firm.now_s + 30, 500_000.0)
    answer = await journey.accept(phone.delivery(clock.now_s, [*here, jump], [start]))
    assert answer.verdicts == {jump.seq: "jump"}
    back = phone.fix(firm.now_s + 40, 12.0)
    assert (await journey.accept(phone.delivery(clock.now_s, [back]))).verdicts == {}
    far = [phone.fix(firm.now_s + n, 500_000.0) for n in (50, 60)]
    assert (await journey.accept(phone.delivery(clock.now_s, far[:1]))).verdicts == {far[0].seq: "jump"}
    assert (await journey.accept(phone.delivery(clock.now_s, far[1:]))).verdicts == {}

    verdicts = {row.seq: row.verdict for row in await rows(firm, "fix")}
    assert {seq for seq, verdict in verdicts.items() if verdict == "jump"} == {jump.seq}
    async with transaction(firm.engine, firm.organisation_id) as connection:
        north = await connection.scalar(sa.text("SELECT ST_Y(position) FROM technician"))
    assert north == pytest.approx(far[1].lat)


async def test_a_drive_that_goes_on_after_an_undone_arrival_can_be_left(
    journey: Journey, firm: Firm, clock: SetClock
) -> None:
    """Back on the way, the technician sets off to another door instead: one drive at a time, and every tap counts."""
    phone = await firm.phone()
    first, second = [await firm.job(phone.device.technician_id) for _ in range(2)]
    now_s = firm.now_s + 100
    clock.now_s = now_s + 10
    kinds = [(TapKind.en_route, first), (TapKind.arrived, first), (TapKind.undo, first), (TapKind.en_route, second)]
    taps = [phone.tap(now_s - 1, TapKind.shift_start)]
    taps += [phone.tap(now_s + n, kind, job_id) for n, (kind, job_id) in enumerate(kinds)]
    answer = await journey.accept(phone.delivery(clock.now_s, taps=taps))
    assert answer.verdicts == {}
    assert ((await job_row(firm, first)).state, (await job_row(firm, second)).state) == ("assigned", "en_route")
