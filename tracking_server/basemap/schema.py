"""What an OpenStreetMap object is in the tile schema of Protomaps basemaps (version 4), by its tags.

Pure: tags in, a `Meaning` out, None for what is not drawn. Layers and kinds are those that protomaps-leaflet and the
styles of Protomaps read; points of interest, which no style of ours draws, are left out.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from tracking_server import words

Tags = Mapping[str, str]
Value = str | int | float | bool

NAMES = {"name", *(f"name:{language}" for language in words.LANGUAGES)}  # those that our pages can show
METRES = re.compile(r"(\d+(?:\.\d+)?)(?: ?m)?")
LEVEL_M = 3.0  # the usual height of a storey

# highway -> kind, and the zoom from which it is drawn
ROADS = {
    "motorway": ("highway", 4),
    "motorway_link": ("highway", 9),
    "trunk": ("major_road", 6),
    "trunk_link": ("major_road", 9),
    "primary": ("major_road", 7),
    "primary_link": ("major_road", 11),
    "secondary": ("major_road", 9),
    "secondary_link": ("major_road", 12),
    "tertiary": ("major_road", 9),
    "tertiary_link": ("major_road", 12),
    "residential": ("minor_road", 12),
    "unclassified": ("minor_road", 12),
    "living_street": ("minor_road", 12),
    "road": ("minor_road", 12),
    "busway": ("minor_road", 12),
    "service": ("minor_road", 13),
    "pedestrian": ("path", 12),
    "track": ("path", 12),
    "cycleway": ("path", 13),
    "path": ("path", 13),
    "bridleway": ("path", 13),
    "footway": ("path", 14),
    "steps": ("path", 14),
    "corridor": ("path", 14),
}
BESIDE_A_ROAD = {"sidewalk", "crossing", "traffic_island"}  # drawn only where there is room for them
BESIDE_A_ROAD_ZOOM = 15
RAILS = {"rail": 11, "narrow_gauge": 12, "light_rail": 13, "subway": 13, "monorail": 13, "funicular": 13, "tram": 13}
AEROWAYS = {"runway": 10, "taxiway": 12}

# place -> kind, zoom, and the people who live in one of which nothing is said
PLACES = {
    "country": ("country", 4, 5_000_000),
    "state": ("region", 6, 1_000_000),
    "province": ("region", 6, 1_000_000),
    "city": ("locality", 7, 200_000),
    "town": ("locality", 8, 10_000),
    "village": ("locality", 11, 2_000),
    "hamlet": ("locality", 13, 100),
    "suburb": ("neighbourhood", 12, 5_000),
    "quarter": ("neighbourhood", 13, 2_000),
    "neighbourhood": ("neighbourhood", 14, 1_000),
}
# population_rank counts how many of these a population reaches
POPULATIONS = (
    0, 200, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 5_000_000, 10_000_000,
    20_000_000, 50_000_000, 100_000_000, 1_000_000_000,
)  # fmt: skip

WATER_LINES = {"river": 9, "canal": 12, "stream": 14, "ditch": 15, "drain": 15}
WATER_NAMES = {"bay": 10, "strait": 9, "fjord": 9}
STILL_WATERS = {"lake", "pond", "reservoir", "lagoon", "oxbow"}

# key -> its values that are a kind of land use, with the zoom from which it is drawn
LAND_USES: dict[str, dict[str, int]] = {
    "leisure": {
        "park": 9, "nature_reserve": 7, "golf_course": 10, "garden": 13, "playground": 14, "pitch": 14,
        "stadium": 12, "dog_park": 14, "recreation_ground": 12,
    },
    "landuse": {
        "forest": 7, "cemetery": 11, "grass": 13, "meadow": 12, "village_green": 13, "allotments": 12,
        "recreation_ground": 12, "military": 10, "industrial": 11, "commercial": 12, "retail": 12, "residential": 10,
        "railway": 12, "farmland": 9, "orchard": 11, "vineyard": 11,
    },
    "natural": {
        "wood": 7, "scrub": 10, "grassland": 10, "heath": 10, "sand": 11, "beach": 11, "bare_rock": 11, "scree": 11,
        "glacier": 7, "wetland": 10,
    },
    "amenity": {"hospital": 12, "school": 13, "kindergarten": 14, "university": 12, "college": 13},
    "tourism": {"zoo": 12},
    "aeroway": {"aerodrome": 9},
    "boundary": {"national_park": 7, "protected_area": 8},
    "highway": {"pedestrian": 13, "footway": 14},
    "place": {"square": 13},
    "man_made": {"pier": 12, "bridge": 13},
}  # fmt: skip
SAME_AS = {"square": "pedestrian", "footway": "pedestrian"}  # how a style knows it
BUILDING_ZOOM = 14

# admin_level -> kind, and zoom
BOUNDARIES = {2: ("country", 4), 4: ("region", 6), 6: ("county", 9), 8: ("locality", 11)}


@dataclass(frozen=True, slots=True)
class Meaning:
    """The layer something belongs to, its kind, the zoom from which it is drawn, and what else the schema has."""

    layer: str
    kind: str
    min_zoom: int
    more: Mapping[str, Value] = field(default_factory=dict)

    def properties(self, tags: Tags) -> dict[str, Value]:
        """As they stand in a tile, with the names."""
        return {"kind": self.kind, "min_zoom": self.min_zoom, **self.more, **names(tags)}


def names(tags: Tags) -> dict[str, Value]:
    """The name, and the names in the languages of our pages: others would only be carried to phones and back."""
    return {key: value for key, value in tags.items() if key in NAMES}


def of_line(tags: Tags) -> Meaning | None:
    """A way that is drawn as a line."""
    for meaning in (_road, _rail, _other_way, _water_line):
        if (found := meaning(tags)) is not None:
            return found
    return None


def of_area(tags: Tags) -> Meaning | None:
    """A closed way or a multipolygon. What could be either is an area only when it says so."""
    return _building(tags) or _water_area(tags) or _land_use(tags)


def of_place(tags: Tags) -> Meaning | None:
    """A node that is shown by its name."""
    if "name" not in tags:
        return None
    if tags.get("natural") in WATER_NAMES:
        kind = tags["natural"]
        return Meaning("water", kind, WATER_NAMES[kind])
    if tags.get("place") in ("sea", "ocean"):
        return Meaning("water", tags["place"], 4)
    if tags.get("place") not in PLACES:
        return None
    kind, zoom, usual = PLACES[tags["place"]]
    population = _whole(tags.get("population", "")) or usual
    rank = bisect_right(POPULATIONS, population)
    return Meaning(
        "places", kind, zoom, {"kind_detail": tags["place"], "population": population, "population_rank": rank}
    )


def of_water_name(tags: Tags) -> Meaning | None:
    """A named water area, as the point where its name is written."""
    found = _water_area(tags)
    if found is None or "name" not in tags or found.kind in ("river", "swimming_pool"):
        return None
    return Meaning("water", found.kind, 12)


def of_boundary(admin_level: int) -> Meaning | None:
    """A line that bounds an area of this level."""
    if admin_level not in BOUNDARIES:
        return None
    kind, zoom = BOUNDARIES[admin_level]
    return Meaning("boundaries", kind, zoom, {"kind_detail": admin_level})


def _road(tags: Tags) -> Meaning | None:
    value = tags.get("highway")
    if value not in ROADS or tags.get("area") == "yes":
        return None
    kind, zoom = ROADS[value]
    if tags.get(value) in BESIDE_A_ROAD or tags.get("service") in ("parking_aisle", "driveway"):
        zoom = BESIDE_A_ROAD_ZOOM
    more: dict[str, Value] = {"kind_detail": value.removesuffix("_link")}
    more |= {name: True for name, told in _told_of_roads(value, tags) if told}
    if "ref" in tags:
        more |= {"ref": tags["ref"], "shield_text": tags["ref"].partition(";")[0]}
    return Meaning("roads", kind, zoom, more)


def _told_of_roads(value: str, tags: Tags) -> list[tuple[str, bool]]:
    return [
        ("is_link", value.endswith("_link")),
        ("is_bridge", tags.get("bridge", "no") != "no"),
        ("is_tunnel", tags.get("tunnel", "no") != "no"),
        ("oneway", tags.get("oneway") == "yes"),
    ]


def _rail(tags: Tags) -> Meaning | None:
    value = tags.get("railway")
    if value not in RAILS or tags.get("tunnel") == "yes":
        return None
    zoom = 14 if "service" in tags else RAILS[value]
    return Meaning("roads", "rail", zoom, {"kind_detail": value})


def _other_way(tags: Tags) -> Meaning | None:
    if tags.get("aeroway") in AEROWAYS:
        return Meaning("roads", "aeroway", AEROWAYS[tags["aeroway"]], {"kind_detail": tags["aeroway"]})
    if tags.get("man_made") == "pier" and tags.get("area") != "yes":
        return Meaning("roads", "path", 13, {"kind_detail": "pier"})
    if tags.get("route") == "ferry":
        return Meaning("roads", "ferry", 11)
    return None


def _water_line(tags: Tags) -> Meaning | None:
    value = tags.get("waterway")
    if value not in WATER_LINES or tags.get("tunnel", "no") != "no":
        return None
    return Meaning("water", value, WATER_LINES[value])


def _building(tags: Tags) -> Meaning | None:
    for key, kind in (("building", "building"), ("building:part", "building_part")):
        if tags.get(key, "no") != "no" and tags.get("location") != "underground":
            height_m = _metres(tags.get("height", "")) or LEVEL_M * (_whole(tags.get("building:levels", "")) or 0)
            return Meaning("buildings", kind, BUILDING_ZOOM, {"height": height_m} if height_m else {})
    return None


def _water_area(tags: Tags) -> Meaning | None:
    if tags.get("natural") == "water":
        named = tags.get("water", "water")
        return Meaning("water", "lake" if named in STILL_WATERS else named, 6)
    if tags.get("waterway") in ("riverbank", "dock"):
        return Meaning("water", "river" if tags["waterway"] == "riverbank" else "dock", 8)
    if tags.get("landuse") in ("reservoir", "basin"):
        return Meaning("water", "lake", 8)
    if tags.get("leisure") == "swimming_pool" and tags.get("location") != "indoor":
        return Meaning("water", "swimming_pool", 15)
    return None


def _land_use(tags: Tags) -> Meaning | None:
    for key, kinds in LAND_USES.items():
        value = tags.get(key)
        if value not in kinds:
            continue
        if key == "highway" and tags.get("area") != "yes" and tags.get("type") != "multipolygon":
            continue
        return Meaning("landuse", SAME_AS.get(value, value), kinds[value])
    return None


def _metres(text: str) -> float:
    found = METRES.fullmatch(text)
    return float(found.group(1)) if found else 0.0


def _whole(text: str) -> int:
    """Nothing of what is no plain number: people write all sorts of things."""
    digits = text.replace(",", "").replace(" ", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0
