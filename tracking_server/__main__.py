"""The command line (`./doorstep COMMAND`): what an installation is run and tried with.

With `--json` exactly one JSON document goes to stdout; everything else always goes to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from tracking_server import embedded
from tracking_server.basemap.archive import NotABasemap
from tracking_server.demo.command import demo
from tracking_server.dispatch import jobs as dispatch
from tracking_server.firm_commands import (
    first_owner_url,
    jobs_app,
    links_app,
    organisations_app,
    setup_token,
    technicians_app,
)
from tracking_server.installation import Json, UserError, console, installation, migrate_embedded, owner_url, say, show
from tracking_server.logs import configure_logs
from tracking_server.message_commands import messages_app, webhooks_app
from tracking_server.outcome import Outdated
from tracking_server.settings import Settings
from tracking_server.store.attachments import Attachments
from tracking_server.store.checks import faults
from tracking_server.store.engine import Contended, Unavailable, create_engine
from tracking_server.store.migrate import migrate as migrate_store

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(organisations_app, name="organisations")
app.add_typer(technicians_app, name="technicians")
app.add_typer(jobs_app, name="jobs")
app.add_typer(links_app, name="links")
app.add_typer(messages_app, name="messages")
app.add_typer(webhooks_app, name="webhooks")
app.command("setup-token")(setup_token)
app.command("demo")(demo)


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema (as its owner) and attach the coming days' partitions."""
    with installation() as settings:
        console.print(f"schema at {migrate_store(owner_url(settings))}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port to listen on.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Server processes side by side.")] = None,
) -> None:
    """Serve phones and pages until stopped."""
    # numpy's helper threads would not survive that a master forks, and nothing here gives them work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from tracking_server.app import create_app
    from tracking_server.http_server import listen_for_several, run
    from tracking_server.master import keep

    named = {"host": host, "port": port, "processes": processes}
    options = {name: value for name, value in named.items() if value is not None}
    with (
        installation(**options) as settings,
        listen_for_several(settings.host, settings.port, settings.processes) as sockets,
    ):
        migrate_embedded(settings)
        check_or_refuse(settings)
        first = first_owner_url(settings)
        configure_logs()
        greeting = f"serving on {settings.public_url} (Ctrl-C stops)"
        greeting = f"{greeting}\nthe first owner begins at {first}" if first else greeting
        if settings.processes == 1:
            run(create_app(settings), sockets[0], lambda: say(greeting))
        else:

            def serve_one(listening: socket.socket, beat: Callable[[], None]) -> None:
                sys.exit(told(lambda: run(create_app(settings), listening, beat, beat)))

            keep(serve_one, sockets, greeting)


@app.command()
def work() -> None:
    """Send messages and let time pass (dwells, promises) until stopped. Run one or more beside `serve`."""
    from tracking_server.worker import work as run_work

    with installation() as settings:
        migrate_embedded(settings)
        check_or_refuse(settings)
        configure_logs()
        console.print("working (Ctrl-C stops)")
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(run_work(settings))


