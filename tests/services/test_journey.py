"""The path of fixes against the real store."""

from __future__ import annotations

import pytest

from tests.support.clocks import SetClock
from tests.support.firm import Firm, drive_north_to_door
from tests.support.rows import count, events, job_row
from tracking_server.domain.events import TapKind
from tracking_server.journey import Journey
from tracking_server.store.engine import Unavailable, begin, create_engine


async def test_a_drive_to_the_door_is_stored_and_arrives(journey: Journey, firm: Firm, clock: SetClock) -> None:
    """Shift, en route and fixes in one delivery: every fix stored, the arrival found with its own time."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    start_s = firm.now_s + 10
    taps = [
        phone.tap(start_s - 5, TapKind.shift_start),
        phone.tap(start_s - 4, TapKind.en_route, job_id),
    ]
    fixes = drive_north_to_door(phone, start_s)
    clock.now_s = fixes[-1].time_s + 1
    answer = await journey.accept(phone.delivery(clock.now_s, fixes, taps))

    assert answer.ack == ((1, len(fixes) + 2),)
    assert answer.verdicts == {}
    assert await count(firm, "fix") == len(fixes)
    job = await job_row(firm, job_id)
    assert job.state == "arrived"
    standing_s = next(fix.time_s for fix in fixes if fix.speed_mps == 0)
    assert abs(job.arrived_at.timestamp() - standing_s) <= 10
    assert [event.kind for event in await events(firm, job_id)] == [
        "scheduled",
        "assigned",
        "en_route",
        "arriving",
        "arrived",
    ]


async def test_the_same_delivery_again_changes_nothing(journey: Journey, firm: Firm, clock: SetClock) -> None:
    """A retry is acknowledged as before, stores nothing and arrives once."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    taps = [phone.tap(firm.now_s, TapKind.shift_start)]
    fixes = drive_north_to_door(phone, firm.now_s + 1)
    clock.now_s = fixes[-1].time_s + 1
    delivery = phone.delivery(clock.now_s, fixes, taps)
    first = await journey.accept(delivery)
    second = await journey.accept(delivery)

    assert first == second
    assert await count(firm, "fix") == len(fixes)
    assert [event.kind for event in await events(firm, job_id)].count("arrived") == 1


async def test_who_is_told_that_the_store_is_away_is_not_told_where_it_is() -> None:
    """Its host and port are for the operator's log."""
    engine = create_engine("postgresql+psycopg://doorstep_app@127.0.0.1:1/doorstep")
    with pytest.raises(Unavailable) as told:
        async with begin(engine):
            pass
    assert "127.0.0.1" in told.value.reason
    assert str(told.value) == "the store is not available"
