"""Messages owed become mails, once, or say why they did not: against the real store and a real SMTP server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone, drive_north_to_door
from tests.support.mail import MailSink, mail_sink
from tests.support.rows import count, rows
from tracking_server.dispatch.jobs import NewJob, NotFound, assign_job, create_job
from tracking_server.domain.events import TapKind
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.message import Standing
from tracking_server.embedded import Installation, drop_database
from tracking_server.journey import Journey
from tracking_server.links import open_link
from tracking_server.notify.channels import channels_from
from tracking_server.notify.sender import MOST_TRIES, Later, Parts, TooEarly, send_message, settle, wait_s
from tracking_server.notify.worker import run_worker
from tracking_server.settings import Settings
from tracking_server.store import people
from tracking_server.store.engine import transaction
from tracking_server.store.schema import contact, message

HOME = (-8.6109, 41.1496)


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as sink:
        yield sink


@pytest.fixture
def settings(servers: Installation, database: str, sink: MailSink) -> Settings:
    return sink.settings(database_url=servers.app_url(database), redis_url=servers.redis_url)


@pytest.fixture
def parts(firm: Firm, clock: SetClock, settings: Settings) -> Parts:
    return Parts(firm.engine, clock, settings, channels_from(settings, clock))


async def book(firm: Firm, technician_id: UUID, *languages: str) -> UUID:
    """A job for a customer with a contact for each language, assigned."""
    organisation_id, now_s = firm.organisation_id, firm.now_s
    async with transaction(firm.engine, organisation_id) as connection:
        customer_id, _ = await people.insert_customer(
            connection,
            organisation_id,
            name="Maria Lopes",
            email=f"{languages[0]}@example.com",
            phone=None,
            language=languages[0],
            now_s=now_s,
        )
        others = [
            {
                "organisation_id": organisation_id,
                "id": uuid4(),
                "customer_id": customer_id,
                "name": "Rui Lopes",
                "email": f"{language}@example.com",
                "language": language,
            }
            for language in languages[1:]
        ]
        if others:
            await connection.execute(contact.insert(), others)
        window = (now_s + 3600, now_s + 7200)
        new = NewJob(customer_id, "Leaking tap", "Rua das Flores 1", "Europe/Lisbon", Geofence(*HOME), window)
        job = await create_job(connection, organisation_id, new, actor="test", now_s=now_s)
        await assign_job(connection, organisation_id, job.id, technician_id, actor="test", now_s=now_s)
    return job.id


async def send_owed(parts: Parts, firm: Firm) -> None:
    """Send everything owed, in the order in which it came to be owed."""
    for row in sorted(await rows(firm, "message"), key=lambda row: row.owed_at):
        if row.state == "owed":
            await send_message(parts, firm.organisation_id, row.id)


async def standings(firm: Firm) -> dict[str, tuple[str, str | None]]:
    """By kind (and occasion, from the second on): what became of it, and why."""
    return {
        row.kind + (f" {row.occasion}" if row.occasion > 1 else ""): (row.state, row.reason)
        for row in await rows(firm, "message")
    }


async def only_message(firm: Firm) -> sa.Row[Any]:
    (row,) = await rows(firm, "message")
    return row


async def change(firm: Firm, table: sa.Table, **values: object) -> None:
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await connection.execute(table.update().values(**values))


class Visit:
    """A technician on the way to one job, heard of by the journey."""

    def __init__(self, journey: Journey, clock: SetClock, phone: Phone, job_id: UUID) -> None:
        self.journey, self.clock, self.phone, self.job_id = journey, clock, phone, job_id

    async def tap(self, *kinds: TapKind) -> None:
        taps = []
        for kind in kinds:
            self.clock.now_s += 1
            job_id = None if kind is TapKind.shift_start else self.job_id
            taps.append(self.phone.tap(self.clock.now_s, kind, job_id))
        await self.journey.accept(self.phone.delivery(self.clock.now_s, taps=taps))


@pytest.fixture
async def visit(journey: Journey, firm: Firm, clock: SetClock) -> Visit:
    phone = await firm.phone("Ana Sousa")
    return Visit(journey, clock, phone, await book(firm, phone.device.technician_id, "en"))


async def test_each_contact_is_told_each_step_once_in_their_language(
    journey: Journey, firm: Firm, clock: SetClock, parts: Parts, sink: MailSink
) -> None:
    """Booked, on the way, arriving, arrived: one mail each in English, Thai and Arabic, however often it is tried."""
    phone = await firm.phone("Ana Sousa")
    visit = Visit(journey, clock, phone, await book(firm, phone.device.technician_id, "en", "th", "ar"))
    await send_owed(parts, firm)
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    await send_owed(parts, firm)
    drive = drive_north_to_door(phone, clock.now_s + 1, from_m=4000)
    moving = [fix for fix in drive if fix.speed_mps]
    for fixes in (moving, drive[len(moving) :]):
        clock.now_s = fixes[-1].time_s + 1
        await journey.accept(phone.delivery(clock.now_s, fixes))
        await send_owed(parts, firm)

    subjects = {
        language: [mail["subject"] for mail in sink.mails if mail["to"] == f"{language}@example.com"]
        for language in ("en", "th", "ar")
    }
    assert subjects == {
        "en": [
            "Your visit is booked",
            "Ana is on the way to you",
            "Ana is arriving now",
            "Ana is at your door",
        ],
        "th": ["นัดหมายของคุณได้รับการจองแล้ว", "Ana กำลังเดินทางมาหาคุณ", "Ana กำลังจะถึงแล้ว", "Ana ถึงแล้ว"],
        "ar": ["تم حجز زيارتك", "Ana في الطريق إليك", "Ana على وشك الوصول", "Ana عند بابك"],
    }
    for row in await rows(firm, "message"):
        assert (row.state, row.reason) == ("sent", "accepted")
        await send_message(parts, firm.organisation_id, row.id)
    assert len(sink.mails) == 12
    assert len({mail["message-id"] for mail in sink.mails}) == 12
    assert all(mail["content-language"] == str(mail["to"])[:2] for mail in sink.mails)
    assert {str(mail["from"]) for mail in sink.mails} == {"Ribeira Plumbing <visits@doorstep.example>"}


async def test_the_last_line_of_a_mail_opens_the_page(firm: Firm, visit: Visit, parts: Parts, sink: MailSink) -> None:
    """Each mail carries a link of its contact's own."""
    await send_owed(parts, firm)
    (mail,) = sink.mails
    link = mail.get_content().splitlines()[-1]
    assert link.startswith("https://doorstep.example/t/")
    found = await open_link(firm.engine, link.rpartition("/")[2], firm.now_s)
    assert found is not None
    assert found.job_id == visit.job_id


