"""The command `demo`. It is a program of its own too (`python -m tracking_server.demo`), which starts a second sooner
than one with all commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tracking_server.installation import Json, console

if TYPE_CHECKING:
    from tracking_server.demo.told import Told


def demo(
    host: Annotated[str, typer.Option(help="127.0.0.1 keeps it to this machine.")] = "0.0.0.0",  # noqa: S104
    port: Annotated[
        int, typer.Option(min=1, max=65_534, help="For the service; the next one shows what was sent.")
    ] = 8020,
    speed: Annotated[float, typer.Option(min=0.1, max=100, help="So many times as fast as the clock.")] = 1.0,
    region: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE.osm.pbf", help="Ride in the middle of this extract."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="End by itself, so long after it is ready.")] = None,
    as_json: Json = False,
) -> None:
    """Show everything at once: a firm at work in a database of its own, until Ctrl-C."""
    from tracking_server.demo.run import Options
    from tracking_server.demo.run import demo as run_demo

    def ready(told: Told) -> None:
        if as_json:
            print(json.dumps(told.to_json(), indent=2), flush=True)  # noqa: T201 (the JSON document)
        else:
            told.show(Console())

    run_demo(Options(host, port, speed, seconds, region), ready)
    console.print("the demo has stopped")
