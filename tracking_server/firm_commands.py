"""Commands about firms: organisations, technicians, jobs and links, until the board can do it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
import typer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import links, tokens, words
from tracking_server.accounts import people as accounts
from tracking_server.clock import clock_from
from tracking_server.dispatch import jobs as dispatch
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.proof import Proof, Rule, rules
from tracking_server.domain.updates import JobChanged
from tracking_server.installation import Json, UserError, installation, migrate_embedded, show, show_one
from tracking_server.invitation import as_text, invitation
from tracking_server.live.bus import Bus
from tracking_server.notify.channels.email import one_address
from tracking_server.organisation_settings import read_settings
from tracking_server.phone_numbers import NotANumber, e164
from tracking_server.settings import Settings
from tracking_server.store import devices, people
from tracking_server.store import jobs as job_store
from tracking_server.store.days import read_firms_settings
from tracking_server.store.engine import begin, create_engine, transaction, watching
from tracking_server.store.notes import count_version_up
from tracking_server.store.schema import organisation as organisation_table

T = TypeVar("T")
ACTOR = "command line"
PAIRING_CODE_LIFE_S = 600.0
organisations_app = typer.Typer(help="Firms that use this installation.", no_args_is_help=True)
technicians_app = typer.Typer(help="Technicians and their phones.", no_args_is_help=True)
jobs_app = typer.Typer(help="Jobs: make, assign, show.", no_args_is_help=True)
links_app = typer.Typer(help="Customers' tracking links.", no_args_is_help=True)

Organisation = Annotated[UUID | None, typer.Option(help="Needed when there are several.")]


@dataclass
class Work:
    """One command's transaction in one organisation. What is put into `changes` is published after the commit."""

    connection: AsyncConnection
    organisation_id: UUID
    now_s: float
    changes: list[JobChanged] = field(default_factory=list)


def in_store(do: Callable[[Work], Awaitable[T]], organisation: UUID | None) -> T:
    """Do a command's work in one transaction of one organisation."""

    async def run(settings: Settings) -> T:
        engine = create_engine(settings.database_url, pool_size=1)
        bus = Bus(settings.redis_url)
        try:
            organisation_id = await only_organisation(engine, organisation)
            async with transaction(engine, organisation_id) as connection:
                work = Work(connection, organisation_id, clock_from(settings.clock).now())
                result = await do(work)
            await bus.publish(work.changes)
            return result
        finally:
            await bus.close()
            await engine.dispose()

    with installation() as settings:
        migrate_embedded(settings)
        return asyncio.run(run(settings))


async def only_organisation(engine: AsyncEngine, wanted: UUID | None) -> UUID:
    """The organisation asked for, or the only one there is."""
    async with watching(engine) as connection:
        ids = await people.organisation_ids(connection)
    if wanted is not None and wanted in ids:
        return wanted
    if wanted is None and len(ids) == 1:
        return ids[0]
    if wanted is not None:
        raise UserError(f"there is no organisation {wanted} (./doorstep organisations show)")
    if not ids:
        raise UserError("there is no organisation yet: ./doorstep organisations create NAME")
    raise UserError(f"say which of the {len(ids)} organisations: --organisation ID (./doorstep organisations show)")


def with_every_organisation(do: Callable[[AsyncEngine, float], Awaitable[T]]) -> T:
    """Do what is not of one organisation."""

    async def run(settings: Settings) -> T:
        engine = create_engine(settings.database_url, pool_size=1)
        try:
            return await do(engine, clock_from(settings.clock).now())
        finally:
            await engine.dispose()

    with installation() as settings:
        migrate_embedded(settings)
        return asyncio.run(run(settings))


def _rules(photo: Rule | None, signature: Rule | None, note: Rule | None) -> dict[Proof, Rule]:
    named = ((Proof.photo, photo), (Proof.signature, signature), (Proof.note, note))
    return {proof: rule for proof, rule in named if rule is not None}


