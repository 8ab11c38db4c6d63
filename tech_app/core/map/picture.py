"""What is drawn of one tile: areas and lines as triangles, and the names that could be written on it. Pure.

Places are in steps of 1/`WORLD` of the world from an anchor, x to the east and y to the north: what a graphics chip
counts with has too few digits for the whole world.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from tech_app.core.map.lines import Triangles
from tech_app.core.map.mercator import Tile
from tech_app.core.map.style import CASINGS, LAYERS, Paint, area_paint, line_paint
from tech_app.core.map.vector_tile import Feature, Geometry, Layer, Value, read_tile

ANCHOR_ZOOM = 15
WORLD = 512 << ANCHOR_ZOOM  # steps across the world: pixels of a tile of that zoom
EDGED = frozenset({Paint.green, Paint.square, Paint.water, Paint.pier, Paint.building})
NAMED_PATHS_ZOOM = 15
STRAIGHT = 0.3  # radians that a road may turn under its name

Ring = Sequence[float]
Cut = Callable[[Sequence[Ring]], Sequence[float]]
"""Cuts an area, given by its outlines and holes, into triangles of three places each: x, y, x, y, ..."""


class NameKind(IntEnum):
    """What a name belongs to, the most important first."""

    locality = 0
    neighbourhood = 1
    water = 2
    road = 3


@dataclass(frozen=True, slots=True)
class Name:
    """A name in the languages that the tile has it in; under "" as it is written there.

    It stands around a place; a road's along `angle` (radians, anticlockwise), where `length` steps are straight. The
    lowest `rank` goes first.
    """

    kind: NameKind
    texts: Mapping[str, str]
    x: float
    y: float
    rank: float
    angle: float = 0.0
    length: float = 0.0

    def text(self, language: str) -> str:
        """In this language where it is known."""
        return self.texts.get(language) or self.texts[""]


@dataclass(slots=True)
class Picture:
    """A tile, ready to be drawn."""

    areas: dict[Paint, Triangles] = field(default_factory=dict)
    edges: dict[Paint, Triangles] = field(default_factory=dict)
    lines: dict[Paint, Triangles] = field(default_factory=dict)
    names: list[Name] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """About what it takes of the phone's memory."""
        drawn = (*self.areas.values(), *self.edges.values(), *self.lines.values())
        return sum(triangles.size_bytes for triangles in drawn) + 500 * len(self.names) + 1_000


@dataclass(frozen=True, slots=True)
class _Grid:
    """From a layer's steps to those of the picture."""

    left: float
    top: float
    step: float
    extent: int

    def places(self, part: Sequence[int]) -> list[float]:
        flat = [0.0] * len(part)
        flat[::2] = [self.left + x * self.step for x in part[::2]]
        flat[1::2] = [self.top - y * self.step for y in part[1::2]]
        return flat


def anchored(x: float, y: float, anchor: tuple[float, float]) -> tuple[float, float]:
    """A place of the world's square, in steps from the anchor (of the same square)."""
    return (x - anchor[0]) * WORLD, (anchor[1] - y) * WORLD


def draw(tile: Tile, data: bytes, anchor: tuple[float, float], cut: Cut) -> Picture:
    """The picture of a vector tile. Raises `BadTile`."""
    picture = Picture()
    for name, layer in read_tile(data, LAYERS).items():
        grid = _grid(tile, layer, anchor)
        if name == "roads":
            picture.names += _road_names(tile, layer, grid)
        for feature in layer.features:
            _draw(name, feature, grid, picture, cut)
    return picture


def _grid(tile: Tile, layer: Layer, anchor: tuple[float, float]) -> _Grid:
    across = 2**tile.z
    left, top = anchored(tile.x / across, tile.y / across, anchor)
    return _Grid(left, top, WORLD / across / layer.extent, layer.extent)


def _draw(layer: str, feature: Feature, grid: _Grid, picture: Picture, cut: Cut) -> None:
    match feature.geometry:
        case Geometry.areas:
            paint = area_paint(layer, feature.properties)
            rings = [part for part in feature.parts if len(part) >= 6]
            if paint is None or not rings:
                return
            corners = cut([grid.places(ring) for ring in rings])
            picture.areas.setdefault(paint, Triangles()).add_triangles(corners)
            if paint in EDGED:
                edges = picture.edges.setdefault(paint, Triangles())
                for ring in rings:
                    for places, closed in _edges(ring, grid.extent):
                        edges.add_line(grid.places(places), closed)
        case Geometry.lines:
            paint = line_paint(layer, feature.properties)
            if paint is None:
                return
            triangles = picture.lines.setdefault(paint, Triangles())
            for part in feature.parts:
                triangles.add_line(grid.places(part))
            if paint in CASINGS:
                picture.lines[CASINGS[paint]] = triangles
        case Geometry.points:
            name = _point_name(layer, feature, grid)
            if name is not None:
                picture.names.append(name)


