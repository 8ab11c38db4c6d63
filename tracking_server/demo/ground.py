"""Where the demo plays: the region that the set-up fetched, or one of the user's own, with its map and its roads."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tracking_server import region
from tracking_server.embedded import Installation
from tracking_server.embedded_roads import CannotBuildRoads, build_roads, command, write_config
from tracking_server.installation import UserError, console
from tracking_server.replay.processes import WITH_THIS_PROCESS, free_port

FOLDER = "demo-region"
STOP_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Ground:
    """A map file and a road engine, each empty when there is none; `made_of` tells one region from another."""

    basemap: str = ""
    road_engine: str = ""
    made_of: str = ""


@contextmanager
def ground(extract: Path | None, installation: Installation) -> Iterator[Ground]:
    """The fetched region, whose engine runs beside the embedded servers; or that of an extract, whose map and roads are
    built when it is new or was changed, and whose engine runs as long as the block. Raises `UserError`."""
    if extract is None:
        known = region.BASEMAP.exists() and region.EXTRACT.exists()
        url = installation.road_engine_url
        yield Ground(str(region.BASEMAP), url, _made_of(region.EXTRACT)) if known else Ground(road_engine=url)
        return
    folder, made_of = installation.folder / FOLDER, _made_of(extract)
    stamp, basemap, roads = folder / "made_of", folder / "map.pmtiles", folder / "roads"
    if not stamp.exists() or stamp.read_text() != made_of:
        folder.mkdir(exist_ok=True)
        stamp.unlink(missing_ok=True)
        _build(extract, basemap, roads)
        stamp.write_text(made_of)
    if not roads.exists():
        yield Ground(str(basemap), "", made_of)
        return
    with _engine(roads, installation) as url:
        yield Ground(str(basemap), url, made_of)


def _made_of(extract: Path) -> str:
    state = extract.stat()
    return f"{extract.resolve()} {state.st_size} {state.st_mtime_ns}"


def _build(extract: Path, basemap: Path, roads: Path) -> None:
    from tracking_server.basemap.build import build
    from tracking_server.basemap.extract import CannotBuild

    try:
        with console.status(f"building the map and the roads of {extract.name}, once"):
            build(extract, basemap, lambda *_: None)
            if region.ENGINE.exists():
                build_roads(extract, roads)
    except (CannotBuild, CannotBuildRoads) as error:
        raise UserError(str(error)) from error


@contextmanager
def _engine(roads: Path, installation: Installation) -> Iterator[str]:
    port, sockets = free_port(), installation.run_folder / "demo-roads"
    sockets.mkdir(exist_ok=True)
    config, log = installation.folder / "demo-roads.json", installation.folder / "demo-roads.log"
    write_config(config, port, sockets, roads)
    with (
        log.open("wb") as told,
        subprocess.Popen(  # noqa: S603 (a program of ours)
            [*WITH_THIS_PROCESS, *command(config)],
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            process_group=0,
        ) as engine,
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            engine.terminate()
            try:
                engine.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                engine.kill()
