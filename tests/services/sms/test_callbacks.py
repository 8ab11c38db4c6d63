"""What comes back: STOP and START, receipts, one click, and what is forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from standardwebhooks import Webhook

from tests.support.firm import Firm
from tests.support.gateway import Gateway, Mood
from tests.support.mail import MailSink
from tests.support.rows import count, rows
from tests.support.sms import SECRET, client_of
from tests.support.telling import EMAIL, PHONE, book, change, send_owed, standings
from tracking_server.notify.sender import Parts
from tracking_server.store.schema import organisation


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
