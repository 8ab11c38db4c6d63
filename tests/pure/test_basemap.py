"""What is drawn and where, before any file is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from shapely import Point, box

from tracking_server.basemap import schema
from tracking_server.basemap.geometry import XY, land, runs
from tracking_server.basemap.view import Archive, MapKind, basemap_of
from tracking_server.settings import Settings

BOX = (24.0, 60.0, 25.0, 61.0)
ARCHIVE = Archive((24.93, 60.16, 24.96, 60.18), 15, "abc")


def test_a_clipped_way_keeps_what_is_known_of_it() -> None:
    """Unknown places cut it into runs; one place alone is no line."""
    a, b, c, d = (0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0)
    assert list(runs([None, a, b, None, c, None, None, c, d])) == [[a, b], [c, d]]
    assert list(runs([a, b, c])) == [[a, b, c]]
    assert list(runs([None, a])) == []


@given(st.lists(st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1))))
def test_runs_lose_only_lonely_places(places: list[XY | None]) -> None:
    """Together, in their order, they are the known places that have a known neighbour."""
    around = [None, *places, None]
    kept = [here for before, here, after in zip(around, places, around[2:], strict=False) if here and (before or after)]
    assert [place for run in runs(places) for place in run] == kept


def test_without_a_coast_all_is_land() -> None:
    """Also when the coast is somewhere else."""
    assert land(BOX, []).equals(box(*BOX))
    assert land(BOX, [[(30.0, 60.0), (30.0, 61.0)]]).equals(box(*BOX))


def test_land_is_on_the_left_of_a_coastline() -> None:
    """Northward along the middle: the west is land. The other way round: the east."""
    coast = [(24.5, 59.0), (24.5, 62.0)]
    assert land(BOX, [coast]).equals(box(24.0, 60.0, 24.5, 61.0))
    assert land(BOX, [coast[::-1]]).equals(box(24.5, 60.0, 25.0, 61.0))


def test_a_coastline_that_ends_inside_goes_on_to_the_nearest_side() -> None:
    """An extract lacks the places outside it."""
    coast = [(24.5, 60.01), (24.4, 60.5), (24.5, 60.98)]
    dry = land(BOX, [coast[:2], coast[1:]])
    assert dry.contains(Point(24.2, 60.5))
    assert not dry.contains(Point(24.7, 60.5))
    assert dry.area == pytest.approx(0.45, abs=0.01)


def test_islands_are_land_and_bays_between_two_coasts_are_sea() -> None:
    """An island's ring has its land inside; a strait has a coast on either side."""
    island = [(24.45, 60.45), (24.55, 60.45), (24.55, 60.55), (24.45, 60.55), (24.45, 60.45)]
    west, east = [(24.3, 59.9), (24.3, 61.1)], [(24.7, 61.1), (24.7, 59.9)]
    dry = land(BOX, [island, west, east])
    for place, is_land in (((24.1, 60.5), True), ((24.4, 60.5), False), ((24.5, 60.5), True), ((24.9, 60.5), True)):
        assert dry.contains(Point(place)) is is_land


def test_roads_have_the_kinds_that_styles_draw() -> None:
    """With their names in the languages of our pages, their number, and from which zoom they are drawn."""
    tags = {
        "highway": "primary",
        "name": "Mannerheimintie",
        "name:sv": "Mannerheimvägen",
        "ref": "E12;4",
        "surface": "asphalt",
    }
    meaning = schema.of_line(tags)
    assert meaning is not None
    assert meaning.layer == "roads"
    assert meaning.properties(tags) == {
        "kind": "major_road", "min_zoom": 7, "kind_detail": "primary", "ref": "E12;4", "shield_text": "E12",
        "name": "Mannerheimintie",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tags", "layer", "kind", "min_zoom"),
    [
        ({"highway": "motorway_link"}, "roads", "highway", 9),
        ({"highway": "footway", "footway": "sidewalk"}, "roads", "path", 15),
        ({"highway": "residential"}, "roads", "minor_road", 12),
        ({"railway": "tram"}, "roads", "rail", 13),
        ({"man_made": "pier"}, "roads", "path", 13),
        ({"waterway": "river"}, "water", "river", 9),
    ],
)
def test_lines(tags: dict[str, str], layer: str, kind: str, min_zoom: int) -> None:
    """What is drawn as a line, and from where on."""
    meaning = schema.of_line(tags)
    assert meaning is not None
    assert (meaning.layer, meaning.kind, meaning.min_zoom) == (layer, kind, min_zoom)


