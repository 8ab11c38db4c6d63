"""The command line (`./doorstep COMMAND`): what an installation is run and tried with.

With `--json` exactly one JSON document goes to stdout; everything else always goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import embedded, links, tokens
from tracking_server.clock import clock_from
from tracking_server.dispatch import jobs as dispatch
from tracking_server.domain.geofence import Geofence
from tracking_server.settings import Settings
from tracking_server.store import devices, people
from tracking_server.store import jobs as job_store
from tracking_server.store.checks import faults
from tracking_server.store.engine import create_engine, transaction, watching
from tracking_server.store.migrate import migrate as migrate_store

PAIRING_CODE_LIFE_S = 600.0
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
organisations_app = typer.Typer(help="Firms that use this installation.")
technicians_app = typer.Typer(help="Technicians and their phones.")
jobs_app = typer.Typer(help="Jobs: make, assign, show.")
links_app = typer.Typer(help="Customers' tracking links.")
app.add_typer(organisations_app, name="organisations")
app.add_typer(technicians_app, name="technicians")
app.add_typer(jobs_app, name="jobs")
app.add_typer(links_app, name="links")
console = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Organisation = Annotated[UUID | None, typer.Option(help="Needed when there are several.")]


class UserError(Exception):
    """Something the user can put right: printed as one line."""


@contextmanager
def installation() -> Iterator[Settings]:
    """The settings of this installation; its private servers run meanwhile when none are configured."""
    settings = Settings()
    if settings.database_url:
        yield settings
        return
    with embedded.running() as servers:
        yield settings.model_copy(
            update={
                "embedded": True,
                "database_url": servers.app_url(),
                "owner_database_url": servers.owner_url(),
                "redis_url": servers.redis_url,
            }
        )


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows as a table, or as JSON."""
    if as_json:
        print(json.dumps(rows, default=str, indent=2))  # noqa: T201 (the JSON document)
        return
    table = Table(*(rows[0] if rows else ["nothing yet"]))
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


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


def migrate_embedded(settings: Settings) -> None:
    """A private installation migrates itself; a real one is migrated by its owner's hand."""
    if settings.embedded:
        migrate_store(settings.owner_database_url)


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema (as its owner) and attach the coming days' partitions."""
    with installation() as settings:
        if not settings.owner_database_url:
            raise UserError("set DOORSTEP_OWNER_DATABASE_URL: only the owner of the tables may migrate")
        console.print(f"schema at {migrate_store(settings.owner_database_url)}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve phones and pages until stopped."""
    import uvicorn

    from tracking_server.app import create_app
    from tracking_server.logs import configure_logs

    with installation() as settings:
        changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
        settings = Settings.model_validate({**settings.model_dump(), "public_url": settings.public_url, **changes})
        migrate_embedded(settings)
        check_or_refuse(settings)
        configure_logs()
        console.print(f"serving on {settings.public_url} (Ctrl-C stops)")
        uvicorn.run(
            create_app(settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
            server_header=False,
        )


def check_or_refuse(settings: Settings) -> None:
    """Serve only what can be kept and kept apart."""

    async def found() -> list[str]:
        engine = create_engine(settings.database_url, pool_size=1)
        try:
            return await faults(engine)
        finally:
            await engine.dispose()

    problems = asyncio.run(found())
    if not settings.embedded and not settings.public_url.startswith("https://"):
        problems.append("DOORSTEP_PUBLIC_URL is not https: tokens and positions would travel in the open.")
    if problems:
        raise UserError("refusing to serve:\n" + "\n".join(f"  - {problem}" for problem in problems))


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
            async with engine.begin() as connection:
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


def main() -> int:
    """Run a command; what the user can put right is one line on stderr, not a traceback."""
    try:
        app()
    except (UserError, embedded.EmbeddedError, dispatch.NotFound, dispatch.NotPossible) as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1
    except ValidationError as error:
        console.print("\n".join(str(problem["msg"]) for problem in error.errors()), style="red")
        return 1
    except (OperationalError, OSError) as error:
        console.print(f"[red]the store is not available: {getattr(error, 'orig', error)}[/red]", highlight=False)
        return 1
    except SQLAlchemyError as error:
        console.print(f"[red]the store refused this: {getattr(error, 'orig', error)}[/red]", highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
