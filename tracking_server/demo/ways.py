"""The demo's doors and the ways between them: asked of the road engine once, and kept in a file for the next start."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import msgspec

from tracking_server.demo.drive import ride
from tracking_server.demo.streets import Bounds, TooFewStreets, choose_doors
from tracking_server.routing.valhalla import Costing, LonLat, RoadEngine, RoadEngineAway, Unroutable

DOORS = 8
COSTING = Costing.bicycle
READY_WITHIN_S = 15.0
LOOK_EVERY_S = 0.05
WIDTH_DEG = (0.045, 0.02)  # about two kilometres each way: what bicycles ride in ten minutes
# Without roads: doors around the centre of Helsinki, or of the region, with straight lines between them.
CENTRE = (24.9414, 60.1655)
AROUND = ((0.0, 0.0), (9, 4), (-8, 5), (7, -5), (-9, -4), (1, 7), (-1, -7), (12, -1))  # thousandths of a degree


@dataclass(frozen=True)
class Ways:
    """Doors, the most central one first; the way from each to each, by their numbers, and how long riding it takes."""

    doors: tuple[LonLat, ...]
    shapes: dict[str, tuple[LonLat, ...]]
    seconds: dict[str, float]

    def between(self, start: int, end: int) -> tuple[LonLat, ...]:
        """The way from one door to another."""
        return self.shapes[f"{start}-{end}"]

    def ride_s(self, start: int, end: int) -> float:
        """How long a ride from one door to another takes."""
        return self.seconds[f"{start}-{end}"]

    def known(self, start: LonLat, end: LonLat) -> tuple[LonLat, ...] | None:
        """The way between two places, None when they are not two doors of ours."""
        if start == end or not {start, end} <= set(self.doors):
            return None
        return self.between(self.doors.index(start), self.doors.index(end))


def middle(bounds: Bounds) -> Bounds:
    """As much of a region as bicycles are right for, around its centre."""
    west, south, east, north = bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    wide, high = (half / 2 for half in WIDTH_DEG)
    return max(west, lon - wide), max(south, lat - high), min(east, lon + wide), min(north, lat + high)


def straight_ways(bounds: Bounds | None) -> Ways:
    """For a region without roads, or without a map, too."""
    lon, lat = CENTRE if bounds is None else ((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
    doors = tuple((round(lon + x / 1000, 6), round(lat + y / 1000, 6)) for x, y in AROUND)
    return _timed(doors, {f"{a}-{b}": (doors[a], doors[b]) for a, b in permutations(range(len(doors)), 2)})


async def find_ways(url: str, bounds: Bounds, kept: Path, made_of: str) -> Ways:
    """The ways of a region whose engine is at `url`. They are kept with what they were made of, a hash of it.

    Raises `TooFewStreets`, `RoadEngineAway`.
    """
    if (known := _read(kept, made_of)) is not None:
        return known
    async with RoadEngine(url) as roads:
        async with asyncio.timeout(READY_WITHIN_S):
            while not await roads.answers():  # noqa: ASYNC110 (another process)
                await asyncio.sleep(LOOK_EVERY_S)
        doors = await choose_doors(roads, bounds, DOORS, COSTING)
        shapes = {}
        for a, b in permutations(range(len(doors)), 2):
            try:
                shapes[f"{a}-{b}"] = (await roads.route([doors[a], doors[b]], COSTING)).shape
            except Unroutable as error:
                raise TooFewStreets(f"no way between two doors: {error}") from error
    ways = _timed(doors, shapes)
    kept.write_bytes(msgspec.json.encode({"made_of": made_of, "ways": ways}))  # noqa: ASYNC240 (tiny, once)
    return ways


async def way_from(url: str, start: LonLat, end: LonLat) -> tuple[LonLat, ...]:
    """The way from anywhere to anywhere; a straight line where no road is known."""
    if not url:
        return (start, end)
    try:
        async with RoadEngine(url) as roads:
            return (await roads.route([start, end], COSTING)).shape
    except (Unroutable, RoadEngineAway):
        return (start, end)


def _timed(doors: tuple[LonLat, ...], shapes: dict[str, tuple[LonLat, ...]]) -> Ways:
    return Ways(doors, shapes, {name: ride(shape, 0, dwell_s=0).arrives_s for name, shape in shapes.items()})


def _read(kept: Path, made_of: str) -> Ways | None:
    try:
        told = msgspec.json.decode(kept.read_bytes())
        return msgspec.convert(told["ways"], Ways) if told["made_of"] == made_of else None
    except (OSError, ValueError, KeyError, TypeError):  # never made, or not by this version
        return None
