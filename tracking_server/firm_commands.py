"""Commands about firms: organisations, technicians, jobs and links, until the board can do it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import links, tokens
from tracking_server.clock import clock_from
from tracking_server.dispatch import jobs as dispatch
from tracking_server.domain.geofence import Geofence
from tracking_server.installation import Json, UserError, installation, migrate_embedded, show
from tracking_server.settings import Settings
from tracking_server.store import devices, people
from tracking_server.store import jobs as job_store
from tracking_server.store.engine import begin, create_engine, transaction, watching

PAIRING_CODE_LIFE_S = 600.0
organisations_app = typer.Typer(help="Firms that use this installation.", no_args_is_help=True)
technicians_app = typer.Typer(help="Technicians and their phones.", no_args_is_help=True)
jobs_app = typer.Typer(help="Jobs: make, assign, show.", no_args_is_help=True)
links_app = typer.Typer(help="Customers' tracking links.", no_args_is_help=True)

Organisation = Annotated[UUID | None, typer.Option(help="Needed when there are several.")]


def in_store(work: Callable[[AsyncConnection, UUID, float], Awaitable[Any]], organisation: UUID | None) -> Any:
    """Run `work` in one transaction of one organisation."""

    async def run(settings: Settings) -> Any:
        engine = create_engine(settings.database_url, pool_size=1)
        try:
            organisation_id = await only_organisation(engine, organisation)
            async with transaction(engine, organisation_id) as connection:
                return await work(connection, organisation_id, clock_from(settings.clock).now())
        finally:
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
    if not ids:
        raise UserError("there is no organisation yet: ./doorstep organisations create NAME")
    raise UserError(f"say which of the {len(ids)} organisations: --organisation ID (./doorstep organisations show)")


@organisations_app.command("create")
def create_organisation(
    name: str,
    time_zone: Annotated[str, typer.Option(help="As in Europe/Lisbon.")] = "UTC",
    language: Annotated[str, typer.Option(help="en, th or ar.")] = "en",
    office_phone: Annotated[str | None, typer.Option(help="What customers call.")] = None,
    as_json: Json = False,
) -> None:
    """A new firm."""

    async def work(settings: Settings) -> UUID:
        engine = create_engine(settings.database_url, pool_size=1)
        try:
            async with begin(engine) as connection:
                return await people.insert_organisation(
                    connection,
                    name=name,
                    time_zone=time_zone,
                    language=language,
                    office_phone=office_phone,
                    now_s=clock_from(settings.clock).now(),
                )
        finally:
            await engine.dispose()

    with installation() as settings:
        migrate_embedded(settings)
        show([{"id": asyncio.run(work(settings)), "name": name}], as_json)


@technicians_app.command("create")
def create_technician(
    name: str,
    vehicle: Annotated[str | None, typer.Option(help="What to look out for: a white van.")] = None,
    plate: Annotated[str | None, typer.Option(help="Number plate.")] = None,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """A new technician."""

    async def work(connection: AsyncConnection, organisation_id: UUID, now_s: float) -> UUID:
        return await people.insert_technician(
            connection, organisation_id, name=name, vehicle=vehicle, plate=plate, now_s=now_s
        )

    show([{"id": in_store(work, organisation), "name": name}], as_json)


@technicians_app.command("pair")
def pair_technician(technician: UUID, organisation: Organisation = None, as_json: Json = False) -> None:
    """A code that pairs one phone with a technician, once, within ten minutes."""

    async def work(connection: AsyncConnection, organisation_id: UUID, now_s: float) -> str:
        code, code_hash = tokens.mint_code()
        expires_s = now_s + PAIRING_CODE_LIFE_S
        await devices.insert_pairing_code(connection, organisation_id, technician, code_hash, expires_s)
        return code

    show([{"code": in_store(work, organisation), "technician": technician}], as_json)


@technicians_app.command("show")
def show_technicians(organisation: Organisation = None, as_json: Json = False) -> None:
    """All technicians."""

    async def work(connection: AsyncConnection, organisation_id: UUID, now_s: float) -> list[dict[str, Any]]:
        return await people.technicians(connection, organisation_id)

    show(in_store(work, organisation), as_json)


@jobs_app.command("create")
def create_job(
    title: str,
    lon: Annotated[float, typer.Option(min=-180, max=180)],
    lat: Annotated[float, typer.Option(min=-90, max=90)],
    customer: Annotated[str, typer.Option(help="The customer's name.")],
    email: Annotated[str | None, typer.Option(help="Where messages go.")] = None,
    language: Annotated[str, typer.Option(help="en, th or ar.")] = "en",
    address: str = "",
    radius_m: Annotated[float, typer.Option(min=10, max=2000)] = 60.0,
    in_hours: Annotated[float, typer.Option(help="The promised window begins in so many hours.")] = 1.0,
    technician: Annotated[UUID | None, typer.Option(help="Assign it at once.")] = None,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """A new job with a window of two hours; prints the customer's link."""

    async def work(connection: AsyncConnection, organisation_id: UUID, now_s: float) -> dict[str, Any]:
        customer_id, contact_id = await people.insert_customer(
            connection, organisation_id, name=customer, email=email, phone=None, language=language, now_s=now_s
        )
        promised = (now_s + in_hours * 3600, now_s + (in_hours + 2) * 3600)
        zone = await people.time_zone(connection, organisation_id)
        new = dispatch.NewJob(customer_id, title, address, zone, Geofence(lon, lat, radius_m), promised)
        job = await dispatch.create_job(connection, organisation_id, new, actor="command line", now_s=now_s)
        if technician is not None:
            await dispatch.assign_job(
                connection, organisation_id, job.id, technician, actor="command line", now_s=now_s
            )
        token = await links.mint_link(connection, organisation_id, job.id, contact_id, now_s)
        return {"id": job.id, "link": f"{Settings().public_url}/t/{token}"}

    show([in_store(work, organisation)], as_json)


@jobs_app.command("assign")
def assign_job(job: UUID, technician: UUID, organisation: Organisation = None) -> None:
    """Assign or reassign a job."""

    async def work(connection: AsyncConnection, organisation_id: UUID, now_s: float) -> None:
        await dispatch.assign_job(connection, organisation_id, job, technician, actor="command line", now_s=now_s)

    in_store(work, organisation)


@jobs_app.command("show")
def show_jobs(organisation: Organisation = None, as_json: Json = False) -> None:
    """The newest hundred jobs."""

    async def work(connection: AsyncConnection, organisation_id: UUID, now_s: float) -> list[dict[str, Any]]:
        return await job_store.newest_jobs(connection, organisation_id)

    show(in_store(work, organisation), as_json)


@links_app.command("create")
def create_link(job: UUID, organisation: Organisation = None, as_json: Json = False) -> None:
    """A new link for each contact of a job."""

    async def work(connection: AsyncConnection, organisation_id: UUID, now_s: float) -> list[dict[str, Any]]:
        contacts = await job_store.read_contacts(connection, organisation_id, [job])
        base = Settings().public_url
        return [
            {
                "contact": contact.name,
                "link": f"{base}/t/{await links.mint_link(connection, organisation_id, job, contact.id, now_s)}",
            }
            for contact in contacts
        ]

    show(in_store(work, organisation), as_json)