async def test_what_came_too_late_says_so(firm: Firm, visit: Visit, clock: SetClock, parts: Parts) -> None:
    """ "On the way" is not sent sixteen minutes later; the booking still is."""
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    clock.now_s += 16 * 60
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked": ("sent", "accepted"), "on_the_way": ("skipped", "expired")}


async def test_a_step_that_another_has_overtaken_is_not_told(
    firm: Firm, visit: Visit, parts: Parts, sink: MailSink
) -> None:
    """Set off and arrived before anything was sent: only the arrival is told."""
    await send_owed(parts, firm)
    await visit.tap(TapKind.shift_start, TapKind.en_route, TapKind.arrived)
    await send_owed(parts, firm)
    standing = await standings(firm)
    assert standing["on_the_way"] == ("skipped", "moved_on")
    assert standing["arrived"] == ("sent", "accepted")
    assert len(sink.mails) == 2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"messages_allowed": False}, "not_allowed"),
        ({"email": "new@example.com"}, "recipient_changed"),
        ({"email": None}, "no_recipient"),
    ],
)
async def test_the_contact_as_they_are_now_decides(
    firm: Firm, visit: Visit, parts: Parts, sink: MailSink, values: dict[str, object], reason: str
) -> None:
    """Consent withdrawn or an address changed after the message was owed: nothing goes to the old one."""
    await change(firm, contact, **values)
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked": ("skipped", reason)}
    assert sink.mails == []
    assert await count(firm, "link") == 0


async def test_without_a_mail_server_messages_are_skipped(firm: Firm, visit: Visit, parts: Parts) -> None:
    """An installation that cannot send says so instead of trying for days."""
    await send_owed(replace(parts, channels={}), firm)
    assert await standings(firm) == {"booked": ("skipped", "no_mail_server")}


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_busy_server_is_tried_again(firm: Firm, visit: Visit, parts: Parts, sink: MailSink, verb: str) -> None:
    """451 leaves the message owed; the next try sends it, once."""
    sink.answers[verb] = "451 4.3.0 later, maria@example.com"
    with pytest.raises(Later, match="not_now_451"):
        await send_owed(parts, firm)
    assert await standings(firm) == {"booked": ("owed", None)}
    sink.answers.clear()
    await send_owed(parts, firm)
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked": ("sent", "accepted")}
    assert len(sink.mails) == 1


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_refusal_is_final(firm: Firm, visit: Visit, parts: Parts, sink: MailSink, verb: str) -> None:
    """550 settles the message as failed, with the code and nobody's address."""
    sink.answers[verb] = "550 5.1.1 no such user en@example.com"
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked": ("failed", "refused_550")}


