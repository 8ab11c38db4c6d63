"""An OpenStreetMap extract, read with osmium and written as the features of a basemap, one GeoJSON object a line.

osmium comes with the extra `demo`, and is imported only here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from shapely import box, from_wkb
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from tracking_server.basemap import schema
from tracking_server.basemap.geometry import XY, Bounds, land, runs
from tracking_server.basemap.schema import Meaning, Value

LAST_ZOOM = 15  # a page draws 16 and beyond from 15
DIGITS = 7  # OpenStreetMap's own, 1 cm
TOLD_EVERY = 5_000  # objects


class CannotBuild(Exception):
    """No basemap can be made of this; the text says why and what to do."""


@dataclass
class _Features:
    """Writes one GeoJSON feature a line, as tippecanoe reads them."""

    file: IO[str]
    count: int = 0
    coastlines: list[list[XY]] = field(default_factory=list)

    def add(self, geometry: BaseGeometry, meaning: Meaning, properties: dict[str, Value]) -> None:
        """One feature of one layer."""
        if geometry.is_empty:
            return
        zooms = {"layer": meaning.layer, "minzoom": min(meaning.min_zoom, LAST_ZOOM)}
        self.add_json(mapping(geometry), zooms, properties)

    def add_json(self, geometry: Any, zooms: dict[str, Any], properties: dict[str, Value]) -> None:
        """The same of a geometry that is GeoJSON already."""
        feature = {"type": "Feature", "tippecanoe": zooms, "properties": properties, "geometry": geometry}
        self.file.write(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) + "\n")
        self.count += 1

    def add_line(self, places: list[XY], meaning: Meaning, properties: dict[str, Value]) -> None:
        """A run of a way."""
        line = {"type": "LineString", "coordinates": places}
        self.add_json(line, {"layer": meaning.layer, "minzoom": min(meaning.min_zoom, LAST_ZOOM)}, properties)


def write_features(region: Path, features: Path, told: Callable[[int], object]) -> tuple[Bounds, int]:
    """Returns the bounds of the region and the number of features. `told` hears how many objects were read."""
    try:
        return _write_features(region, features, told)
    except RuntimeError as error:  # osmium knows no other
        raise CannotBuild(
            f"{region} is no OpenStreetMap extract ({error}); give the .osm.pbf of a region, as download sites "
            "for OpenStreetMap have them"
        ) from error


def _write_features(region: Path, features: Path, told: Callable[[int], object]) -> tuple[Bounds, int]:
    bounds = _bounds(region)
    levels = _boundary_levels(region)
    with features.open("w", encoding="utf-8") as file:
        written = _Features(file)
        for number, thing in enumerate(_objects(region)):
            if number % TOLD_EVERY == 0:
                told(number)
            _write(thing, levels, written)
        if not written.count:
            raise CannotBuild(f"{region} has nothing to draw; is it a whole extract?")
        _write_land(bounds, written)
    return bounds, written.count


def _objects(region: Path) -> Iterator[Any]:
    """Everything, with the places of the ways' nodes, and with closed ways and multipolygons as areas."""
    import osmium

    return iter(osmium.FileProcessor(str(region)).with_locations().with_areas())


def _bounds(region: Path) -> Bounds:
    """What the file says that it covers, and else what its nodes cover."""
    import osmium

    with osmium.io.Reader(str(region), osmium.osm.NOTHING) as reader:
        told = reader.header().box()
        if told.valid() and told.size():
            return told.bottom_left.lon, told.bottom_left.lat, told.top_right.lon, told.top_right.lat
    west, south, east, north = 180.0, 90.0, -180.0, -90.0
    nodes: Iterator[Any] = iter(osmium.FileProcessor(str(region), osmium.osm.NODE))
    for node in nodes:
        west, east = min(west, node.location.lon), max(east, node.location.lon)
        south, north = min(south, node.location.lat), max(north, node.location.lat)
    if west >= east or south >= north:
        raise CannotBuild(f"{region} covers no area; give the .osm.pbf of a region")
    return west, south, east, north


def _boundary_levels(region: Path) -> dict[int, int]:
    """Ways that bound an administrative area, with the highest of their levels: the ways themselves seldom say."""
    import osmium

    levels: dict[int, int] = {}
    relations: Iterator[Any] = iter(osmium.FileProcessor(str(region), osmium.osm.RELATION))
    for relation in relations:
        level = relation.tags.get("admin_level", "")
        if relation.tags.get("boundary") == "administrative" and level.isdigit():
            for member in relation.members:
                if member.type == "w":
                    levels[member.ref] = min(int(level), levels.get(member.ref, int(level)))
    return levels


def _write(thing: Any, levels: dict[int, int], written: _Features) -> None:
    if thing.is_area():
        _write_area(thing, written)
    elif thing.is_node():
        tags = dict(thing.tags)
        if tags and (meaning := schema.of_place(tags)) and thing.location.valid():
            at = {
                "type": "Point",
                "coordinates": [round(thing.location.lon, DIGITS), round(thing.location.lat, DIGITS)],
            }
            written.add_json(at, {"layer": meaning.layer, "minzoom": meaning.min_zoom}, meaning.properties(tags))
    elif thing.is_way():
        _write_way(thing, levels, written)


def _write_way(way: Any, levels: dict[int, int], written: _Features) -> None:
    tags = dict(way.tags)
    meaning = schema.of_line(tags)
    boundary = schema.of_boundary(levels[way.id]) if way.id in levels else None
    coast = tags.get("natural") == "coastline"
    if not (meaning or boundary or coast):
        return
    for run in runs(_places(way)):
        if meaning:
            written.add_line(run, meaning, meaning.properties(tags))
        if boundary:
            written.add_line(run, boundary, boundary.properties({}))
        if coast:
            written.coastlines.append(run)


def _places(way: Any) -> Iterator[XY | None]:
    for node in way.nodes:
        at = node.location
        yield (round(at.lon, DIGITS), round(at.lat, DIGITS)) if at.valid() else None


def _write_area(area: Any, written: _Features) -> None:
    tags = dict(area.tags)
    meaning = schema.of_area(tags)
    if meaning is None:
        return
    shape = _shape(area)
    if shape is None:
        return
    written.add(shape, meaning, meaning.properties(tags))
    label = schema.of_water_name(tags)
    if label is not None:
        written.add(shape.representative_point(), label, label.properties(tags))


def _shape(area: Any) -> BaseGeometry | None:
    """None for an area whose rings make no sense; there are such in every country."""
    import osmium

    try:
        return from_wkb(osmium.geom.WKBFactory().create_multipolygon(area))
    except RuntimeError:
        return None


def _write_land(bounds: Bounds, written: _Features) -> None:
    """The box as one polygon of land and one of sea."""
    dry = land(bounds, written.coastlines)
    written.add(dry, Meaning("earth", "earth", 0), {"kind": "earth"})
    sea = box(*bounds).difference(dry)
    written.add(sea, Meaning("water", "ocean", 0), {"kind": "ocean"})