@app.command()
def maintain() -> None:
    """Daily, as the owner: attach the coming days' partitions, drop what is past its retention."""
    from tracking_server.store.maintain import maintain as maintain_store

    with installation() as settings:
        files = Attachments(Path(settings.attachments)) if settings.attachments else None
        for line in maintain_store(owner_url(settings), files=files):
            console.print(line)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is wrong with this installation, and what to do."""
    with installation() as settings:
        migrate_embedded(settings)
        problems = find_problems(settings)
    show([{"problem": problem} for problem in problems] or [{"problem": "none"}], as_json)
    if problems:
        raise typer.Exit(1)


def check_or_refuse(settings: Settings) -> None:
    """Serve only what can be kept and kept apart."""
    problems = find_problems(settings)
    if problems:
        raise UserError("refusing to start:\n" + "\n".join(f"  - {problem}" for problem in problems))


def find_problems(settings: Settings) -> list[str]:
    """Every reason not to serve, each with what to do."""

    async def found() -> list[str]:
        engine = create_engine(settings.database_url, pool_size=1)
        try:
            return await faults(engine)
        finally:
            await engine.dispose()

    problems = asyncio.run(found())
    if not settings.embedded and not settings.public_url.startswith("https://"):
        problems.append("DOORSTEP_PUBLIC_URL is not https: tokens and positions would travel in the open.")
    if settings.attachments and (fault := Attachments(Path(settings.attachments)).fault()):
        problems.append(fault)
    return problems


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget the embedded databases, the demo and its map. What was fetched stays."""
    from tracking_server.reset_command import reset as run_reset

    run_reset(yes=yes)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV of trips, GPX, or NMEA.")],
    speed: Annotated[float, typer.Option(min=1, help="So many times as fast as it was.")] = 60.0,
    trips: Annotated[int, typer.Option(min=0, help="The first so many drives; 0 for all.")] = 20,
    as_json: Json = False,
) -> None:
    """Stream recorded drives through a service of their own, and count what came of them."""
    from tracking_server.replay import run

    try:
        result = run.replay(file, speed, trips, console)
    except run.CannotReplay as error:
        raise UserError(str(error)) from error
    if as_json:
        print(json.dumps(result.to_json(), indent=2))  # noqa: T201 (the JSON document)
    else:
        Console().print(run.table_of(result, speed))
    if not result.adds_up:
        raise typer.Exit(1)


@app.command()
def basemap(
    extract: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, metavar="REGION.osm.pbf", help="An OpenStreetMap extract."),
    ] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="The basemap; REGION.pmtiles if not named.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The demo's region, for the embedded installation.")] = False,
) -> None:
    """Build the map that pages show, from the OpenStreetMap extract of a region."""
    from tracking_server.basemap.extract import CannotBuild
    from tracking_server.map_commands import build_basemap, build_demo

    if demo == (extract is not None) or (demo and out):
        raise UserError("name one region: ./doorstep basemap REGION.osm.pbf, or ./doorstep basemap --demo")
    try:
        if extract is None:
            build_demo()
        else:
            build_basemap(extract, out or Path(extract.name.removesuffix(".pbf").removesuffix(".osm") + ".pmtiles"))
    except CannotBuild as error:
        raise UserError(str(error)) from error


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="ingest, fanout, growth or phone (kill is the start script's)")],
    as_json: Json = False,
) -> None:
    """Measure this machine against a baseline of the same run."""
    from tracking_server.bench.fanout import bench_fanout
    from tracking_server.bench.growth import bench_growth
    from tracking_server.bench.ingest import bench_ingest
    from tracking_server.bench.phone import bench_phone

    benches = {"ingest": bench_ingest, "fanout": bench_fanout, "growth": bench_growth, "phone": bench_phone}
    if name not in benches:
        raise UserError(f"there is no bench {name!r}; there is: {', '.join(benches)}")
    result = benches[name](console)
    if as_json:
        print(json.dumps(result, indent=2))  # noqa: T201 (the JSON document)
    else:
        show([{"what": key, "measured": value} for key, value in result.items()], as_json=False)


def main() -> int:
    """Run a command."""
    return told(lambda: app(prog_name="./doorstep"))


def told(do: Callable[[], None]) -> int:
    """Do it; returns the exit status. What the user can put right is said in a line on stderr, not in a traceback."""
    try:
        do()
    except (UserError, embedded.EmbeddedError, dispatch.NotFound, dispatch.NotPossible, NotABasemap) as error:
        return _fail(str(error))
    except ValidationError as error:
        return _fail("\n".join(_setting_at_fault(problem["loc"], problem["msg"]) for problem in error.errors()))
    except (Outdated, Contended):
        return _fail("somebody else changed the same thing just now: try again")
    except (Unavailable, OperationalError, OSError) as error:
        return _fail(f"the store is not available: {getattr(error, 'orig', error)}")
    except SQLAlchemyError as error:
        return _fail(f"the store refused this: {getattr(error, 'orig', error)}")
    return 0


def _setting_at_fault(place: tuple[int | str, ...], message: str) -> str:
    """The variable's name first; what is wrong with several names them itself."""
    message = message.removeprefix("Value error, ")
    return f"DOORSTEP_{str(place[0]).upper()}: {message}" if place else message


def _fail(message: str) -> int:
    console.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
