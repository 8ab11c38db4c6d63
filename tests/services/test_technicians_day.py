"""`GET /v1/jobs`: a technician's own day, what they may know of it, and which notes have reached their phone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa

from tech_app.core.jobs import Proof, Rule, read_jobs
from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone, noon_zone
from tests.support.rows import job_row, rows
from tracking_server.app import create_app
from tracking_server.embedded import Installation
from tracking_server.settings import Settings
from tracking_server.store.engine import to_time, transaction, watching
from tracking_server.store.jobs import open_jobs_marks
from tracking_server.store.schema import contact, job, note, organisation, promise

EXAMPLES = Path(__file__).parents[1] / "contract" / "examples"
DAY_S = 86_400.0


@pytest.fixture
async def client(servers: Installation, database: str, clock: SetClock) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(database_url=servers.app_url(database), redis_url=servers.redis_url)
    transport = httpx.ASGITransport(create_app(settings, clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://doorstep.test") as client:
        yield client


async def fetch(client: httpx.AsyncClient, phone: Phone, tag: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {phone.key}"} | ({"if-none-match": tag} if tag else {})
    return await client.get("/v1/jobs", headers=headers)


async def ids(client: httpx.AsyncClient, phone: Phone) -> list[UUID]:
    return [UUID(job["id"]) for job in (await fetch(client, phone)).json()["jobs"]]


async def change(firm: Firm, statement: sa.Executable) -> None:
    """Behind everybody's back."""
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await connection.execute(statement)


async def write_note(firm: Firm, job_id: UUID, text: str, kind: str = "note", author: str = "customer") -> UUID:
    id_ = uuid4()
    values = {"organisation_id": firm.organisation_id, "id": id_, "job_id": job_id, "kind": kind, "author": author}
    await change(firm, note.insert().values(text=text, made_at=to_time(firm.now_s), **values))
    return id_


def set_job(job_id: UUID, **values: Any) -> sa.Executable:
    return job.update().where(job.c.id == job_id).values(**values)


async def test_the_answer_is_the_contracts(client: httpx.AsyncClient, firm: Firm) -> None:
    """It has the example's fields and no others, and the phone's core reads from it what the store holds."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    await write_note(firm, job_id, "gate code 12", "access")
    await write_note(firm, job_id, "the bell is broken")
    await change(firm, contact.update().values(phone="+351220000001"))
    await change(firm, organisation.update().values(settings={"proof": {"photo": "required", "note": "off"}}))
    await change(firm, set_job(job_id, proof={"signature": "required", "note": "optional", "dance": "required"}))
    answer = await fetch(client, phone)
    (said,) = answer.json()["jobs"]
    example = json.loads((EXAMPLES / "jobs_answer.json").read_text())
    assert set(answer.json()) == set(example)
    assert set(said) == set(example["jobs"][0])
    assert set(said["notes"][0]) == set(example["jobs"][0]["notes"][0])
    (read,) = read_jobs(answer.text)
    assert (read.id, read.summary, read.customer) == (str(job_id), "Leaking tap", "Maria Lopes")
    assert (read.phone, read.access, read.promised) == (
        "+351220000001",
        "gate code 12",
        (firm.now_s + 3600, firm.now_s + 7200),
    )
    assert [one.text for one in read.notes] == ["the bell is broken"]
    assert {proof: read.rule(proof) for proof in Proof} == {
        Proof.photo: Rule.required,
        Proof.signature: Rule.required,
        Proof.note: Rule.optional,
    }


async def test_only_a_technicians_own_jobs(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """Not a colleague's, not another firm's, not one that was given away; no key and a wrong one get nothing."""
    phone, other = await firm.phone(), await firm.phone("Rui Costa")
    own, given = await firm.job(phone.device.technician_id), await firm.job(phone.device.technician_id)
    await firm.job(other.device.technician_id)
    foreign = await Firm.create(firm.engine, now_s, "Another firm")
    await foreign.job((await foreign.phone()).device.technician_id)
    await firm.assign(given, other.device.technician_id, now_s)
    assert await ids(client, phone) == [own]
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": phone.key}):
        refused = await client.get("/v1/jobs", headers=headers)
        assert (refused.status_code, set(refused.json())) == (401, {"error"})


async def test_today_and_tomorrow_are_those_at_the_door(client: httpx.AsyncClient, firm: Firm) -> None:
    """What is open and overdue is of today; the day after tomorrow waits; yesterday's end is over."""
    phone = await firm.phone()
    jobs = [await firm.job(phone.device.technician_id, time_zone=noon_zone(firm.now_s)) for _ in range(5)]
    overdue, tomorrow, later, ended, ended_yesterday = jobs
    for job_id, days in ((overdue, -3), (tomorrow, 1), (later, 2)):
        shift_s = days * DAY_S
        window = {name: to_time(firm.now_s + shift_s + 60 * n) for n, name in enumerate(("earliest", "latest"))}
        await change(firm, promise.update().where(promise.c.job_id == job_id).values(**window))
    done = {"state": "completed", "previous_state": "in_progress"}
    await change(firm, set_job(ended, ended_at=to_time(firm.now_s - 60), **done))
    await change(firm, set_job(ended_yesterday, ended_at=to_time(firm.now_s - DAY_S), **done))
    said = {UUID(one["id"]): one for one in (await fetch(client, phone)).json()["jobs"]}
    assert set(said) == {overdue, tomorrow, ended}
    assert said[overdue]["day"] == said[ended]["day"] < said[tomorrow]["day"]
    assert said[ended]["previous_state"] == "in_progress"