@pytest.mark.parametrize(
    ("tags", "layer", "kind"),
    [
        ({"building": "yes", "landuse": "retail"}, "buildings", "building"),
        ({"natural": "water", "water": "pond"}, "water", "lake"),
        ({"leisure": "park"}, "landuse", "park"),
        ({"highway": "pedestrian", "area": "yes"}, "landuse", "pedestrian"),
    ],
)
def test_areas(tags: dict[str, str], layer: str, kind: str) -> None:
    """What is drawn as an area."""
    meaning = schema.of_area(tags)
    assert meaning is not None
    assert (meaning.layer, meaning.kind) == (layer, kind)


def test_what_is_no_map_is_left_out() -> None:
    """Demolished buildings, roads that are closed rings, tunnels of water, a tree."""
    assert schema.of_area({"building": "no"}) is None
    assert schema.of_area({"highway": "pedestrian"}) is None
    assert schema.of_line({"waterway": "stream", "tunnel": "culvert"}) is None
    assert schema.of_line({"highway": "construction"}) is None
    assert schema.of_place({"natural": "tree"}) is None
    assert schema.of_place({"place": "city"}) is None, "it has no name"


def test_a_city_is_ranked_by_its_people() -> None:
    """And by what is usual for a city when nobody counted, or wrote it in words."""
    counted = schema.of_place({"place": "city", "name": "Helsinki", "population": "658 457"})
    assert counted is not None
    assert counted.more["population"] == 658_457
    assert counted.more["population_rank"] == 11
    for unknown in ({}, {"population": "many"}):
        usual = schema.of_place({"place": "city", "name": "Porto", **unknown})
        assert usual is not None
        assert usual.more["population"] == 200_000


def test_a_page_is_told_its_map() -> None:
    """As attributes that name only what there is."""
    assert basemap_of(None).data_attributes == {"data-map-kind": "none"}
    vector = basemap_of(ARCHIVE)
    assert vector.kind is MapKind.vector
    assert vector.data_attributes["data-map-url"] == "/map/region.pmtiles?v=abc"
    assert vector.data_attributes["data-map-bounds"] == "24.93,60.16,24.96,60.18"
    assert vector.image_sources == ()
    assert "OpenStreetMap" in vector.attribution


def test_a_tile_host_is_named_to_the_pages_security_policy() -> None:
    """With its mirrors; and it gives way to an archive."""
    raster = basemap_of(None, "https://{s}.tiles.example:8443/{z}/{x}/{y}.png?key=1", "Example")
    assert raster.image_sources == ("https://*.tiles.example:8443",)
    assert raster.data_attributes["data-map-attribution"] == "Example"
    assert "data-map-bounds" not in raster.data_attributes
    assert basemap_of(ARCHIVE, raster.url, "Example").kind is MapKind.vector


@pytest.mark.parametrize(
    "url",
    [
        "http://tiles.example/{z}/{x}/{y}.png",
        "https://tiles.example/{z}/{x}.png",
        "https://{host}/{z}/{x}/{y}.png",
        "https://tiles.example; script-src *",
        "https://me@tiles.example/{z}/{x}/{y}.png",
    ],
)
def test_a_tile_address_that_cannot_be_used_is_refused(url: str) -> None:
    """With how to write one."""
    with pytest.raises(ValidationError, match="write it as https://HOST"):
        Settings(tile_url=url, tile_attribution="Example")


def test_tiles_need_their_host_named_and_only_one_map() -> None:
    """A host's tiles are not shown without its name."""
    url = "https://tiles.example/{z}/{x}/{y}.png"
    assert Settings(tile_url=url, tile_attribution="Example").tile_url == url
    with pytest.raises(ValidationError, match="DOORSTEP_TILE_ATTRIBUTION: set it"):
        Settings(tile_url=url)
    with pytest.raises(ValidationError, match="pages draw one map"):
        Settings(tile_url=url, tile_attribution="Example", basemap="region.pmtiles")
