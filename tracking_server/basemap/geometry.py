"""The two things that go wrong at the edge of an extract, as pure geometry (degrees in, degrees out).

An extract that was cut out of a larger one has ways whose outer places are missing, and its sea is nothing but the
coastlines that cross it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import shapely
from shapely import LineString, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

XY = tuple[float, float]
Bounds = tuple[float, float, float, float]  # west, south, east, north

LEFT_BY = 1e-6  # degrees, about 10 cm: far less than the land between two coastlines


def runs(places: Iterable[XY | None]) -> Iterator[list[XY]]:
    """The parts of a way whose places are known; one place alone is no line."""
    run: list[XY] = []
    for place in places:
        if place is not None:
            run.append(place)
            continue
        if len(run) > 1:
            yield run
        run = []
    if len(run) > 1:
        yield run


def land(bounds: Bounds, coastlines: Sequence[Sequence[XY]]) -> BaseGeometry:
    """The part of the box that is not sea. A coastline has land on its left and sea on its right.

    Runs that end inside the box, because the extract has no more of them, are prolonged to its nearest side.
    """
    area = box(*bounds)
    lines = [LineString(run) for run in coastlines if len(run) > 1]
    lines = [line for line in lines if line.intersects(area)]
    if not lines:
        return area
    joined = shapely.line_merge(shapely.union_all(lines), directed=True)
    prolonged = [_to_the_sides(line, area) for line in shapely.get_parts(joined)]
    edges = shapely.union_all([area.exterior, *(shapely.intersection(line, area) for line in prolonged)])
    pieces = [piece for piece in shapely.get_parts(shapely.polygonize([edges])) if not piece.is_empty]
    left, right = _beside(lines, area)
    tree = shapely.STRtree(pieces)
    on_land = _counts(tree.query(left, predicate="within")[1], len(pieces))
    at_sea = _counts(tree.query(right, predicate="within")[1], len(pieces))
    return shapely.union_all([piece for piece, dry, wet in zip(pieces, on_land, at_sea, strict=True) if dry > wet])


def _to_the_sides(line: LineString, area: Polygon) -> LineString:
    places = list(line.coords)
    if places[0] == places[-1]:
        return line
    for at_the_end in (False, True):
        end = Point(places[-1] if at_the_end else places[0])
        if area.contains(end):
            side = area.exterior.interpolate(area.exterior.project(end))
            places.insert(len(places) if at_the_end else 0, (side.x, side.y))
    return LineString(places)


def _beside(lines: Sequence[LineString], area: Polygon) -> tuple[list[Point], list[Point]]:
    """A place on the left and one on the right of the middle of every segment, as far as it is in the box."""
    left, right = [], []
    for line in lines:
        places = list(line.coords)
        for (x1, y1), (x2, y2) in itertools.pairwise(places):
            inside = shapely.intersection(LineString([(x1, y1), (x2, y2)]), area)
            length = math.hypot(x2 - x1, y2 - y1)
            if length == 0 or inside.is_empty:
                continue
            middle = inside.interpolate(0.5, normalized=True) if inside.length else inside
            across, along = -(y2 - y1) / length * LEFT_BY, (x2 - x1) / length * LEFT_BY
            left.append(Point(middle.x + across, middle.y + along))
            right.append(Point(middle.x - across, middle.y - along))
    return left, right


def _counts(found: Iterable[int], length: int) -> list[int]:
    counts = [0] * length
    for index in found:
        counts[index] += 1
    return counts
