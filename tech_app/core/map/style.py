"""What of a tile is drawn, in which order, how wide and in which colour: by the layers and kinds of our basemaps.

They are those of Protomaps basemaps, which `tracking_server/basemap/schema.py` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from tech_app.core.map.vector_tile import Value

LAYERS = frozenset({"earth", "landuse", "water", "roads", "buildings", "places", "boundaries"})


class Paint(IntEnum):
    """Everything that is drawn alike, from the bottom to the top."""

    earth = 0
    quarter = 1  # schools, hospitals, works
    green = 2
    sand = 3
    square = 4
    water = 5
    stream = 6
    pier = 7
    building = 8
    boundary = 9
    ferry = 10
    tunnel = 11
    path = 12
    minor_casing = 13
    major_casing = 14
    highway_casing = 15
    rail = 16
    minor = 17
    major = 18
    highway = 19


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line's width in dp at some zooms; between them it grows evenly, beyond them it stays."""

    widths: tuple[tuple[float, float], ...]

    def width_dp(self, zoom: float) -> float:
        """At this zoom."""
        before = self.widths[0]
        for after in self.widths:
            if zoom < after[0]:
                share = (zoom - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0.0
                return float(before[1] * (after[1] / before[1]) ** share)
            before = after
        return before[1]


CASING_DP = 2.0  # both sides together
_MINOR = Stroke(((12, 0.8), (14, 3.0), (16, 10.0), (18, 30.0)))
_MAJOR = Stroke(((8, 0.8), (12, 2.5), (14, 5.5), (16, 14.0), (18, 40.0)))
_HIGHWAY = Stroke(((5, 0.8), (10, 2.0), (14, 7.0), (16, 18.0), (18, 50.0)))


def _cased(stroke: Stroke) -> Stroke:
    return Stroke(tuple((zoom, width + CASING_DP) for zoom, width in stroke.widths))


# Areas have an edge too: a line of their own colour hides the steps of their outline.
EDGE = Stroke(((0, 1.0),))
STROKES: Mapping[Paint, Stroke] = {
    Paint.stream: Stroke(((9, 0.8), (14, 2.0), (18, 12.0))),
    Paint.boundary: Stroke(((4, 0.8), (14, 1.5))),
    Paint.ferry: Stroke(((11, 0.8), (14, 1.2))),
    Paint.tunnel: Stroke(((12, 0.8), (14, 2.5), (16, 6.0), (18, 16.0))),
    Paint.path: Stroke(((13, 0.7), (15, 1.2), (17, 3.0), (18, 5.0))),
    Paint.rail: Stroke(((11, 0.6), (14, 1.0), (17, 2.0))),
    Paint.minor_casing: _cased(_MINOR),
    Paint.major_casing: _cased(_MAJOR),
    Paint.highway_casing: _cased(_HIGHWAY),
    Paint.minor: _MINOR,
    Paint.major: _MAJOR,
    Paint.highway: _HIGHWAY,
}
CASINGS = {
    Paint.minor: Paint.minor_casing,
    Paint.major: Paint.major_casing,
    Paint.highway: Paint.highway_casing,
}

_AREAS: Mapping[str, Paint] = {
    **dict.fromkeys(
        ("park", "nature_reserve", "golf_course", "garden", "dog_park", "recreation_ground", "forest", "cemetery",
         "grass", "meadow", "village_green", "allotments", "wood", "scrub", "grassland", "heath", "wetland",
         "orchard", "vineyard", "national_park", "pitch", "playground", "zoo"),
        Paint.green,
    ),
    **dict.fromkeys(("sand", "beach", "bare_rock", "scree", "glacier"), Paint.sand),
    **dict.fromkeys(
        ("hospital", "school", "kindergarten", "university", "college", "industrial", "military", "aerodrome"),
        Paint.quarter,
    ),
    "pedestrian": Paint.square,
    "pier": Paint.pier,
    "bridge": Paint.pier,
}  # fmt: skip
_ROADS = {
    "highway": Paint.highway,
    "major_road": Paint.major,
    "minor_road": Paint.minor,
    "path": Paint.path,
    "rail": Paint.rail,
    "aeroway": Paint.major,
    "ferry": Paint.ferry,
}


def area_paint(layer: str, properties: Mapping[str, Value]) -> Paint | None:
    """How an area is drawn; None when it is not."""
    match layer:
        case "earth":
            return Paint.earth
        case "water":
            return Paint.water
        case "buildings":
            return Paint.building if properties.get("kind") == "building" else None
        case "landuse":
            return _AREAS.get(str(properties.get("kind")))
    return None


def line_paint(layer: str, properties: Mapping[str, Value]) -> Paint | None:
    """How a line is drawn; None when it is not."""
    match layer:
        case "water":
            return Paint.stream
        case "boundaries":
            return Paint.boundary
        case "roads":
            paint = _ROADS.get(str(properties.get("kind")))
            under_ground = bool(properties.get("is_tunnel"))
            if under_ground and paint in (Paint.path, Paint.rail):
                return None
            return Paint.tunnel if under_ground and paint is not Paint.ferry else paint
    return None


Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of a map. `nothing` is where the map ends; `grey` what an old position gets."""

    paints: Mapping[Paint, Colour]
    nothing: Colour
    building_edge: Colour
    name: Colour
    water_name: Colour
    halo: Colour
    route: Colour
    route_casing: Colour
    position: Colour
    job: Colour
    mark_rim: Colour
    grey: Colour


def _rgb(code: str) -> Colour:
    return int(code[:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:], 16) / 255


LIGHT = Look(
    {
        Paint.earth: _rgb("f3f1ec"),
        Paint.quarter: _rgb("ece7e1"),
        Paint.green: _rgb("cfe6c4"),
        Paint.sand: _rgb("efe6cc"),
        Paint.square: _rgb("e9e6e2"),
        Paint.water: _rgb("a4cfe9"),
        Paint.stream: _rgb("a4cfe9"),
        Paint.pier: _rgb("f3f1ec"),
        Paint.building: _rgb("dfd8cc"),
        Paint.boundary: _rgb("a79aa8"),
        Paint.ferry: _rgb("7fb3d5"),
        Paint.tunnel: _rgb("e0dcd6"),
        Paint.path: _rgb("b8a58c"),
        Paint.minor_casing: _rgb("bdb6ab"),
        Paint.major_casing: _rgb("c69b3e"),
        Paint.highway_casing: _rgb("b9652a"),
        Paint.rail: _rgb("a3a3a6"),
        Paint.minor: _rgb("ffffff"),
        Paint.major: _rgb("ffe8a6"),
        Paint.highway: _rgb("f9b878"),
    },
    nothing=_rgb("dcdcdc"),
    building_edge=_rgb("c4baa9"),
    name=_rgb("26292e"),
    water_name=_rgb("1d5a80"),
    halo=_rgb("ffffff"),
    route=_rgb("5b2bd0"),
    route_casing=_rgb("ffffff"),
    position=_rgb("0b5fd8"),
    job=_rgb("c21f32"),
    mark_rim=_rgb("ffffff"),
    grey=_rgb("6b7078"),
)
DARK = Look(
    {
        Paint.earth: _rgb("1f2328"),
        Paint.quarter: _rgb("252930"),
        Paint.green: _rgb("22352a"),
        Paint.sand: _rgb("34322a"),
        Paint.square: _rgb("282c32"),
        Paint.water: _rgb("1a4a6e"),
        Paint.stream: _rgb("1a4a6e"),
        Paint.pier: _rgb("1f2328"),
        Paint.building: _rgb("2e333a"),
        Paint.boundary: _rgb("6d6372"),
        Paint.ferry: _rgb("2f5f80"),
        Paint.tunnel: _rgb("2b3037"),
        Paint.path: _rgb("6b6152"),
        Paint.minor_casing: _rgb("15181c"),
        Paint.major_casing: _rgb("15181c"),
        Paint.highway_casing: _rgb("15181c"),
        Paint.rail: _rgb("5c626b"),
        Paint.minor: _rgb("4a515b"),
        Paint.major: _rgb("7c6a3c"),
        Paint.highway: _rgb("96602f"),
    },
    nothing=_rgb("101215"),
    building_edge=_rgb("434a53"),
    name=_rgb("eceff3"),
    water_name=_rgb("9cc8e6"),
    halo=_rgb("121519"),
    route=_rgb("b79dff"),
    route_casing=_rgb("121519"),
    position=_rgb("6aa9ff"),
    job=_rgb("ff6b78"),
    mark_rim=_rgb("121519"),
    grey=_rgb("9aa1ab"),
)


def look_of(dark: bool) -> Look:
    """The colours by day or by night."""
    return DARK if dark else LIGHT
