"""What the commands share: this installation's settings, and how they speak to people and to scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracking_server import embedded, region
from tracking_server.settings import Settings
from tracking_server.store.migrate import migrate as migrate_store

console = Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


class UserError(Exception):
    """Something the user can put right: printed as one line."""


@contextmanager
def installation(**options: Any) -> Iterator[Settings]:
    """The settings of this installation; its private servers run meanwhile when none are configured.

    Options of the command line come before the environment.
    """
    settings = Settings(**options)
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
                "road_engine_url": settings.road_engine_url or servers.road_engine_url,
                "attachments": settings.attachments or str(servers.attachments),
                "basemap": settings.basemap or _demo_basemap(settings),
            }
        )


def _demo_basemap(settings: Settings) -> str:
    """The demo's map, where it was built and no other is named."""
    return str(region.BASEMAP) if region.BASEMAP.exists() and not settings.tile_url else ""


def migrate_embedded(settings: Settings) -> None:
    """A private installation migrates itself; a real one is migrated by its owner's hand."""
    if settings.embedded:
        migrate_store(settings.owner_database_url)


def say(line: str) -> None:
    """To people, as it is: what it holds may look like markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def owner_url(settings: Settings) -> str:
    """Whose tables they are."""
    if not settings.owner_database_url:
        raise UserError("set DOORSTEP_OWNER_DATABASE_URL: only the owner of the tables may do this")
    return settings.owner_database_url


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows as a table, or as JSON."""
    if as_json:
        _print_json(rows)
        return
    table = Table(*(rows[0] if rows else ["nothing yet"]))
    for column in table.columns:
        column.overflow = "fold"  # an id that is cut off is of no use
    for row in rows:
        table.add_row(*(Text(_word(value)) for value in row.values()))
    Console().print(table)


def show_one(facts: dict[str, Any], as_json: bool) -> None:
    """Facts in lines of their own: a link is to be copied whole."""
    if as_json:
        _print_json([facts])
        return
    for name, value in facts.items():
        Console().print(f"{name}: {_word(value)}", markup=False, highlight=False, soft_wrap=True)


def _word(value: Any) -> str:
    return "-" if value is None else str(value)


def _print_json(rows: list[dict[str, Any]]) -> None:
    print(json.dumps(rows, default=str, indent=2))  # noqa: T201 (the JSON document)
