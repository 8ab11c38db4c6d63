"""What is told again, and what is taken back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.gateway import Gateway, Mood
from tests.support.mail import MailSink
from tests.support.rows import rows
from tests.support.sms import Visit
from tests.support.telling import book, change, send_owed, standings, tune
from tracking_server.domain.events import TapKind
from tracking_server.links import request_new_link
from tracking_server.notify.sender import Later, Parts, send_message
from tracking_server.store.engine import to_time
from tracking_server.store.schema import job
from tracking_server.sweep import sweep


async def test_a_correction_follows_the_way_that_got_through(
    firm: Firm, visit: Visit, clock: SetClock, twilio: Parts, sms: Gateway, sink: MailSink
) -> None:
    """The arrival went by mail, as the gateway refused it: its correction is not lost, and the true arrival is told."""
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    await send_owed(twilio, firm)
    sms.moods = [Mood.refuse]
    await visit.tap(TapKind.arrived)
    await send_owed(twilio, firm)
    await visit.tap(TapKind.undo)
    await send_owed(twilio, firm)
    clock.now_s += 120
    await visit.tap(TapKind.arrived)
    await send_owed(twilio, firm)
    standing = await standings(firm)
    assert standing["arrived sms"][0] == "failed"
    assert [standing[kind][0] for kind in ("arrived email", "correction sms", "arrived 2 sms")] == ["sent"] * 3
    correction, arrival = sms.texts()[-2:]
    assert "Correction: your technician has not arrived yet" in correction
    assert "Ana is at your door" in arrival


@pytest.mark.parametrize("channels", [["sms"], ["sms", "email"]])
async def test_an_arrival_told_in_the_dark_is_corrected(
    firm: Firm, visit: Visit, clock: SetClock, twilio: Parts, sms: Gateway, sink: MailSink, channels: list[str]
) -> None:
    """The gateway took it and dropped the connection, and the arrival was undone before the next try, or before the
    mail that went instead: the customer may have read it."""
    await tune(firm, channels=channels)
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    await send_owed(twilio, firm)
    sms.moods = [Mood.drop]
    await visit.tap(TapKind.arrived)
    if "email" in channels:
        clock.now_s += 117  # a live message waits no longer than two minutes for a gateway
    (owed,) = [row.id for row in await rows(firm, "message") if row.kind == "arrived"]
    with contextlib.suppress(Later):
        await send_message(twilio, firm.organisation_id, owed)
    assert "at your door" in sms.texts()[-1]
    await visit.tap(TapKind.undo)
    await send_owed(twilio, firm)
    assert "Correction" in sms.texts()[-1]
    assert sink.mails == []


async def test_a_correction_outlives_a_second_undoing(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway
) -> None:
    """The gateway was busy for the correction, and meanwhile another arrival came and went, untold: what was told
    stands until it is corrected."""
    await visit.tap(TapKind.shift_start, TapKind.en_route, TapKind.arrived)
    await send_owed(parts, firm)
    sms.moods = [Mood.busy]
    await visit.tap(TapKind.undo)
    await send_owed(parts, firm)
    await visit.tap(TapKind.arrived, TapKind.undo)
    clock.now_s += 30
    await send_owed(parts, firm)
    assert "Correction" in sms.texts()[-1]
    assert (await standings(firm))["correction 2 sms"] == ("skipped", "nothing_to_correct")


async def test_a_correction_waits_for_no_cooldown(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway
) -> None:
    """Two minutes lie between two arrivals, but less between their corrections: there are no more than arrivals."""
    await visit.tap(TapKind.shift_start, TapKind.en_route, TapKind.arrived)
    await send_owed(parts, firm)
    clock.now_s += 100
    await visit.tap(TapKind.undo)
    await send_owed(parts, firm)
    clock.now_s += 20
    await visit.tap(TapKind.arrived)
    await send_owed(parts, firm)
    await visit.tap(TapKind.undo)
    assert await send_owed(parts, firm) == []
    assert ["Correction" in text for text in sms.texts()] == [False, True, False, True]


async def test_a_clock_set_back_holds_nothing_back(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway
) -> None:
    """An hour back between two drives: the first is no reason to keep the second until it is no news any more."""
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    await send_owed(parts, firm)
    await visit.tap(TapKind.undo)
    clock.now_s -= 3600
    await visit.tap(TapKind.en_route)
    assert await send_owed(parts, firm) == []
    assert (await standings(firm))["on_the_way 2 sms"] == ("sent", "accepted")


async def test_each_reassignment_and_each_delay_is_told_for_itself(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway, engine: Any, bus: Any
) -> None:
    """A second technician and then a third; a first broken promise and then a second: nothing hides the later one."""
    await tune(firm, sms_per_job=20)
    others = [await firm.phone(name) for name in ("Luis Melo", "Rita Reis")]
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    for phone in others:
        clock.now_s += 130
        await firm.assign(visit.job_id, phone.device.technician_id, clock.now_s)
        other = Visit(visit.journey, clock, phone, visit.job_id)
        await send_owed(parts, firm)
        await other.tap(TapKind.shift_start, TapKind.en_route)
        await send_owed(parts, firm)
    said = [text for text in sms.texts() if "Now coming" in text]
    assert [next(name for name in ("Luis", "Rita") if name in text) for text in said] == ["Luis", "Rita"]
    for minutes in (11, 200):
        clock.now_s += minutes * 60 + 7200
        await promise_anew(firm, visit, clock, engine, bus)
        await send_owed(parts, firm)
    delays = [row for row in await rows(firm, "message") if row.kind == "delayed"]
    assert [(row.occasion, row.state) for row in sorted(delays, key=lambda row: row.occasion)] == [
        (1, "sent"),
        (2, "sent"),
    ]


async def estimate(firm: Firm, from_s: float, to_s: float) -> None:
    """What the road engine made of the last fix."""
    earliest, latest = to_time(from_s), to_time(to_s)
    known = {"eta_earliest": earliest, "eta_likely": latest, "eta_latest": latest, "eta_confidence": 0.8}
    await change(firm, job, **known, eta_made_at=earliest)


async def test_no_message_tells_a_time_that_is_over(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sms: Gateway, engine: Any, bus: Any
) -> None:
    """The phone fell silent and the promise broke, or an arrival was undone: the estimate from before is no news."""
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    await estimate(firm, clock.now_s + 5000, clock.now_s + 5600)
    clock.now_s += 7200 + 700
    await sweep(engine, bus, clock.now_s)
    await send_owed(parts, firm)
    await visit.tap(TapKind.arrived)
    await send_owed(parts, firm)
    await visit.tap(TapKind.undo)
    await send_owed(parts, firm)
    delayed, _, correction = sms.texts()
    assert "The new time will be on the page" in delayed
    assert correction.split(" https")[0].endswith("was wrong. We are sorry.")


async def promise_anew(firm: Firm, visit: Visit, clock: SetClock, engine: Any, bus: Any) -> None:
    """The clock finds the promise broken, and an estimate from the road becomes the next one."""
    await estimate(firm, clock.now_s + 1200, clock.now_s + 2400)
    await sweep(engine, bus, clock.now_s)


async def test_who_asks_for_a_new_link_gets_it_also_at_night(
    firm: Firm, clock: SetClock, parts: Parts, sms: Gateway
) -> None:
    """Only the contact whose old link it was, by their own way, at once; each time they may ask, a link of its own."""
    await send_owed(parts, firm)
    job_id = await book(firm)
    old = await firm.link(job_id)
    await tune(firm, quiet_from="00:00", quiet_to="23:59")
    for _ in range(2):
        assert await request_new_link(firm.engine, old, clock.now_s) is not None
        await send_owed(parts, firm)
        clock.now_s += 86_400
    told = [text for text in sms.texts() if "Here is your new link" in text]
    assert len({text.split()[-1] for text in told}) == 2
    assert [row.channel for row in await rows(firm, "message") if row.kind == "new_link"] == ["sms", "sms"]
