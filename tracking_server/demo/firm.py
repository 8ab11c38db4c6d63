"""The demo's firm as the store knows it: made through the same code as every firm, with times that count from now."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import permutations
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import links, tokens
from tracking_server.accounts.passwords import hash_password
from tracking_server.demo import cast
from tracking_server.demo.cast import Customer, Person
from tracking_server.demo.logo import logo
from tracking_server.demo.portraits import portrait
from tracking_server.demo.ways import Ways
from tracking_server.dispatch.changes import cancel_job
from tracking_server.dispatch.jobs import NewJob, assign_job, create_job
from tracking_server.domain import eta
from tracking_server.domain.geo import distance_m
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.note import Author, Note, NoteKind
from tracking_server.domain.role import Role
from tracking_server.routing.valhalla import LonLat
from tracking_server.store import devices, people
from tracking_server.store.accounts import insert_staff
from tracking_server.store.engine import begin, transaction
from tracking_server.store.notes import insert_note
from tracking_server.store.pictures import Picture, insert_picture
from tracking_server.store.schema import job as job_table
from tracking_server.store.schema import organisation

ACTOR = "demo"
MINUTE_S = 60.0
HOUR_S = 3_600.0
PORTRAITS = "image/webp"
VOWELS, CONSONANTS = "aeiou", "bdfgklmnprstvz"


@dataclass(frozen=True, slots=True)
class Technician:
    """One of the people, with the key of their phone."""

    id: UUID
    person: Person
    key: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A customer's job, where it is, and the token of a link to it."""

    job_id: UUID
    contact_id: UUID
    customer: Customer
    door: LonLat
    token: str


@dataclass(frozen=True, slots=True)
class Firm:
    """The firm, and what its time zone is."""

    organisation_id: UUID
    time_zone: str
    technicians: tuple[Technician, ...]


async def make_firm(engine: AsyncEngine, ways: Ways, time_zone: str, now_s: float) -> Firm:
    """The organisation and its technicians, each with a phone."""
    async with begin(engine) as connection:
        organisation_id = await people.insert_organisation(
            connection,
            name=cast.FIRM,
            time_zone=time_zone,
            language="en",
            office_phone=cast.OFFICE_PHONE,
            now_s=now_s - 400 * 24 * HOUR_S,
        )
        logo_id = await insert_picture(connection, organisation_id, Picture(PORTRAITS, logo(cast.COLOUR)), now_s)
        await people.set_brand(connection, organisation_id, colour=cast.COLOUR, logo_id=logo_id)
        await connection.execute(organisation.update().values(settings=_settings(ways)))
        technicians = [await _technician(connection, organisation_id, person, now_s) for person in cast.PEOPLE]
    return Firm(organisation_id, time_zone, tuple(technicians))


def _settings(ways: Ways) -> dict[str, object]:
    """No quiet hours, whenever the demo runs; and travel times as if the riders had ridden here for long."""
    settings: dict[str, object] = {"quiet_from": "00:00", "quiet_to": "00:00"}
    pairs = permutations(range(len(ways.doors)), 2)
    trips = [(distance_m(*ways.doors[a], *ways.doors[b]), ways.ride_s(a, b)) for a, b in pairs]
    learnt = eta.learn(trips)
    return settings | ({"eta_correction": asdict(learnt)} if learnt else {})


async def _technician(connection: AsyncConnection, organisation_id: UUID, person: Person, now_s: float) -> Technician:
    photo_id = await insert_picture(connection, organisation_id, Picture(PORTRAITS, portrait(person.portrait)), now_s)
    technician_id = await people.insert_technician(
        connection, organisation_id, name=person.name, phone=person.phone, vehicle=person.vehicle, trade=person.trade,
        photo_id=photo_id, now_s=now_s,
    )  # fmt: skip
    key, key_hash = tokens.mint(organisation_id, tokens.Purpose.device)
    await devices.insert_device(
        connection, organisation_id, technician_id, name="demo phone", key_hash=key_hash, now_s=now_s
    )
    return Technician(technician_id, person, key)


async def make_owner(engine: AsyncEngine, organisation_id: UUID, now_s: float) -> str:
    """An owner who can sign in at once; returns their password, which is kept nowhere."""
    name, email = cast.OWNER
    password = "-".join(_spoken() for _ in range(4))
    hashed = await hash_password(password)
    async with transaction(engine, organisation_id) as connection:
        await insert_staff(
            connection, organisation_id, email=email, name=name, role=Role.owner, language="en", password_hash=hashed,
            now_s=now_s,
        )  # fmt: skip
    return password


def _spoken() -> str:
    return "".join(secrets.choice(letters) for letters in (CONSONANTS, VOWELS) * 2)


async def book(
    connection: AsyncConnection,
    firm: Firm,
    customer: Customer,
    door: LonLat,
    technicians: Sequence[Technician],
    promised: tuple[float, float],
    *,
    duration_s: int = 3600,
    booked_s: float,
    assigned_s: float,
) -> Visit:
    """A customer calls and is promised a window; the job goes to the technicians, one after the other."""
    organisation_id = firm.organisation_id
    customer_id, contact_id = await people.insert_customer(
        connection, organisation_id, name=customer.name, email=customer.email, phone=customer.phone,
        language=customer.language, now_s=booked_s,
    )  # fmt: skip
    new = NewJob(
        customer_id, customer.title, "", firm.time_zone, Geofence(*door), promised, duration_s, customer.preparation
    )
    job = await create_job(connection, organisation_id, new, actor=ACTOR, now_s=booked_s)
    for number, technician in enumerate(technicians):
        at_s = assigned_s + number * MINUTE_S
        await assign_job(connection, organisation_id, job.id, technician.id, actor=ACTOR, now_s=at_s)
    token = await links.mint_link(connection, organisation_id, job.id, contact_id, booked_s)
    return Visit(job.id, contact_id, customer, door, token)


async def write_note(engine: AsyncEngine, firm: Firm, visit: Visit, text: str, at_s: float) -> None:
    """A customer's line for the office."""
    async with transaction(engine, firm.organisation_id) as connection:
        note = Note(uuid4(), visit.job_id, NoteKind.note, Author.customer, visit.contact_id, text, at_s)
        await insert_note(connection, firm.organisation_id, note)


async def write_summary(engine: AsyncEngine, firm: Firm, job_id: UUID, summary: str) -> None:
    """What was done, in words for the customer."""
    async with transaction(engine, firm.organisation_id) as connection:
        await connection.execute(
            job_table.update()
            .where(job_table.c.organisation_id == firm.organisation_id, job_table.c.id == job_id)
            .values(summary=summary)
        )


async def call_off(engine: AsyncEngine, firm: Firm, visit: Visit, reason: str, at_s: float) -> None:
    """The firm cannot come."""
    async with transaction(engine, firm.organisation_id) as connection:
        await cancel_job(connection, firm.organisation_id, visit.job_id, reason=reason, actor=ACTOR, now_s=at_s)


async def revoked_link(engine: AsyncEngine, firm: Firm, visit: Visit, now_s: float) -> Visit:
    """The same visit with a link that opens nothing any more."""
    async with transaction(engine, firm.organisation_id) as connection:
        token = await links.mint_link(connection, firm.organisation_id, visit.job_id, visit.contact_id, now_s)
    minted = await links.open_link(engine, token, now_s)
    if minted is not None:
        async with transaction(engine, firm.organisation_id) as connection:
            await links.revoke_link(connection, firm.organisation_id, minted.id, now_s)
    return replace(visit, token=token)
