"""Who gets a short message instead of a mail, through a gateway over HTTP, and what follows when it fails."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.gateway import Gateway, Mood
from tests.support.mail import MailSink
from tests.support.rows import count, rows
from tests.support.telling import PHONE, book, change, send_owed, standings, tune
from tracking_server.domain.sms import parts as parts_of
from tracking_server.notify.sender import MAYBE_TWICE, OVERTAKEN, Parts, send_message
from tracking_server.organisation_settings import OrganisationSettings, read_settings
from tracking_server.store.engine import transaction
from tracking_server.store.messages import failed_messages, lock_contact, retry_message
from tracking_server.store.schema import organisation


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
