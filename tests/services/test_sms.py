"""Short messages: who gets one instead of a mail, what limits them, STOP, receipts; through a gateway over HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx
import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook
from starlette.applications import Starlette

from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone
from tests.support.gateway import Gateway, Mood, gateway
from tests.support.mail import MailSink, mail_sink
from tests.support.rows import count, rows
from tests.support.telling import EMAIL, PHONE, book, change, send_owed, standings, tune
from tracking_server.domain.events import TapKind
from tracking_server.domain.sms import parts as parts_of
from tracking_server.embedded import Installation
from tracking_server.journey import Journey
from tracking_server.links import request_new_link
from tracking_server.notify.callbacks import Callbacks
from tracking_server.notify.channels import channels_from
from tracking_server.notify.sender import MAYBE_TWICE, OVERTAKEN, Later, Parts, send_message
from tracking_server.organisation_settings import OrganisationSettings, read_settings
from tracking_server.settings import Settings
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.messages import failed_messages, lock_contact, retry_message
from tracking_server.store.schema import job, organisation
from tracking_server.sweep import sweep
from tracking_server.view_files import ViewFiles
from tracking_server.words import VIEW

SECRET = "whsec_" + base64.b64encode(b"an inbound secret of 32 bytes...").decode()


@pytest.fixture
async def sms() -> AsyncIterator[Gateway]:
    async with gateway(well_behaved=True) as one:
        yield one


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as sink:
        yield sink


def settings_for(sms: Gateway, sink: MailSink, servers: Installation, database: str, kind: str) -> Settings:
    more = {"database_url": servers.app_url(database), "redis_url": servers.redis_url, "sms_inbound_secret": SECRET}
    return sink.settings(**sms.environment(kind), **more)


@pytest.fixture
def settings(sms: Gateway, sink: MailSink, servers: Installation, database: str) -> Settings:
    return settings_for(sms, sink, servers, database, "http")


@pytest.fixture
def parts(firm: Firm, clock: SetClock, settings: Settings) -> Parts:
    return Parts(firm.engine, clock, settings, channels_from(settings, clock))


@pytest.fixture
def twilio(firm: Firm, clock: SetClock, sms: Gateway, sink: MailSink, servers: Installation, database: str) -> Parts:
    settings = settings_for(sms, sink, servers, database, "twilio")
    return Parts(firm.engine, clock, settings, channels_from(settings, clock))


def client_of(parts: Parts) -> httpx.AsyncClient:
    """Somebody who calls back."""
    routes = Callbacks(parts.engine, parts.clock, parts.settings, ViewFiles(VIEW)).routes()
    transport = httpx.ASGITransport(Starlette(routes=routes))
    return httpx.AsyncClient(transport=transport, base_url="https://doorstep.example")


async def test_who_has_a_phone_is_told_by_sms(firm: Firm, parts: Parts, sms: Gateway, sink: MailSink) -> None:
    """One SMS and no mail: whose it is first, the link last, under the message's id."""
    await book(firm)
    await send_owed(parts, firm)
    (taken,) = sms.taken
    (row,) = await rows(firm, "message")
    assert taken.text.startswith("Ribeira Plumbing: Your visit is booked. ")
    assert taken.text.split()[-1].startswith("https://doorstep.example/t/")
    assert parts_of(taken.text) <= 2
    assert (taken.to, taken.key, taken.authorization) == (PHONE, str(row.id), "Bearer a token")
    assert await standings(firm) == {"booked sms": ("sent", "accepted")}
    assert sink.mails == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"phone": None}, {"booked email": ("sent", "accepted")}),
        ({"sms_allowed": False}, {"booked email": ("sent", "accepted")}),
        ({"phone": None, "email": None}, {"booked none": ("skipped", "no_recipient")}),
        ({"messages_allowed": False}, {"booked none": ("skipped", "not_allowed")}),
        ({"sms_allowed": False, "email_allowed": False}, {"booked none": ("skipped", "no_recipient")}),
    ],
)
async def test_each_contact_is_told_by_the_first_way_that_reaches_them(
    firm: Firm, parts: Parts, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Consent counts for each channel; whom no way reaches is on record as not told."""
    await book(firm, **values)
    await send_owed(parts, firm)
    assert await standings(firm) == expected


@pytest.mark.parametrize(
    ("phone", "reason"),
    [
        ("+447400123456", "country_not_allowed"),
        ("+351760123456", "bad_number"),
        ("+351800123456", "bad_number"),
        ("+1;rm", "bad_number"),
        ("912345678", "bad_number"),
    ],
)
async def test_a_number_that_costs_goes_by_mail(
    firm: Firm, parts: Parts, sms: Gateway, phone: str, reason: str
) -> None:
    """Foreign prefixes, premium numbers and what is none get no SMS; the mail goes."""
    await book(firm, phone=phone)
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked sms": ("skipped", reason), "booked email": ("sent", "accepted")}
    assert sms.taken == []


async def test_a_firm_names_the_countries_it_serves(firm: Firm, parts: Parts, sms: Gateway) -> None:
    """With GB among them, a British number is as good as one at home."""
    await tune(firm, sms_countries=["PT", "GB"])
    await book(firm, phone="+447400123456")
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked sms": ("sent", "accepted")}


async def test_what_a_gateway_refuses_goes_by_mail_once(
    firm: Firm, twilio: Parts, sms: Gateway, sink: MailSink
) -> None:
    """The mail is owed in the transaction that notes the refusal; the refusal's code is on record."""
    sms.moods = [Mood.refuse]
    await book(firm)
    await send_owed(twilio, firm)
    await send_owed(twilio, firm)
    assert await standings(firm) == {"booked sms": ("failed", "refused_21211"), "booked email": ("sent", "accepted")}
    assert len(sink.mails) == 1
    async with transaction(firm.engine, firm.organisation_id) as connection:
        (failed,) = await failed_messages(connection, firm.organisation_id)
    assert (failed["channel"], failed["reason"]) == ("sms", "refused_21211")


async def test_a_gateway_that_stays_away_is_passed_by(
    firm: Firm, clock: SetClock, parts: Parts, sms: Gateway, sink: MailSink
) -> None:
    """A booking waits for it an hour, then goes by mail; never by both while one still waits."""
    sms.misbehaviour = {Mood.error: 100}
    await book(firm)
    while (await standings(firm))["booked sms"][0] == "owed":
        (waits,) = await send_owed(parts, firm) or [None]
        if waits is not None:
            assert sink.mails == []
            clock.now_s += waits.wait_s
    assert 1800 < clock.now_s - firm.now_s <= 3600
    assert await standings(firm) == {
        "booked sms": ("failed", "went another way: gateway_500"),
        "booked email": ("sent", "accepted"),
    }


async def test_without_another_way_it_is_tried_to_the_end(
    firm: Firm, clock: SetClock, parts: Parts, sms: Gateway
) -> None:
    """45 hours of tries, then the message has failed and says why; somebody may ask for another go."""
    sms.misbehaviour = {Mood.error: 100}
    await book(firm, email=None, window=(firm.now_s + 200 * 3600, firm.now_s + 201 * 3600))
    while waits := await send_owed(parts, firm):
        clock.now_s += waits[0].wait_s
    assert await standings(firm) == {"booked sms": ("failed", "gave_up: gateway_500")}
    assert sms.asked == 16
    sms.misbehaviour = {}
    (row,) = await rows(firm, "message")
    async with transaction(firm.engine, firm.organisation_id) as connection:
        assert await retry_message(connection, firm.organisation_id, row.id, clock.now_s)
        assert not await retry_message(connection, firm.organisation_id, row.id, clock.now_s)
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked sms": ("sent", "accepted")}
    assert sms.taken[0].key == f"{row.id}.1"


async def test_a_gateway_that_asks_for_time_gets_it(firm: Firm, parts: Parts, sms: Gateway) -> None:
    """429 with Retry-After 30: not before 30 s, and the message says what it waits for."""
    sms.moods = [Mood.busy]
    await book(firm)
    (waits,) = await send_owed(parts, firm)
    assert waits.wait_s == 30
    (row,) = await rows(firm, "message")
    assert (row.state, row.waits_for, row.tries, row.draft) == ("owed", "gateway_429", 1, None)


async def test_twilio_is_asked_in_its_own_way(firm: Firm, twilio: Parts, sms: Gateway) -> None:
    """A form with the account's sign-in, and where to send the receipt."""
    await book(firm)
    await send_owed(twilio, firm)
    (taken,) = sms.taken
    (row,) = await rows(firm, "message")
    assert taken.authorization == "AC1:a token"
    assert taken.body["From"] == "+351910000000"
    reference = f"{firm.organisation_id.hex}.{row.id.hex}.0"
    assert taken.body["StatusCallback"] == f"https://doorstep.example/hooks/sms/twilio?message={reference}"


async def test_where_no_key_is_taken_a_possible_repetition_is_on_record(
    firm: Firm, twilio: Parts, sms: Gateway
) -> None:
    """Twilio took it and the connection dropped: it is sent again, word for word, and the record says so."""
    sms.moods = [Mood.drop]
    await book(firm)
    await send_owed(twilio, firm)
    await send_owed(twilio, firm)
    assert await standings(firm) == {"booked sms": ("sent", MAYBE_TWICE)}
    assert len({taken.text for taken in sms.taken}) == 1
    assert len(sms.taken) == 2


async def test_a_firm_s_own_number_is_the_sender(firm: Firm, parts: Parts, sms: Gateway) -> None:
    """Where a firm has one; else the installation's."""
    await change(firm, organisation, sms_from="+351910000001")
    await book(firm)
    await send_owed(parts, firm)
    assert sms.taken[0].body["from"] == "+351910000001"


# ---- limits ----


class Visit:
    """A technician whose taps the journey hears."""

    def __init__(self, journey: Journey, clock: SetClock, phone: Phone, job_id: Any) -> None:
        self.journey, self.clock, self.phone, self.job_id = journey, clock, phone, job_id

    async def tap(self, *kinds: TapKind) -> None:
        for kind in kinds:
            self.clock.now_s += 1
            job_id = None if kind is TapKind.shift_start else self.job_id
            taps = [self.phone.tap(self.clock.now_s, kind, job_id)]
            await self.journey.accept(self.phone.delivery(self.clock.now_s, taps=taps))


@pytest.fixture
async def visit(journey: Journey, firm: Firm, clock: SetClock) -> Visit:
    phone = await firm.phone("Ana Sousa")
    return Visit(journey, clock, phone, await book(firm, phone.device.technician_id))


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


# ---- quiet hours ----

LISBON = ZoneInfo("Europe/Lisbon")
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


async def at_night(visit: Visit, firm: Firm, clock: SetClock, parts: Parts) -> None:
    """Quiet hours begin in this very minute, and Ana sets off."""
    await send_owed(parts, firm)
    local = datetime.fromtimestamp(clock.now_s, LISBON)
    begin, end = local.strftime("%H:%M"), (local + timedelta(minutes=40)).strftime("%H:%M")
    await tune(firm, quiet_from=begin, quiet_to=end)
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    await send_owed(parts, firm)


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


# ---- what comes back ----


def signed(parts: Parts, url: str, fields: dict[str, str]) -> dict[str, str]:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.digest(parts.settings.sms_token.get_secret_value().encode(), text.encode(), hashlib.sha1)
    return {
        "x-twilio-signature": base64.b64encode(digest).decode(),
        "content-type": "application/x-www-form-urlencoded",
    }


async def call(parts: Parts, path: str, fields: dict[str, str], **headers: str) -> int:
    """Twilio calls, correctly signed unless a header says otherwise."""
    async with client_of(parts) as client:
        right = signed(parts, f"https://doorstep.example{path}", fields)
        answer = await client.post(path, content=urlencode(fields), headers=right | headers)
    return answer.status_code


def said(text: str, sid: str = "SM1") -> dict[str, str]:
    return {"From": PHONE, "To": "+351910000000", "Body": text, "MessageSid": sid}


@pytest.mark.parametrize("word", ["STOP", " stop. ", "Unsubscribe!", "หยุด", "إيقاف", "الغاء"])
async def test_stop_stops_at_once_and_start_starts(firm: Firm, twilio: Parts, sms: Gateway, word: str) -> None:
    """In three languages, for everything that is owed; no mail goes instead, for no means no."""
    await book(firm)
    assert await call(twilio, "/hooks/sms/twilio", said(word)) == 200
    await send_owed(twilio, firm)
    assert await standings(firm) == {"booked sms": ("skipped", "opted_out")}
    assert await call(twilio, "/hooks/sms/twilio", said("START", "SM2")) == 200
    await book(firm)
    await send_owed(twilio, firm)
    assert [row.state for row in await rows(firm, "message") if row.state != "skipped"] == ["sent"]


async def test_stop_holds_for_the_number_s_other_firms_and_no_others(firm: Firm, twilio: Parts, sms: Gateway) -> None:
    """All who send from the number that was answered; a firm with a number of its own was not answered."""
    shares = await Firm.create(firm.engine, firm.now_s, "Shares the number")
    own = await Firm.create(firm.engine, firm.now_s, "Has its own")
    await change(own, organisation, sms_from="+351910000009")
    await call(twilio, "/hooks/sms/twilio", said("STOP"))
    assert [await count(one, "opt_out") for one in (firm, shares, own)] == [1, 1, 0]
    await call(twilio, "/hooks/sms/twilio", said("STOP", "SM2") | {"To": "+351910000009"})
    assert await count(own, "opt_out") == 1


@pytest.mark.parametrize("sms_from", ["+351 910 000 000", "351910000000", "+351910000000", "62226"])
async def test_stop_is_heard_however_numbers_are_written(firm: Firm, parts: Parts, sms_from: str) -> None:
    """Gateways leave out the plus or write 00, and a setting has spaces in it; a short code is as it is."""
    settings = parts.settings.model_copy(update={"sms_from": sms_from})
    to = "62226" if sms_from == "62226" else "00351910000000"
    stop = STOP | {"from": PHONE.removeprefix("+"), "to": to}
    async with client_of(replace(parts, settings=settings)) as client:
        assert (await client.post("/hooks/sms/inbound", **letter("message.received", stop))).status_code == 200
    assert [row.recipient for row in await rows(firm, "opt_out")] == [PHONE]


async def test_what_is_no_stop_changes_nothing(firm: Firm, twilio: Parts) -> None:
    """A customer's sentence that has the word in it, an empty one, and a sender that is no number."""
    for n, text in enumerate(("Please stop at the gate", "", "stop the leak")):
        assert await call(twilio, "/hooks/sms/twilio", said(text, f"SM{n}")) == 200
    assert await call(twilio, "/hooks/sms/twilio", said("STOP") | {"From": "Ribeira"}) == 200
    assert await count(firm, "opt_out") == 0


async def test_a_replayed_start_does_not_undo_a_stop(firm: Firm, twilio: Parts) -> None:
    """Twilio's signature has no time in it: what was heard once is not heard again."""
    for text, sid in (("START", "SM1"), ("STOP", "SM2"), ("START", "SM1")):
        assert await call(twilio, "/hooks/sms/twilio", said(text, sid)) == 200
    assert await count(firm, "opt_out") == 1


async def test_a_forged_callback_is_refused(firm: Firm, twilio: Parts, parts: Parts) -> None:
    """A wrong signature, none, one of another URL, and Twilio's where no Twilio is configured."""
    fields = said("STOP")
    assert await call(twilio, "/hooks/sms/twilio", fields, **{"x-twilio-signature": "AAAA"}) == 403
    assert await call(twilio, "/hooks/sms/twilio", fields, **{"x-twilio-signature": ""}) == 403
    other = signed(twilio, "https://doorstep.example/hooks/sms/twilio", fields)
    assert await call(twilio, "/hooks/sms/twilio?message=x", fields, **other) == 403
    assert await call(parts, "/hooks/sms/twilio", fields) == 403
    assert await count(firm, "opt_out") == 0


async def test_a_receipt_counts_once(firm: Firm, twilio: Parts, sms: Gateway, sink: MailSink) -> None:
    """Undelivered: the message has failed after all and goes by mail, once, however often and late we are told."""
    await book(firm)
    await send_owed(twilio, firm)
    path = sms.taken[0].body["StatusCallback"].removeprefix("https://doorstep.example")
    forged = {"MessageStatus": "undelivered", "ErrorCode": "30006"}
    assert await call(twilio, path, forged, **{"x-twilio-signature": "AAAA"}) == 403
    assert await standings(firm) == {"booked sms": ("sent", "accepted")}
    for status in ("sent", "undelivered", "undelivered", "delivered"):
        assert await call(twilio, path, {"MessageStatus": status, "ErrorCode": "30006"}) == 200
    await send_owed(twilio, firm)
    assert await standings(firm) == {
        "booked sms": ("failed", "undelivered_30006"),
        "booked email": ("sent", "accepted"),
    }
    assert len(sink.mails) == 1


async def test_the_first_final_receipt_counts(firm: Firm, twilio: Parts, sms: Gateway, sink: MailSink) -> None:
    """Delivered, and later "failed" for the same message: it was delivered."""
    await book(firm)
    await send_owed(twilio, firm)
    path = sms.taken[0].body["StatusCallback"].removeprefix("https://doorstep.example")
    for status in ("delivered", "failed"):
        assert await call(twilio, path, {"MessageStatus": status}) == 200
    await send_owed(twilio, firm)
    assert await standings(firm) == {"booked sms": ("sent", "accepted")}
    assert sink.mails == []


async def test_a_receipt_settles_what_ended_in_the_dark(firm: Firm, twilio: Parts, sms: Gateway) -> None:
    """The gateway took it, the connection dropped, the receipt came: it is not sent a second time."""
    sms.moods = [Mood.drop]
    await book(firm)
    await send_owed(twilio, firm)
    path = sms.taken[0].body["StatusCallback"].removeprefix("https://doorstep.example")
    assert await call(twilio, path, {"MessageStatus": "delivered"}) == 200
    await send_owed(twilio, firm)
    assert await standings(firm) == {"booked sms": ("sent", "delivered")}
    assert len(sms.taken) == 1


async def test_a_provider_s_own_stop_list_is_ours(firm: Firm, twilio: Parts, sms: Gateway, sink: MailSink) -> None:
    """21610: they told Twilio to stop. It is kept, and nothing goes by mail instead."""
    sms.moods, sms.refuse_code = [Mood.refuse], 21610
    await book(firm)
    await send_owed(twilio, firm)
    await book(firm)
    await send_owed(twilio, firm)
    assert sorted(row.reason for row in await rows(firm, "message")) == ["opted_out", "refused_21610"]
    assert sink.mails == []


def letter(kind: str, data: dict[str, str], *, age_s: float = 0, callback_id: str = "cb1", secret: str = SECRET) -> Any:
    body = json.dumps({"type": kind, "data": data})
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    headers = {
        "webhook-id": callback_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(callback_id, at, body),
    }
    return {"content": body, "headers": headers}


STOP = {"from": PHONE, "to": "+351910000000", "text": "STOP", "network": "whatever else a gateway says"}
OTHER = "whsec_" + base64.b64encode(b"somebody else's secret of 32 b..").decode()


async def test_the_plain_gateway_brings_the_same(firm: Firm, parts: Parts, sms: Gateway) -> None:
    """STOP, and receipts by the reference that we gave; twice is once."""
    await book(firm)
    await send_owed(parts, firm)
    reference = {"reference": sms.taken[0].body["reference"], "code": "absent"}
    async with client_of(parts) as client:
        for _ in range(2):
            answer = await client.post("/hooks/sms/inbound", **letter("message.undelivered", reference))
            assert answer.status_code == 200
        assert (await standings(firm))["booked sms"] == ("failed", "undelivered_absent")
        assert (await client.post("/hooks/sms/inbound", **letter("message.received", STOP))).status_code == 200
        assert (await client.post("/hooks/sms/inbound", **letter("message.lost", STOP))).status_code == 422
    assert await count(firm, "opt_out") == 1


@pytest.mark.parametrize(
    "forgery",
    [{"age_s": 360}, {"age_s": -360}, {"secret": OTHER}, {"headers": {}}, {"headers": {"webhook-signature": "v1,x,y"}}],
)
async def test_what_is_stale_or_forged_is_not_heard(firm: Firm, parts: Parts, forgery: dict[str, Any]) -> None:
    """A captured callback six minutes later, one from the future, another's signature, none, and nonsense."""
    headers = forgery.pop("headers", None)
    sent = letter("message.received", STOP, **forgery)
    if headers is not None:
        sent["headers"] = {**(sent["headers"] if headers else {}), **headers}
    async with client_of(parts) as client:
        assert (await client.post("/hooks/sms/inbound", **sent)).status_code == 403
    assert await count(firm, "opt_out") == 0


async def test_a_mail_program_unsubscribes_with_one_click(firm: Firm, parts: Parts, sink: MailSink) -> None:
    """RFC 8058: POST stops the firm's mails, GET only asks, and there is a way back. Links outlive their job here."""
    await book(firm, phone=None)
    await send_owed(parts, firm)
    (mail,) = sink.mails
    url = mail["list-unsubscribe"].strip("<>")
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    async with client_of(parts) as client:
        asked = await client.get(url)
        assert "Stop e-mails from Ribeira Plumbing?" in asked.text
        assert await count(firm, "opt_out") == 0
        done = await client.post(url, data={"List-Unsubscribe": "One-Click"})
        assert done.status_code == 200
        assert "sends you no more e-mails" in done.text
        await book(firm, phone=None, email=EMAIL.upper())
        await send_owed(parts, firm)
        assert [row.reason for row in await rows(firm, "message") if row.state == "skipped"] == ["opted_out"]
        await client.post(url, data={"again": "1"})
        assert await count(firm, "opt_out") == 0
        assert (await client.post("/u/" + "x" * 60)).status_code == 410
    assert len(sink.mails) == 1


# ---- whose words ----


async def test_a_firm_s_own_words_are_used_and_broken_ones_are_not(
    firm: Firm, parts: Parts, sms: Gateway, sink: MailSink
) -> None:
    """The log says that the firm's template was not used, and why; the customer gets the usual words."""
    own = {"booked": {"en": {"sms": "We come on {{ day }} for {{ title }}.", "subject": "Hello from {{ nobody }}"}}}
    await tune(firm, templates=own)
    await book(firm)
    await book(firm, phone=None)
    await send_owed(parts, firm)
    assert sms.taken[0].text.startswith("Ribeira Plumbing: We come on ")
    assert " for Leaking tap. https://" in sms.taken[0].text
    assert sink.mails[0]["subject"] == "Your visit is booked"
    standing = await standings(firm)
    assert standing["booked sms"] == ("sent", "accepted")
    said = standing["booked email"][1]
    assert said is not None
    assert said.startswith("accepted; the firm's subject was not used: there is no fact nobody")


async def test_settings_that_cannot_be_read_stop_no_message(firm: Firm, parts: Parts, sms: Gateway) -> None:
    """A hand-made mistake in the store costs its own setting only."""
    assert read_settings([1]) == read_settings({"quiet_to": "noon", "sms_countries": ["pt"]}) == OrganisationSettings()
    await tune(firm, sms_per_job="many", channels=["pigeon"], templates={"booked": {"en": {"sms": 7}}})
    await book(firm, language="xx")
    await send_owed(parts, firm)
    assert len(sms.taken) == 1


async def test_nothing_is_sent_twice_by_two_who_try(firm: Firm, parts: Parts, sms: Gateway) -> None:
    """A message settled is left alone."""
    await book(firm)
    await send_owed(parts, firm)
    (row,) = await rows(firm, "message")
    await send_message(parts, firm.organisation_id, row.id)
    assert len(sms.taken) == 1


async def test_two_workers_at_once_ask_the_gateway_once(firm: Firm, twilio: Parts, sms: Gateway) -> None:
    """A worker taken for dead is not: whoever comes second to the try leaves it, and looks again later."""
    await book(firm)
    (row,) = await rows(firm, "message")
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await lock_contact(connection, firm.organisation_id, row.job_id, row.contact_id)
        tries = [asyncio.create_task(send_message(twilio, firm.organisation_id, row.id)) for _ in range(2)]
        waiting = sa.text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        end_s = time.monotonic() + 15
        while await connection.scalar(waiting) != len(tries):  # both have read it and found nothing against it
            assert time.monotonic() < end_s
            await asyncio.sleep(0.01)
    came = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(map(str, came)) == ["None", OVERTAKEN]
    assert len(sms.taken) == 1
    assert await count(firm, "link") == 1
    assert await standings(firm) == {"booked sms": ("sent", "accepted")}


# ---- what is told again, and what is taken back ----


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