async def test_an_address_that_is_none_fails_without_asking_the_server(
    firm: Firm, visit: Visit, parts: Parts, sink: MailSink
) -> None:
    """Nothing can be smuggled into a header or an envelope by way of an address."""
    evil = "a@example.com\r\nBcc: everybody@example.com"
    await change(firm, contact, email=evil)
    await change(firm, message, recipient=evil)
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked": ("failed", "bad_address")}
    assert sink.envelopes == []


async def test_nobody_s_name_becomes_a_header(
    journey: Journey, firm: Firm, clock: SetClock, parts: Parts, sink: MailSink
) -> None:
    """Line breaks in names become spaces, in headers and in the text."""
    phone = await firm.phone("Ana\r\nBcc:everybody@example.com")
    visit = Visit(journey, clock, phone, await book(firm, phone.device.technician_id, "en"))
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await connection.execute(sa.text("UPDATE organisation SET name = E'Ribeira\\r\\nBcc: \"x\" <y@example.com>'"))
    await send_owed(parts, firm)
    for mail in sink.mails:
        assert mail["bcc"] is None
        assert "\nBcc" not in mail.get_content()
        assert mail["from"].addresses[0].addr_spec == "visits@doorstep.example"
    assert set(sink.envelopes) == {"RCPT TO:<en@example.com>"}


async def test_a_mail_of_unknown_fate_goes_again_under_the_same_id(
    firm: Firm, visit: Visit, parts: Parts, sink: MailSink
) -> None:
    """The server took the mail and fell silent: it may get it twice, but as one mail, the same word for word."""
    sink.drop_after_data = True
    with pytest.raises(Later, match="no_connection"):
        await send_owed(parts, firm)
    sink.drop_after_data = False
    await send_owed(parts, firm)
    assert len(sink.mails) == 2
    assert len({mail["message-id"] for mail in sink.mails}) == 1
    assert len({mail.get_content() for mail in sink.mails}) == 1
    assert await count(firm, "link") == 1
    assert (await only_message(firm)).draft is None


async def test_after_the_last_try_the_message_has_failed(
    firm: Firm, visit: Visit, parts: Parts, sink: MailSink
) -> None:
    """The message says that we gave up, and on what."""
    sink.answers["RCPT"] = "451 later"
    for _ in range(MOST_TRIES - 1):
        with pytest.raises(Later, match="not_now_451"):
            await send_owed(parts, firm)
    await send_owed(parts, firm)
    assert await standings(firm) == {"booked": ("failed", "gave_up: not_now_451")}


async def test_an_undone_arrival_is_corrected_and_the_true_one_told(
    firm: Firm, visit: Visit, clock: SetClock, parts: Parts, sink: MailSink
) -> None:
    """The correction says plainly that the earlier message was wrong; the second arrival is a message of its own."""
    await visit.tap(TapKind.shift_start, TapKind.en_route, TapKind.arrived)
    await send_owed(parts, firm)
    await visit.tap(TapKind.undo)
    await send_owed(parts, firm)
    correction = sink.mails[-1]
    assert correction["subject"] == "Correction: your technician has not arrived yet"
    assert "was wrong" in correction.get_content()
    clock.now_s += 120
    await visit.tap(TapKind.arrived)
    await send_owed(parts, firm)
    assert sink.mails[-1]["subject"] == "Ana is at your door"
    standing = await standings(firm)
    assert [standing[kind] for kind in ("arrived", "correction", "arrived 2")] == [("sent", "accepted")] * 3


async def test_what_nobody_was_told_is_not_corrected(firm: Firm, visit: Visit, parts: Parts, sink: MailSink) -> None:
    """An arrival undone before it was told is neither told nor corrected."""
    await visit.tap(TapKind.shift_start, TapKind.en_route, TapKind.arrived)
    await visit.tap(TapKind.undo)
    owed = {row.kind: row.id for row in await rows(firm, "message")}
    with pytest.raises(TooEarly):
        await send_message(parts, firm.organisation_id, owed["correction"])
    await send_owed(parts, firm)
    standing = await standings(firm)
    assert standing["arrived"] == ("skipped", "taken_back")
    assert standing["correction"] == ("skipped", "nothing_to_correct")
    assert "Correction" not in " ".join(mail["subject"] for mail in sink.mails)


async def test_a_job_rolled_back_owes_nothing(firm: Firm, parts: Parts) -> None:
    """The message and its place in the queue go with their transaction."""
    phone = await firm.phone()
    with pytest.raises(NotFound):
        await book(firm, uuid4(), "en")  # for a technician who is not there: booked, then rolled back
    assert await count(firm, "message") == 0
    assert await jobs_queued(firm) == []
    await book(firm, phone.device.technician_id, "en")
    assert len(await jobs_queued(firm)) == await count(firm, "message") == 1
    await send_message(parts, firm.organisation_id, uuid4())  # an id that never was troubles nobody


