"""Attacks on the board's routes, named by their ids."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from starlette.routing import Route

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.rows import job_row, rows
from tests.support.staff import Browser, begin_session, hire
from tracking_server.app import HotPaths
from tracking_server.domain.note import Author, Note, NoteKind
from tracking_server.domain.role import Role
from tracking_server.store.engine import transaction
from tracking_server.store.notes import insert_note
from tracking_server.store.proofs import NewFile, insert_file
from tracking_server.store.schema import attachment, contact, message

TABLES = ("job", "technician", "device", "pairing_code", "link", "staff", "invite", "note", "message")
OWN_ACCOUNT = ("/board/account/everywhere", "/board/account/password", "/board/account/language", "/board/sign-out")


@dataclass
class Things:
    """One of everything that a path can name."""

    job_id: UUID
    technician_id: UUID
    staff_id: UUID
    note_id: UUID
    message_id: UUID
    contact_id: UUID
    proof_id: UUID

    def fill(self, path: str) -> str:
        """A path that names them."""
        item = self.message_id if "/messages/" in path else self.note_id
        for name, thing in (
            ("job_id", self.job_id),
            ("technician_id", self.technician_id),
            ("staff_id", self.staff_id),
            ("item_id", item),
            ("proof_id", self.proof_id),
        ):
            path = path.replace(f"{{{name}:uuid}}", str(thing))
        return path

    @property
    def form(self) -> dict[str, str]:
        """Fields that name them, and what could be made of them."""
        return {
            "technician": str(self.technician_id),
            "contact": str(self.contact_id),
            "organisation_id": str(uuid4()),
            "role": "owner",
            "state": "completed",
            "language": "th",
        }


NOTHING = Things(*(uuid4() for _ in range(7)))


async def things_of(firm: Firm) -> Things:
    phone = await firm.phone()
    job_id = await firm.job()
    note = Note(uuid4(), job_id, NoteKind.note, Author.customer, None, "hello", firm.now_s)
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await insert_note(connection, firm.organisation_id, note)
        await connection.execute(message.update().values(state="failed"))
        message_id = await connection.scalar(sa.select(message.c.id))
        contact_id = await connection.scalar(sa.select(contact.c.id))
    staff = await hire(firm, Role.viewer, email=f"{uuid4().hex}@x.example")
    async with transaction(firm.engine, firm.organisation_id) as connection:
        proof_id = uuid4()
        new = NewFile(proof_id, job_id, "photo", "image/jpeg", 1, b"", firm.now_s, shown=True)
        await insert_file(connection, phone.device, new, 1, firm.now_s)
        await connection.execute(attachment.update().values(verdict=None))
    return Things(job_id, phone.device.technician_id, staff.id, note.id, message_id, contact_id, proof_id)


async def everything(firm: Firm) -> list[str]:
    """What the firm has, row by row, without what every request leaves behind."""
    return [str(row) for table in TABLES for row in await rows(firm, table)]


def unsafe_paths(app: HotPaths) -> list[str]:
    found = [
        route.path
        for route in app.rest.routes
        if isinstance(route, Route) and route.path.startswith("/board") and "POST" in (route.methods or ())
    ]
    assert len(found) > 15
    return found


@pytest.mark.parametrize("role", list(Role))
async def test_a07_another_firm_s_things_are_no_things(
    app: HotPaths, browser: Browser, firm: Firm, clock: SetClock, role: Role
) -> None:
    """For every role and route: what is another firm's answers byte for byte as what does not exist, and stays as it
    was."""
    other = await Firm.create(firm.engine, firm.now_s, "Another firm")
    foreign = await things_of(other)
    browser.wear(await begin_session(firm.engine, await hire(firm, role), clock.now_s))
    before = await everything(other)
    for path in unsafe_paths(app):
        if "uuid}" not in path:
            continue
        answers = []
        for things in (foreign, NOTHING):
            answer = await browser.post(things.fill(path), **things.form)
            answers.append((answer.status_code, answer.content))
        assert answers[0] == answers[1], path
        assert answers[0][0] in (403, 404), path
    pages = [await browser.get(f"/board?job={things.job_id}") for things in (foreign, NOTHING)]
    assert [page.status_code for page in pages] == [404, 404]
    assert pages[0].text.replace(str(foreign.job_id), "") == pages[1].text.replace(str(NOTHING.job_id), "")
    assert await everything(other) == before


async def test_a07_a_foreign_technician_gets_no_job(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """Own job, another firm's technician: 404 as for one that does not exist; another job's contact likewise."""
    other = await Firm.create(firm.engine, firm.now_s, "Another firm")
    own, foreign = await things_of(firm), await things_of(other)
    browser.wear(await begin_session(firm.engine, await hire(firm), clock.now_s))
    for wrong in (str(foreign.technician_id), str(uuid4()), "", "' OR 1=1 --"):
        assert (await browser.post(f"/board/jobs/{own.job_id}/assign", technician=wrong)).status_code == 404
        assert (await browser.post(f"/board/jobs/{own.job_id}/link", contact=wrong)).status_code == 404
    assert (await browser.post(f"/board/jobs/{own.job_id}/link", contact=str(foreign.contact_id))).status_code == 404
    assert (await job_row(firm, own.job_id)).technician_id is None


async def test_a08_a_viewer_changes_nothing(app: HotPaths, browser: Browser, firm: Firm, clock: SetClock) -> None:
    """Every writing route but those of one's own account is 403, and the firm is as it was."""
    things = await things_of(firm)
    viewer = await hire(firm, Role.viewer)
    before = await everything(firm)
    for path in unsafe_paths(app):
        if path in OWN_ACCOUNT or "{token}" in path or path == "/board/sign-in":
            continue
        browser.wear(await begin_session(firm.engine, viewer, clock.now_s))
        assert (await browser.post(things.fill(path), **things.form)).status_code == 403, path
    assert await everything(firm) == before
    for path in ("/board/staff", "/board/jobs/new"):
        assert (await browser.get(path)).status_code == 403