def a_time_zone(name: str) -> str:
    """One that the time zone database knows."""
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise typer.BadParameter(f"there is no time zone {name!r}; one is Europe/Lisbon") from None


def a_language(name: str) -> str:
    """One that the page and the messages speak."""
    if name not in words.LANGUAGES:
        raise typer.BadParameter(f"one of {', '.join(words.LANGUAGES)}")
    return name


def an_address(typed: str | None) -> str | None:
    """One e-mail address."""
    if typed is not None and one_address(typed) is None:
        raise typer.BadParameter("write one e-mail address, as in maria@example.com")
    return typed


def a_number(typed: str | None) -> str | None:
    """A phone number as it is kept."""
    try:
        return None if typed is None else e164(typed)
    except NotANumber as error:
        raise typer.BadParameter(str(error)) from None


TimeZone = Annotated[str, typer.Option(help="As in Europe/Lisbon.", callback=a_time_zone)]
PhotoRule = Annotated[Rule | None, typer.Option("--photo", help="Is a photo asked for?")]
SignatureRule = Annotated[Rule | None, typer.Option("--signature", help="Is a signature asked for?")]
NoteRule = Annotated[Rule | None, typer.Option("--note", help="Is a note asked for?")]
Language = Annotated[str, typer.Option(help="en, th or ar.", callback=a_language)]


@organisations_app.command("create")
def create_organisation(
    name: str,
    time_zone: TimeZone = "UTC",
    language: Language = "en",
    office_phone: Annotated[str | None, typer.Option(help="What customers call.")] = None,
    as_json: Json = False,
) -> None:
    """A new firm."""

    async def do(engine: AsyncEngine, now_s: float) -> UUID:
        async with begin(engine) as connection:
            return await people.insert_organisation(
                connection, name=name, time_zone=time_zone, language=language, office_phone=office_phone, now_s=now_s
            )

    show_one({"id": with_every_organisation(do), "name": name}, as_json)


def setup_token(
    organisation: Organisation = None,
    new: Annotated[bool, typer.Option("--new", help="For a firm that does not exist yet.")] = False,
    as_json: Json = False,
) -> None:
    """A link that makes the first owner, once, within a day: of the only firm, of one of several, or of a new one."""

    async def do(engine: AsyncEngine, now_s: float) -> str:
        async with watching(engine) as connection:
            exists = bool(await people.organisation_ids(connection))
        none = new or (organisation is None and not exists)
        organisation_id = None if none else await only_organisation(engine, organisation)
        return await accounts.mint_setup_token(engine, organisation_id, now_s)

    show_one({"link": setup_url(with_every_organisation(do), Settings().public_url)}, as_json)


def first_owner_url(settings: Settings) -> str | None:
    """Where the first owner is made, None when there is staff already, or it is not known of which firm."""

    async def mint() -> str | None:
        engine = create_engine(settings.database_url, pool_size=1)
        try:
            if await accounts.anybody(engine):
                return None
            async with watching(engine) as connection:
                ids = await people.organisation_ids(connection)
            if len(ids) > 1:
                return None
            return await accounts.mint_setup_token(engine, ids[0] if ids else None, clock_from(settings.clock).now())
        finally:
            await engine.dispose()

    token = asyncio.run(mint())
    return None if token is None else setup_url(token, settings.public_url)


def setup_url(token: str, public_url: str) -> str:
    """Where the first owner is made."""
    return f"{public_url}/board/setup/{token}"