async def test_after_the_visit_there_is_no_way_in_and_no_number(client: httpx.AsyncClient, firm: Firm) -> None:
    """A gate code and a phone number are for as long as the visit lasts."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    await write_note(firm, job_id, "gate code 12", "access")
    await change(firm, contact.update().values(phone="+351220000001"))
    ended = {"state": "completed", "ended_at": to_time(firm.now_s)}
    await change(firm, set_job(job_id, time_zone=noon_zone(firm.now_s), **ended))
    answer = await fetch(client, phone)
    (said,) = answer.json()["jobs"]
    assert (said["phone"], said["access"]) == (None, "")
    assert "gate code" not in answer.text


async def test_nothing_new_is_answered_without_a_body(client: httpx.AsyncClient, firm: Firm, clock: SetClock) -> None:
    """304, a moment later too and through a proxy that made the tag weak; what changed is answered whole."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    tag = (await fetch(client, phone)).headers["etag"]
    clock.now_s += 5
    for known in (tag, f"W/{tag}", f'"x", {tag}'):
        again = await fetch(client, phone, known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await write_note(firm, job_id, "the bell is broken")
    assert (await fetch(client, phone, tag)).status_code == 200
    for nonsense in ('"', ",,,", '"' * 9_000, '"."', "*"):
        assert (await fetch(client, phone, nonsense)).status_code == 200


async def test_a_note_has_reached_the_phone_that_says_so(client: httpx.AsyncClient, firm: Firm) -> None:
    """Sending it is not enough: only the tag of an answer that was stored says that it is there. What was written
    meanwhile is not; and on another technician's phone it is not either."""
    phone, other = await firm.phone(), await firm.phone("Rui Costa")
    job_id = await firm.job(phone.device.technician_id)
    first = await write_note(firm, job_id, "the bell is broken")
    tag = (await fetch(client, phone)).headers["etag"]
    await fetch(client, phone)
    assert await reached(firm) == {}
    second = await write_note(firm, job_id, "ring twice")
    version = (await job_row(firm, job_id)).version
    newer = await fetch(client, phone, tag)
    assert newer.status_code == 200
    assert await reached(firm) == {first: phone.device.technician_id}
    assert (await job_row(firm, job_id)).version == version + 1
    await fetch(client, phone, newer.headers["etag"])
    assert await reached(firm) == dict.fromkeys((first, second), phone.device.technician_id)
    await fetch(client, other, newer.headers["etag"])
    await firm.assign(job_id, other.device.technician_id, firm.now_s)
    await fetch(client, other, '"made up"')
    assert await reached(firm) == dict.fromkeys((first, second), phone.device.technician_id)
    tag = (await fetch(client, other)).headers["etag"]
    await fetch(client, other, tag)
    assert await reached(firm) == dict.fromkeys((first, second), other.device.technician_id)


async def test_what_was_not_sent_has_not_reached_a_phone(client: httpx.AsyncClient, firm: Firm) -> None:
    """The gate code of a visit that is over is in no answer: fetching the list says nothing of it, the customer's page
    neither. What is sent beside it has reached the phone."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id, time_zone=noon_zone(firm.now_s))
    await write_note(firm, job_id, "gate code 12", "access")
    sent = await write_note(firm, job_id, "the bell is broken")
    await change(firm, set_job(job_id, state="completed", ended_at=to_time(firm.now_s)))
    await fetch(client, phone, (await fetch(client, phone)).headers["etag"])
    assert await reached(firm) == {sent: phone.device.technician_id}


async def reached(firm: Firm) -> dict[UUID, UUID]:
    return {row.id: row.reached_by for row in await rows(firm, "note") if row.reached_by is not None}


async def test_a_technicians_own_note_needs_no_reaching(client: httpx.AsyncClient, firm: Firm) -> None:
    """Only what customers wrote is named in the tag."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    await write_note(firm, job_id, "valve behind the fridge", author="technician")
    assert "." not in (await fetch(client, phone)).headers["etag"]


async def test_another_job_is_another_mark(firm: Firm) -> None:
    """One job went and one as often changed came between two looks: what the technician has is not what it was."""
    phone = await firm.phone()
    technician_id = phone.device.technician_id
    gone, came = await firm.job(technician_id), await firm.job()

    async def mark() -> tuple[int, int]:
        async with watching(firm.engine) as store:
            return (await open_jobs_marks(store, [technician_id]))[technician_id]

    before, version = await mark(), (await job_row(firm, gone)).version
    ended = {"state": "completed", "ended_at": to_time(firm.now_s), "version": version + 1}
    await change(firm, set_job(gone, **ended))
    await change(firm, set_job(came, technician_id=technician_id, state="assigned", version=version))
    assert await mark() != before
