"""What limits short messages: each recipient, each day, the night."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.gateway import Gateway
from tests.support.mail import MailSink
from tests.support.rows import rows
from tests.support.sms import LISBON, Visit, at_night
from tests.support.telling import book, send_owed, standings, tune
from tracking_server.domain.events import TapKind
from tracking_server.journey import Journey
from tracking_server.notify.sender import Parts


async def test_a_flood_of_taps_is_no_flood_of_messages(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway, sink: MailSink
) -> None:
    """En route and back 100 times: one of a kind in two minutes, the last word is the true one, never more than six."""
    await visit.tap(TapKind.shift_start)
    for _ in range(100):
        await visit.tap(TapKind.en_route)
        await send_owed(parts, firm)
        await visit.tap(TapKind.undo)
        clock.now_s += 4
    await visit.tap(TapKind.en_route)
    clock.now_s += 120
    await send_owed(parts, firm)
    assert len(sms.taken) + len(sink.mails) <= 1 + (clock.now_s - firm.now_s) / 120 + 1
    assert len(sms.taken) <= 6
    drives = [row for row in await rows(firm, "message") if row.kind == "on_the_way" and row.state == "sent"]
    assert max(row.occasion for row in drives) == 101
    tried = sorted(row.tried_at.timestamp() for row in drives)
    assert all(later - earlier >= 120 for earlier, later in pairwise(tried))
    assert not [row for row in await rows(firm, "message") if row.state == "owed"]


async def test_the_seventh_sms_of_a_job_is_a_mail(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway, sink: MailSink
) -> None:
    """Six for each recipient of a job; the rest costs nothing."""
    await tune(firm, sms_per_job=2)
    await send_owed(parts, firm)
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    await send_owed(parts, firm)
    await visit.tap(TapKind.arrived)
    await send_owed(parts, firm)
    standing = await standings(firm)
    assert standing["arrived sms"] == ("skipped", "job_limit")
    assert standing["arrived email"] == ("sent", "accepted")
    assert len(sms.taken) == 2


async def test_a_firm_s_day_has_a_limit(firm: Firm, clock: SetClock, parts: Parts, sms: Gateway) -> None:
    """What goes beyond it within 24 hours goes by mail; the next day there is room again."""
    await tune(firm, sms_per_day=2)
    for n in range(3):
        await book(firm, phone=f"+35191234567{n}")
    await send_owed(parts, firm)
    assert len(sms.taken) == 2
    assert sorted((row.channel, row.reason) for row in await rows(firm, "message"))[0] == ("email", "accepted")
    clock.now_s += 86_401
    await book(firm, now_s=clock.now_s)
    await send_owed(parts, firm)
    assert len(sms.taken) == 3


NIGHTS = [
    pytest.param(datetime(2027, 1, 15, 22, tzinfo=LISBON), 10, id="a winter's night"),
    pytest.param(datetime(2027, 3, 27, 22, tzinfo=LISBON), 9, id="the clock goes forward"),
    pytest.param(datetime(2027, 10, 30, 22, tzinfo=LISBON), 11, id="the clock goes back"),
]


@pytest.mark.parametrize(("evening", "hours"), NIGHTS)
async def test_what_can_wait_waits_for_the_morning(
    firm: Firm, clock: SetClock, parts: Parts, sms: Gateway, evening: datetime, hours: int
) -> None:
    """Booked at ten in the evening: told at eight in the customer's morning, also when the clock changes meanwhile."""
    await tune(firm, quiet_from="21:00", quiet_to="08:00")
    clock.now_s = evening.timestamp()
    await book(firm, now_s=clock.now_s, window=(clock.now_s + 40 * 3600, clock.now_s + 42 * 3600))
    (waits,) = await send_owed(parts, firm)
    assert waits.wait_s == hours * 3600
    assert sms.asked == 0
    clock.now_s += waits.wait_s - 1
    assert [str(later) for later in await send_owed(parts, firm)] == ["quiet_hours"]
    clock.now_s += 1
    assert await send_owed(parts, firm) == []
    assert await standings(firm) == {"booked sms": ("sent", "accepted")}
    morning = datetime.fromtimestamp(clock.now_s, LISBON)
    assert (morning.hour, morning.minute, morning.date()) == (8, 0, evening.date() + timedelta(days=1))


async def test_a_late_visit_does_not_ring_in_the_night(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway
) -> None:
    """The promised window touches no quiet hour: "on the way" goes by mail, which does not ring."""
    await at_night(visit, firm, clock, parts)
    standing = await standings(firm)
    assert standing["on_the_way sms"] == ("skipped", "quiet_hours")
    assert standing["on_the_way email"] == ("sent", "accepted")
    assert len(sms.taken) == 1


async def test_a_correction_does_not_wait_for_the_morning(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway, sink: MailSink
) -> None:
    """Told at the door just before the quiet hours, and undone within them: the correction goes by mail at once."""
    await visit.tap(TapKind.shift_start, TapKind.en_route, TapKind.arrived)
    await send_owed(parts, firm)
    local = datetime.fromtimestamp(clock.now_s, LISBON)
    await tune(firm, quiet_from=f"{local:%H:%M}", quiet_to=f"{local + timedelta(minutes=40):%H:%M}")
    await visit.tap(TapKind.undo)
    assert await send_owed(parts, firm) == []
    assert (await standings(firm))["correction sms"] == ("skipped", "quiet_hours")
    assert [mail["subject"] for mail in sink.mails] == ["Correction: your technician has not arrived yet"]


async def test_who_books_for_tonight_is_told_tonight(firm: Firm, clock: SetClock, parts: Parts, sms: Gateway) -> None:
    """At ten in the evening for eleven: in the morning the visit is over."""
    await tune(firm, quiet_from="21:00", quiet_to="08:00")
    clock.now_s = datetime(2027, 1, 15, 22, tzinfo=LISBON).timestamp()
    await book(firm, now_s=clock.now_s, window=(clock.now_s + 3600, clock.now_s + 7200))
    assert await send_owed(parts, firm) == []
    assert await standings(firm) == {"booked sms": ("sent", "accepted")}


async def test_a_visit_promised_for_the_night_is_told_at_night(
    journey: Journey, firm: Firm, clock: SetClock, parts: Parts, sms: Gateway
) -> None:
    """The customer agreed to a time within the quiet hours: they are awake for it."""
    phone = await firm.phone("Ana Sousa")
    window = (firm.now_s + 600, firm.now_s + 7200)
    job_id = await book(firm, phone.device.technician_id, window=window)
    await at_night(Visit(journey, clock, phone, job_id), firm, clock, parts)
    assert (await standings(firm))["on_the_way sms"] == ("sent", "accepted")
    assert len(sms.taken) == 2