async def test_a_settled_message_stays_as_it_was_settled(firm: Firm, visit: Visit, parts: Parts) -> None:
    """Who comes second changes nothing."""
    row = await only_message(firm)
    await settle(parts, firm.organisation_id, row.id, Standing.sent, "accepted")
    await settle(parts, firm.organisation_id, row.id, Standing.failed, "late")
    assert await standings(firm) == {"booked": ("sent", "accepted")}


def test_waits_grow_from_seconds_to_a_day() -> None:
    """A hiccup costs seconds; a night without a mail server costs no message."""
    waits = [wait_s(failures) for failures in range(MOST_TRIES - 1)]
    assert waits[:4] == [5, 10, 20, 40]
    assert 40 < sum(waits) / 3600 < 50
    assert wait_s(1000) == 86_400


async def jobs_queued(firm: Firm) -> list[tuple[str, int]]:
    """State and attempts of every job of the queue."""
    async with firm.engine.begin() as connection:
        found = await connection.execute(sa.text("SELECT status::text, attempts FROM procrastinate_jobs ORDER BY id"))
        return [(status, attempts) for status, attempts in found]


async def until(firm: Firm, wanted: dict[str, tuple[str, str | None]], within_s: float = 15.0) -> None:
    end_s = time.monotonic() + within_s
    while await standings(firm) != wanted:
        assert time.monotonic() < end_s, await standings(firm)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def working(settings: Settings, clock: SetClock) -> AsyncIterator[asyncio.Task[None]]:
    """A worker that runs until the block ends."""
    running = asyncio.create_task(run_worker(settings, clock))
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_worker_sends_what_is_queued(
    settings: Settings, firm: Firm, visit: Visit, clock: SetClock, sink: MailSink
) -> None:
    """What was owed before it started and what comes meanwhile; its jobs leave the queue."""
    async with working(settings, clock):
        await until(firm, {"booked": ("sent", "accepted")})
        await visit.tap(TapKind.shift_start, TapKind.en_route)
        await until(firm, {"booked": ("sent", "accepted"), "on_the_way": ("sent", "accepted")}, within_s=4)
    assert len(sink.mails) == 2
    assert await jobs_queued(firm) == []


async def test_the_worker_tries_again_later(
    settings: Settings, firm: Firm, visit: Visit, clock: SetClock, sink: MailSink
) -> None:
    """A message that a busy server turned away waits in the queue for its next try."""
    sink.answers["RCPT"] = "451 later"
    async with working(settings, clock):
        end_s = time.monotonic() + 10
        while await jobs_queued(firm) != [("todo", 1)]:
            assert time.monotonic() < end_s, await jobs_queued(firm)
            await asyncio.sleep(0.05)
    assert await standings(firm) == {"booked": ("owed", None)}
    async with firm.engine.begin() as connection:
        waits = await connection.scalar(sa.text("SELECT scheduled_at > now() FROM procrastinate_jobs"))
    assert waits


async def test_the_worker_takes_up_what_a_killed_one_began(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, firm: Firm, visit: Visit, clock: SetClock
) -> None:
    """A job whose worker has no heartbeat any more is done by another."""
    monkeypatch.setattr("tracking_server.notify.worker.FASTEST_HEARTBEAT_S", 0.1)
    monkeypatch.setattr("tracking_server.notify.worker.HEARTBEAT_S", 0.2)
    async with firm.engine.begin() as connection:
        await connection.execute(
            sa.text("WITH gone AS (INSERT INTO procrastinate_workers (last_heartbeat) "
                    "VALUES (now() - interval '31 s') RETURNING id) "
                    "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM gone)")
        )  # fmt: skip
    async with working(settings, clock):
        await until(firm, {"booked": ("sent", "accepted")})


async def test_the_worker_outlives_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, firm: Firm, visit: Visit, clock: SetClock
) -> None:
    """All its connections are cut: it opens new ones and goes on."""
    monkeypatch.setattr("tracking_server.notify.worker.RECONNECT_S", 0.1)
    async with working(settings, clock) as running:
        await until(firm, {"booked": ("sent", "accepted")})
        async with firm.engine.begin() as connection:
            await connection.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()")
            )  # fmt: skip
        await visit.tap(TapKind.shift_start, TapKind.en_route)
        await until(firm, {"booked": ("sent", "accepted"), "on_the_way": ("sent", "accepted")})
        assert not running.done()


async def test_a_worker_whose_database_is_gone_stops_when_told(
    servers: Installation, database: str, settings: Settings, firm: Firm, visit: Visit, clock: SetClock
) -> None:
    """It keeps trying, and a single cancel still ends it soon."""
    async with working(settings, clock) as running:
        await until(firm, {"booked": ("sent", "accepted")})
        await asyncio.to_thread(drop_database, servers, database)
        await asyncio.sleep(0.5)
        assert not running.done()
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=12)
        assert done