def _edges(ring: Sequence[int], extent: int) -> Iterable[tuple[list[int], bool]]:
    """Its outline without the sides that are only where the tile was cut off."""
    count = len(ring) // 2
    shown = [
        not any(ring[2 * i + axis] == ring[(2 * i + 2 + axis) % len(ring)] and not 0 < ring[2 * i + axis] < extent
                for axis in (0, 1))
        for i in range(count)
    ]  # fmt: skip
    if all(shown):
        yield list(ring), True
        return
    begin = shown.index(False) + 1
    run: list[int] = []
    for i in range(begin, begin + count):
        at = 2 * (i % count)
        if shown[i % count]:
            run = run or list(ring[at : at + 2])
            after = (at + 2) % len(ring)
            run += ring[after : after + 2]
        elif run:
            yield run, False
            run = []
    if run:
        yield run, False


def _texts(properties: Mapping[str, Value]) -> dict[str, str]:
    name = properties.get("name")
    if not isinstance(name, str) or not name.strip():
        return {}
    more = {key[5:]: str(value or "") for key, value in properties.items() if key.startswith("name:")}
    return {"": name, **{language: text for language, text in more.items() if text.strip()}}


def _point_name(layer: str, feature: Feature, grid: _Grid) -> Name | None:
    texts = _texts(feature.properties)
    if not texts or not feature.parts:
        return None
    x, y = grid.places(feature.parts[0][:2])
    if layer == "water":
        return Name(NameKind.water, texts, x, y, 0.0)
    if layer != "places":
        return None
    near = feature.properties.get("kind") == "neighbourhood"
    population = feature.properties.get("population_rank", 0)
    rank = -float(population) if isinstance(population, int | float) else 0.0
    return Name(NameKind.neighbourhood if near else NameKind.locality, texts, x, y, rank)


_ROAD_RANKS = {Paint.highway: 0.0, Paint.major: 1.0, Paint.minor: 2.0, Paint.path: 3.0}


def _road_names(tile: Tile, layer: Layer, grid: _Grid) -> Iterable[Name]:
    """One for each straight piece of a named road, its parts put together first: mappers cut roads at every sign."""
    named: dict[str, tuple[float, dict[str, str], list[list[int]]]] = {}
    for feature in layer.features:
        paint = line_paint("roads", feature.properties)
        texts = _texts(feature.properties)
        if paint not in _ROAD_RANKS or not texts or (paint is Paint.path and tile.z < NAMED_PATHS_ZOOM):
            continue
        rank, known, parts = named.setdefault(texts[""], (_ROAD_RANKS[paint], texts, []))
        named[texts[""]] = (min(rank, _ROAD_RANKS[paint]), known, parts)
        parts += feature.parts
    for rank, texts, parts in named.values():
        pieces = [_straightest(grid.places(part)) for part in _joined(parts)]
        for x, y, to_x, to_y in pieces:
            length = math.hypot(to_x - x, to_y - y)
            if length:
                angle = math.atan2(to_y - y, to_x - x)
                yield Name(NameKind.road, texts, (x + to_x) / 2, (y + to_y) / 2, rank, angle, length)


def _joined(parts: Sequence[list[int]]) -> list[list[int]]:
    """Lines that begin where another ends, as one."""
    begins: dict[tuple[int, int], list[list[int]]] = {}
    for part in parts:
        begins.setdefault((part[0], part[1]), []).append(part)
    ends = {(part[-2], part[-1]) for part in parts}
    heads = [part for part in parts if (part[0], part[1]) not in ends] + list(parts)
    used: set[int] = set()
    joined = []
    for head in heads:
        line: list[int] = []
        following: list[int] | None = head
        while following is not None and id(following) not in used:
            used.add(id(following))
            line += following[2:] if line else following
            unused = [other for other in begins.get((line[-2], line[-1]), ()) if id(other) not in used]
            following = unused[0] if unused else None
        if line:
            joined.append(line)
    return joined


def _straightest(places: Sequence[float]) -> tuple[float, float, float, float]:
    """From where to where a line is straight for longest."""
    best = (places[0], places[1], places[0], places[1])
    longest = 0.0
    begin = 0
    count = len(places) // 2
    while begin < count - 1:
        x, y = places[2 * begin], places[2 * begin + 1]
        way = math.atan2(places[2 * begin + 3] - y, places[2 * begin + 2] - x)
        end = begin + 1
        while end < count - 1:
            bearing = math.atan2(places[2 * end + 3] - places[2 * end + 1], places[2 * end + 2] - places[2 * end])
            if abs(math.remainder(bearing - way, math.tau)) > STRAIGHT:
                break
            end += 1
        length = math.hypot(places[2 * end] - x, places[2 * end + 1] - y)
        if length > longest:
            longest, best = length, (x, y, places[2 * end], places[2 * end + 1])
        begin = end
    return best