@organisations_app.command("proof")
def organisation_proof(
    photo: PhotoRule = None,
    signature: SignatureRule = None,
    note: NoteRule = None,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """What every visit asks for before it is done; shows it, and changes what is named."""

    async def do(work: Work) -> dict[str, Any]:
        columns = organisation_table.c
        kept = await read_firms_settings(work.connection, work.organisation_id)
        proof = read_settings(kept).proof | _rules(photo, signature, note)
        await work.connection.execute(
            organisation_table.update()
            .where(columns.id == work.organisation_id)
            .values(settings=kept | {"proof": proof})
        )
        return {name.value: rules(proof, {}).get(name, Rule.optional).value for name in Proof}

    show_one(in_store(do, organisation), as_json)


@organisations_app.command("show")
def show_organisations(as_json: Json = False) -> None:
    """All firms."""

    async def do(engine: AsyncEngine, _: float) -> list[dict[str, Any]]:
        async with watching(engine) as connection:
            ids = await people.organisation_ids(connection)
        return [await _organisation(engine, organisation_id) for organisation_id in ids]

    show(with_every_organisation(do), as_json)


async def _organisation(engine: AsyncEngine, organisation_id: UUID) -> dict[str, Any]:
    columns = organisation_table.c
    shown = (columns.id, columns.name, columns.time_zone, columns.language, columns.office_phone)
    async with transaction(engine, organisation_id) as connection:
        row = (await connection.execute(sa.select(*shown).where(columns.id == organisation_id))).one()
    return dict(row._mapping)


@technicians_app.command("create")
def create_technician(
    name: str,
    vehicle: Annotated[str | None, typer.Option(help="What to look out for: a white van.")] = None,
    plate: Annotated[str | None, typer.Option(help="Number plate.")] = None,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """A new technician."""

    async def do(work: Work) -> UUID:
        return await people.insert_technician(
            work.connection, work.organisation_id, name=name, vehicle=vehicle, plate=plate, now_s=work.now_s
        )

    show_one({"id": in_store(do, organisation), "name": name}, as_json)


@technicians_app.command("pair")
def pair_technician(technician: UUID, organisation: Organisation = None, as_json: Json = False) -> None:
    """A code that pairs one phone with a technician, once, within ten minutes."""

    async def do(work: Work) -> str:
        await _lock(work, technician)
        code, code_hash = tokens.mint_code()
        expires_s = work.now_s + PAIRING_CODE_LIFE_S
        await devices.insert_pairing_code(work.connection, work.organisation_id, technician, code_hash, expires_s)
        return code

    code = in_store(do, organisation)
    address = invitation(Settings().public_url, code)
    if not as_json and sys.stdout.isatty():
        print(as_text(address))  # noqa: T201 (the QR code, for the phone's camera)
    show_one({"code": code, "technician": technician, "address": address}, as_json)


@technicians_app.command("revoke")
def revoke_technician(technician: UUID, organisation: Organisation = None, as_json: Json = False) -> None:
    """A phone was lost: none of the technician's phones is believed any more."""

    async def do(work: Work) -> int:
        await _lock(work, technician)
        return await devices.revoke_devices(work.connection, work.organisation_id, technician, work.now_s)

    show_one({"technician": technician, "phones_revoked": in_store(do, organisation)}, as_json)


async def _lock(work: Work, technician: UUID) -> None:
    if not await people.lock_technicians(work.connection, work.organisation_id, [technician]):
        raise dispatch.NotFound(f"there is no technician {technician}")


@technicians_app.command("show")
def show_technicians(organisation: Organisation = None, as_json: Json = False) -> None:
    """All technicians."""

    async def do(work: Work) -> list[dict[str, Any]]:
        return await people.technicians(work.connection, work.organisation_id)

    show(in_store(do, organisation), as_json)


@jobs_app.command("create")
def create_job(
    title: str,
    lon: Annotated[float, typer.Option(min=-180, max=180)],
    lat: Annotated[float, typer.Option(min=-90, max=90)],
    customer: Annotated[str, typer.Option(help="The customer's name.")],
    email: Annotated[str | None, typer.Option(help="Where messages go.", callback=an_address)] = None,
    phone: Annotated[
        str | None, typer.Option(help="Where short messages go: +351 912 345 678.", callback=a_number)
    ] = None,
    language: Language = "en",
    address: str = "",
    radius_m: Annotated[float, typer.Option(min=10, max=2000)] = 60.0,
    in_hours: Annotated[
        float, typer.Option(min=-24, max=8_760, help="The promised window begins in so many hours.")
    ] = 1.0,
    technician: Annotated[UUID | None, typer.Option(help="Assign it at once.")] = None,
    photo: PhotoRule = None,
    signature: SignatureRule = None,
    note: NoteRule = None,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """A new job with a window of two hours; prints the customer's link."""

    async def do(work: Work) -> dict[str, Any]:
        connection, organisation_id, now_s = work.connection, work.organisation_id, work.now_s
        customer_id, contact_id = await people.insert_customer(
            connection, organisation_id, name=customer, email=email, phone=phone, language=language, now_s=now_s
        )
        promised = (now_s + in_hours * 3600, now_s + (in_hours + 2) * 3600)
        zone = await people.time_zone(connection, organisation_id)
        proof, place = _rules(photo, signature, note), Geofence(lon, lat, radius_m)
        new = dispatch.NewJob(customer_id, title, address, zone, place, promised, proof=proof)
        job = await dispatch.create_job(connection, organisation_id, new, actor=ACTOR, now_s=now_s)
        if technician is not None:
            await _assign(work, job.id, technician)
        token = await links.mint_link(connection, organisation_id, job.id, contact_id, now_s)
        return {"id": job.id, "link": _url(token)}

    show_one(in_store(do, organisation), as_json)


@jobs_app.command("proof")
def job_proof(
    job: UUID,
    photo: PhotoRule = None,
    signature: SignatureRule = None,
    note: NoteRule = None,
    organisation: Organisation = None,
) -> None:
    """What this visit asks for before it is done, in place of the firm's usual; what is not named is as usual."""

    async def do(work: Work) -> None:
        connection, organisation_id = work.connection, work.organisation_id
        if not await job_store.set_proof(connection, organisation_id, job, _rules(photo, signature, note)):
            raise dispatch.NotFound(f"there is no job {job}")
        work.changes.append(await count_version_up(connection, organisation_id, job))

    in_store(do, organisation)


@jobs_app.command("assign")
def assign_job(job: UUID, technician: UUID, organisation: Organisation = None) -> None:
    """Assign or reassign a job."""

    async def do(work: Work) -> None:
        await _assign(work, job, technician)

    in_store(do, organisation)


async def _assign(work: Work, job: UUID, technician: UUID) -> None:
    work.changes += await dispatch.assign_job(
        work.connection, work.organisation_id, job, technician, actor=ACTOR, now_s=work.now_s
    )


@jobs_app.command("show")
def show_jobs(organisation: Organisation = None, as_json: Json = False) -> None:
    """The newest hundred jobs."""

    async def do(work: Work) -> list[dict[str, Any]]:
        return await job_store.newest_jobs(work.connection, work.organisation_id)

    show(in_store(do, organisation), as_json)


@links_app.command("create")
def create_link(job: UUID, organisation: Organisation = None, as_json: Json = False) -> None:
    """A new link for each contact of a job."""

    async def do(work: Work) -> list[dict[str, Any]]:
        connection, organisation_id = work.connection, work.organisation_id
        if await job_store.read_job(connection, organisation_id, job) is None:
            raise dispatch.NotFound(f"there is no job {job}")
        return [
            {
                "contact": contact.name,
                "link": _url(await links.mint_link(connection, organisation_id, job, contact.id, work.now_s)),
            }
            for contact in await job_store.read_contacts(connection, organisation_id, [job])
        ]

    show(in_store(do, organisation), as_json)


@links_app.command("revoke")
def revoke_link(
    link: Annotated[UUID, typer.Argument(help="The id in the page's address: /j/LINK.")],
    organisation: Organisation = None,
) -> None:
    """The link opens nothing any more; pages that are open on it end."""

    async def do(work: Work) -> None:
        change = await links.revoke_link(work.connection, work.organisation_id, link, work.now_s)
        if change is None:
            raise dispatch.NotFound(f"there is no link {link}")
        work.changes.append(change)

    in_store(do, organisation)


def _url(token: str) -> str:
    return f"{Settings().public_url}/t/{token}"
