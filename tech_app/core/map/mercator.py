"""Web mercator: the world as one square, its tiles, and the part of it that a screen shows. Pure.

The world's square has x from 0 (west) to 1 (east) and y from 0 (north) to 1 (south). A screen's y grows upwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

EQUATOR_M = 40_075_016.686
MOST_LAT = 85.051_128  # where the square ends
LEAST_ZOOM, MOST_ZOOM = 4.0, 19.0  # the most shows a gate and the house beside it
TILE_DP = 512.0  # how large a tile of its own zoom is drawn
FIT_ZOOM = 16.0  # no closer than this when several things are shown together


Box = tuple[float, float, float, float]
"""Left, bottom, right, top in pixels."""


class Tile(NamedTuple):
    """One square of the 4**z that the world is cut into."""

    z: int
    x: int
    y: int

    @property
    def parent(self) -> Tile:
        return Tile(self.z - 1, self.x >> 1, self.y >> 1)

    @property
    def children(self) -> tuple[Tile, Tile, Tile, Tile]:
        z, x, y = self.z + 1, self.x * 2, self.y * 2
        return Tile(z, x, y), Tile(z, x + 1, y), Tile(z, x, y + 1), Tile(z, x + 1, y + 1)


def to_world(lat: float, lon: float) -> tuple[float, float]:
    """A place as x and y of the world's square; beyond its ends the end."""
    lat = max(-MOST_LAT, min(MOST_LAT, lat))
    return (lon + 180) / 360, 0.5 - math.asinh(math.tan(math.radians(lat))) / math.tau


def to_place(x: float, y: float) -> tuple[float, float]:
    """Latitude and longitude of a place in the world's square."""
    return math.degrees(math.atan(math.sinh((0.5 - y) * math.tau))), x * 360 - 180


def metres_wide(y: float) -> float:
    """How many metres the whole square is wide at that y."""
    return EQUATOR_M * math.cos(math.radians(to_place(0, y)[0]))


@dataclass(frozen=True, slots=True)
class View:
    """What a map shows: the place in its middle (of the world's square), the zoom, and its size in pixels.

    `tile_px` is how large a tile of the zoom itself is drawn.
    """

    x: float
    y: float
    zoom: float
    width: float
    height: float
    tile_px: float = TILE_DP

    @property
    def scale(self) -> float:
        """Pixels that the whole world would be wide."""
        return float(self.tile_px * 2**self.zoom)

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the world is, in pixels from the lower left corner."""
        return (x - self.x) * self.scale + self.width / 2, (self.y - y) * self.scale + self.height / 2

    def in_world(self, left: float, up: float) -> tuple[float, float]:
        """Which place of the world is at these pixels."""
        return self.x + (left - self.width / 2) / self.scale, self.y - (up - self.height / 2) / self.scale

    def moved(self, right: float, up: float) -> View:
        """The map dragged by so many pixels."""
        return _within(replace(self, x=self.x - right / self.scale, y=self.y + up / self.scale))

    def zoomed(self, by: float, left: float, up: float) -> View:
        """Closer by so many zooms (farther when negative), with what is at these pixels staying there."""
        zoom = max(LEAST_ZOOM, min(MOST_ZOOM, self.zoom + by))
        x, y = self.in_world(left, up)
        closer = replace(self, zoom=zoom)
        return _within(
            replace(
                closer,
                x=x - (left - self.width / 2) / closer.scale,
                y=y + (up - self.height / 2) / closer.scale,
            )
        )

    def fitting(self, places: Sequence[tuple[float, float]], room: Box) -> View:
        """So far away that all these places (of the world's square) are in that part of it, and in its middle;
        unchanged without any."""
        if not places:
            return self
        west, east = min(x for x, _ in places), max(x for x, _ in places)
        north, south = min(y for _, y in places), max(y for _, y in places)
        left, bottom, right, top = room
        wide, high = max(1.0, right - left), max(1.0, top - bottom)
        most = float(self.tile_px * 2**FIT_ZOOM)
        scale = min(wide / max(east - west, wide / most), high / max(south - north, high / most))
        zoom = max(LEAST_ZOOM, math.log2(scale / self.tile_px))
        fitting = replace(self, x=(west + east) / 2, y=(north + south) / 2, zoom=zoom)
        return fitting.moved((left + right - self.width) / 2, (bottom + top - self.height) / 2)

    def tiles(self, least: int, most: int) -> list[Tile]:
        """Those that cover it, the middle ones first, of the zoom that suits within the zooms there are."""
        z = max(least, min(most, math.floor(self.zoom)))
        across = 2**z
        west, south = self.in_world(0, 0)
        east, north = self.in_world(self.width, self.height)
        columns = range(max(0, math.floor(west * across)), min(across - 1, math.floor(east * across)) + 1)
        rows = range(max(0, math.floor(north * across)), min(across - 1, math.floor(south * across)) + 1)
        middle_x, middle_y = self.x * across - 0.5, self.y * across - 0.5
        found = [Tile(z, x, y) for x in columns for y in rows]
        return sorted(found, key=lambda tile: (tile.x - middle_x) ** 2 + (tile.y - middle_y) ** 2)


def _within(view: View) -> View:
    return replace(view, x=max(0.0, min(1.0, view.x)), y=max(0.0, min(1.0, view.y)))