async def test_a09_no_field_goes_where_no_form_has_it(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """Organisation, state, role, number and times in every body are as if they were not there."""
    other = await Firm.create(firm.engine, firm.now_s, "Another firm")
    browser.wear(await begin_session(firm.engine, await hire(firm), clock.now_s))
    extra = {
        "organisation_id": str(other.organisation_id),
        "organisation": "Taken over",
        "state": "completed",
        "role": "owner",
        "id": str(uuid4()),
        "number": "7",
        "created_at": "1999-01-01",
        "version": "99",
    }
    form = {"customer": "Maria", "title": "Tap", "lat": "41.1", "lon": "-8.6", **extra}
    assert (await browser.post("/board/jobs/new", **form)).status_code == 303
    assert (await browser.post("/board/technicians", name="Ana", **extra)).status_code == 303
    assert (await browser.post("/board/account/language", language="th", **extra)).status_code == 303
    (job,) = await rows(firm, "job")
    assert (job.organisation_id, job.state, job.number) == (firm.organisation_id, "draft", 1001)
    assert {row.role for row in await rows(firm, "staff")} == {"dispatcher"}
    assert await rows(other, "job") == await rows(other, "technician") == []


ODD = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "</textarea><svg/onload=alert(1)>",
    "{{7*7}}",
    "{% for x in ().__class__.__base__.__subclasses__() %}x{% endfor %}",
    "%(name)s %s",
    "${7*7}",
    "javascript:alert(1)",
    "' OR '1'='1' --",
    "1; DROP TABLE job; --",
    "\u202egnp.exe",
    "é" + "\u0301" * 50,
    "👩‍🔧",
    "a\r\nSet-Cookie: board=x",
]


async def test_a33_a35_a57_what_is_typed_stays_text(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """In every field and search: shown as it was typed, never as markup, template, header or SQL."""
    browser.wear(await begin_session(firm.engine, await hire(firm, Role.owner), clock.now_s))
    for odd in ODD:
        form = {"customer": odd, "title": odd, "address": odd, "lat": "41.1", "lon": "-8.6"}
        made = await browser.post("/board/jobs/new", **form)
        assert made.status_code == 303
        for field in ("phone", "email"):
            assert (await browser.post("/board/jobs/new", **form, **{field: odd})).status_code == 422
        technician = await browser.post("/board/technicians", name=odd, vehicle=odd, plate=odd, trade=odd)
        assert technician.status_code == 303
        for page in (
            await browser.get(made.headers["location"]),
            await browser.get("/board/technicians"),
            await browser.get("/board", params={"q": odd, "day": odd, "job": odd, "lang": odd}),
            await browser.post("/board/sign-in", email=odd, password=odd),
        ):
            assert page.status_code in (200, 401, 429), odd
            assert not re.search(r"<script>|<img|<svg|onerror=[^&]*>|\bdata-49\b", page.text), odd
            assert ">49<" not in page.text
            assert "set-cookie" not in page.headers
    assert "DROP TABLE job" in (await browser.get("/board")).text


async def test_a57_numbers_out_of_range_are_told(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """No number, date or id that a form can hold is a 5xx."""
    job_id = await firm.job()
    phone = await firm.phone()
    browser.wear(await begin_session(firm.engine, await hire(firm), clock.now_s))
    for odd in ("-1", "1e400", "NaN", "99999999999999999999", "٣", "0x10", "", " ", "1" * 5000):
        path = f"/board/jobs/{job_id}/assign"
        technician = str(phone.device.technician_id)
        answer = await browser.post(path, technician=technician, assignment=odd)
        assert answer.status_code in (303, 409), odd
        form = {"customer": "M", "title": "T", "lat": odd[:20], "lon": odd[:20], "begins": odd[:30], "ends": odd[:30]}
        assert (await browser.post("/board/jobs/new", **form)).status_code in (303, 422), odd
    for day in ("0001-01-01", "9999-12-31", "2026-13-45", "-1"):
        assert (await browser.get(f"/board?day={day}")).status_code == 200


async def test_a61_many_dispatchers_have_one_winner(browser: Browser, firm: Firm, clock: SetClock) -> None:
    """Twelve at once, each with another technician, and one who cancels: one wins, the others read who it was."""
    phones = [await firm.phone(f"Technician {n}") for n in range(12)]
    browser.wear(await begin_session(firm.engine, await hire(firm), clock.now_s))
    for _ in range(5):
        job_id = await firm.job()
        path = f"/board/jobs/{job_id}"
        answers = await asyncio.gather(
            *(
                browser.post(f"{path}/assign", technician=str(phone.device.technician_id), assignment="0")
                for phone in phones
            )
        )
        assert sorted(answer.status_code for answer in answers) == [303] + [409] * 11
        job = await job_row(firm, job_id)
        winner = next(n for n, phone in enumerate(phones) if phone.device.technician_id == job.technician_id)
        assert answers[winner].status_code == 303
        assert all(f"Technician {winner}" in answer.text for answer in answers if answer.status_code == 409)

        answers = await asyncio.gather(
            browser.post(f"{path}/assign", technician=str(phones[winner - 1].device.technician_id), assignment="1"),
            browser.post(f"{path}/cancel", reason="Storm"),
        )
        assert 303 in {answer.status_code for answer in answers} <= {303, 409}
