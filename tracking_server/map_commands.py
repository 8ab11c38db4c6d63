"""What `./doorstep basemap` does, with its progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tracking_server import region
from tracking_server.basemap.build import Told, build
from tracking_server.embedded_roads import CannotBuildRoads, build_roads
from tracking_server.installation import UserError, console


def build_basemap(extract: Path, out: Path) -> None:
    """Build it and say how to use it."""
    begun = time.monotonic()
    with _shown() as told:
        built = build(extract, out, told)
    size_mb, seconds = built.size_bytes / 1e6, time.monotonic() - begun
    console.print(
        f"{out}: {built.features} features, {size_mb:.1f} MB, {seconds:.0f} s; "
        f"set DOORSTEP_BASEMAP={out.resolve()} to have pages show it",
        highlight=False,
        soft_wrap=True,
    )


def build_demo() -> None:
    """Build it, and the roads of its road engine, where the embedded installation finds them."""
    if not region.EXTRACT.exists():
        raise UserError("the demo's region is not here; connect to the network and run ./doorstep setup --for demo")
    with _shown() as told:
        build(region.EXTRACT, region.BASEMAP, told)
    if region.ENGINE.exists():
        try:
            build_roads(region.EXTRACT, region.ROADS)
        except CannotBuildRoads as error:
            raise UserError(str(error)) from error
    console.print("the demo's map is built")


@contextmanager
def _shown() -> Iterator[Told]:
    """On a terminal, how far it is."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[so_far]}"), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("reading", total=None, so_far="")

        def told(doing: str, number: int) -> None:
            if doing == "reading":
                bar.update(task, so_far=f"{number} objects")
            else:
                bar.update(task, description=doing, total=100, completed=number, so_far=f"{number} %")

        yield told
