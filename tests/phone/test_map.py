"""Where things are on the map, what is drawn of them, and which names are written."""

from __future__ import annotations

import itertools
import math
from threading import Event

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tech_app.core.fix import Fix
from tech_app.core.geo import distance_m
from tech_app.core.map import marks
from tech_app.core.map.lines import MOST_VERTICES, VERTEX_FLOATS, Triangles, dashes
from tech_app.core.map.mercator import LEAST_ZOOM, MOST_ZOOM, Tile, View, metres_wide, to_place, to_world
from tech_app.core.map.names import write
from tech_app.core.map.paper import Paper
from tech_app.core.map.picture import Name, NameKind, Picture, draw
from tech_app.core.map.shelf import Shelf
from tech_app.core.map.show import stand_ins
from tech_app.core.map.style import DARK, LAYERS, LIGHT, STROKES, Look, Paint, area_paint, line_paint
from tests.support.tiles import Thing, vector_tile
from tracking_server.basemap import schema

HELSINKI = (60.1700, 24.9440)
VIEW = View(*to_world(*HELSINKI), 15.0, 412.0, 600.0)

places = st.tuples(st.floats(-85, 85), st.floats(-180, 180))
zooms = st.floats(LEAST_ZOOM, MOST_ZOOM)
views = st.builds(
    lambda place, zoom, width, height: View(*to_world(*place), zoom, width, height),
    st.tuples(st.floats(-70, 70), st.floats(-170, 170)),
    st.floats(8, MOST_ZOOM),
    st.floats(100, 1500),
    st.floats(100, 3000),
)


# ---- where ----


@given(places)
def test_a_place_comes_back(place: tuple[float, float]) -> None:
    """From the world's square."""
    assert to_place(*to_world(*place)) == pytest.approx(place, abs=1e-9)


def test_metres_are_metres() -> None:
    """At every latitude: a step on the square is as long as on the earth."""
    for lat in (0.0, 41.1, 60.17, -33.9):
        x, y = to_world(lat, 24.0)
        there = to_place(x + 1e-6, y)
        assert distance_m(lat, 24.0, *there) == pytest.approx(1e-6 * metres_wide(y), rel=0.01)


@given(views, st.floats(-3, 3), st.floats(0, 1), st.floats(0, 1))
def test_what_is_under_the_finger_stays_there(view: View, by: float, right: float, up: float) -> None:
    """While the map is turned larger or smaller, and when it is dragged."""
    at = (view.width * right, view.height * up)
    place = view.in_world(*at)
    assert view.zoomed(by, *at).on_screen(*place) == pytest.approx(at, abs=0.01)
    assert view.moved(30, -20).on_screen(*place) == pytest.approx((at[0] + 30, at[1] - 20), abs=0.01)


@given(views)
def test_tiles_cover_the_view(view: View) -> None:
    """All of it, with tiles of the zooms that there are, each once, the middle one first."""
    tiles = view.tiles(4, 15)
    assert len(set(tiles)) == len(tiles)
    z = tiles[0].z
    assert all(tile.z == z and 4 <= z <= 15 for tile in tiles)
    for right, up in itertools.product((0.0, 0.5, 1.0), repeat=2):
        x, y = view.in_world(view.width * right, view.height * up)
        if 0 <= x < 1 and 0 <= y < 1:
            assert Tile(z, math.floor(x * 2**z), math.floor(y * 2**z)) in tiles
    assert abs((tiles[0].x + 0.5) / 2**z - view.x) <= 0.5 / 2**z + 1e-12
    assert abs((tiles[0].y + 0.5) / 2**z - view.y) <= 0.5 / 2**z + 1e-12


@given(views, st.lists(st.tuples(st.floats(-60, 60), st.floats(-150, 150)), min_size=1, max_size=5))
def test_all_that_is_to_be_seen_is_seen(view: View, shown: list[tuple[float, float]]) -> None:
    """Unless it is farther apart than the map goes; one place alone is not looked at through a magnifier."""
    world = [to_world(*place) for place in shown]
    left, bottom, right, top = room = (view.width * 0.1, view.height * 0.3, view.width * 0.7, view.height * 0.8)
    fitting = view.fitting(world, room)
    assert fitting.zoom <= 16.0 + 1e-9
    if fitting.zoom > LEAST_ZOOM:
        for x, y in world:
            across, up = fitting.on_screen(x, y)
            assert left - 1 <= across <= right + 1
            assert bottom - 1 <= up <= top + 1


# ---- lines ----


def vertices_of(triangles: Triangles) -> list[tuple[float, ...]]:
    flat = [number for vertices, _ in triangles.pieces for number in vertices]
    return [tuple(flat[i : i + VERTEX_FLOATS]) for i in range(0, len(flat), VERTEX_FLOATS)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), max_size=40), st.booleans())
def test_a_line_is_as_wide_everywhere(line: list[tuple[int, int]], closed: bool) -> None:
    """On both sides of every place of it, and never runs out into long points."""
    triangles = Triangles()
    triangles.add_line([float(number) for place in line for number in place], closed)
    for _, _, right, up, side in vertices_of(triangles):
        assert abs(side) == 1.0
        assert 0.999 <= math.hypot(right, up) <= 2.4
    for vertices, indices in triangles.pieces:
        assert len(indices) % 3 == 0
        assert all(index < len(vertices) // VERTEX_FLOATS for index in indices)
    distinct = [place for place, _ in itertools.groupby(line)]
    assert bool(triangles.pieces) == (len(distinct) > 1)


def test_a_line_of_any_length_is_drawn_whole() -> None:
    """In pieces that a graphics chip can count."""
    triangles = Triangles()
    triangles.add_line([float(number) for i in range(100_000) for number in (i, i % 2)])
    drawn = {round(vertex[0]) for vertex in vertices_of(triangles)}
    assert drawn == set(range(100_000))
    assert all(len(vertices) <= MOST_VERTICES * VERTEX_FLOATS for vertices, _ in triangles.pieces)


def test_dashes_are_even() -> None:
    """Around corners too, and the rest of the line is gap."""
    parts = dashes([0.0, 0.0, 10.0, 0.0, 10.0, 10.0], 4.0, 3.0)
    lengths = [
        sum(math.dist(part[i : i + 2], part[i + 2 : i + 4]) for i in range(0, len(part) - 2, 2)) for part in parts
    ]
    assert lengths == pytest.approx([4.0, 4.0, 4.0])
    assert parts[1] == pytest.approx([7.0, 0.0, 10.0, 0.0, 10.0, 1.0])


# ---- what of a tile ----


def picture_of(layers: dict[str, list[Thing]]) -> Picture:
    """With areas cut into one triangle of their first three places."""
    tile = Tile(15, 18_654, 9_484)
    anchor = (tile.x / 2**tile.z, tile.y / 2**tile.z)
    return draw(tile, vector_tile(layers), anchor, lambda rings: rings[0][:6])


def test_every_kind_of_road_is_drawn() -> None:
    """Of those that our basemaps have: wide ones with a casing, those under ground paler."""
    for value in (*schema.ROADS, *(f"rail {value}" for value in schema.RAILS)):
        tags = {"railway": value.removeprefix("rail ")} if value.startswith("rail ") else {"highway": value}
        meaning = schema.of_line(tags)
        assert meaning is not None
        paint = line_paint(meaning.layer, meaning.properties(tags))
        assert paint in STROKES, value
    tunnel = {"kind": "major_road", "is_tunnel": True}
    assert line_paint("roads", tunnel) is Paint.tunnel
    picture = picture_of({"roads": [(2, {"kind": "major_road"}, [[(0, 0), (9, 9)]])]})
    assert picture.lines[Paint.major] is picture.lines[Paint.major_casing]


def test_water_and_green_are_areas() -> None:
    """Those of our basemaps; what is everywhere in a town (`residential`) is left as it is."""
    assert area_paint("water", {"kind": "lake"}) is Paint.water
    assert {area_paint("landuse", {"kind": kind}) for kind in ("park", "forest", "grass")} == {Paint.green}
    assert area_paint("landuse", {"kind": "residential"}) is None
    picture = picture_of({"water": [(3, {"kind": "lake"}, [[(0, 0), (4096, 0), (0, 4096)]])]})
    ((vertices, indices),) = picture.areas[Paint.water].pieces
    assert list(indices) == [0, 1, 2]
    assert list(vertices[:2]) == [0.0, 0.0]
    assert list(vertices[5:7]) == [512.0, 0.0]  # a tile of zoom 15 is 512 steps wide
    assert list(vertices[10:12]) == [0.0, -512.0]  # and goes down


def test_an_area_has_no_edge_where_its_tile_was_cut() -> None:
    """A house on two tiles is one house."""
    house = [(4000, 100), (4160, 100), (4160, 200), (4000, 200)]
    picture = picture_of({"buildings": [(3, {"kind": "building"}, [house])]})
    ((vertices, indices),) = picture.edges[Paint.building].pieces
    corners = [(round(vertices[VERTEX_FLOATS * i]), round(vertices[VERTEX_FLOATS * i + 1])) for i in indices]
    sides = {frozenset(corners[i : i + 3]) for i in range(0, len(corners), 3)}
    north_west, north_east, south_east, south_west = (500, -12), (520, -12), (520, -25), (500, -25)
    assert {north_west, north_east} in sides
    assert {north_west, south_west} in sides
    assert {south_west, south_east} in sides
    assert {north_east, south_east} not in sides


def test_parts_of_a_road_have_one_name() -> None:
    """Along its straightest piece, whatever the mapper cut it into."""
    parts = [(0, 0), (1000, 0)], [(1000, 0), (2000, 10)], [(2000, 10), (2000, 900)]
    told = {"kind": "minor_road", "name": "Rantakatu", "name:ar": "شارع"}
    picture = picture_of({"roads": [(2, told, [list(part)]) for part in parts]})
    (name,) = picture.names
    assert (name.kind, name.text("en"), name.text("ar")) == (NameKind.road, "Rantakatu", "شارع")
    assert name.length == pytest.approx(2000 / 8, rel=0.01)
    assert name.angle == pytest.approx(0.0, abs=0.02)


steps = st.tuples(st.integers(-5_000, 9_000), st.integers(-5_000, 9_000))
told = st.dictionaries(
    st.sampled_from(["kind", "name", "name:ar", "population_rank", "is_tunnel", "kind_detail"]),
    st.sampled_from(["major_road", "path", "neighbourhood", "building", "park", "", "  ", "x", 7, 2.5, True]),
)
things = st.tuples(st.sampled_from([1, 2, 3]), told, st.lists(st.lists(steps, min_size=1, max_size=8), max_size=4))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(LAYERS)), st.lists(things, max_size=6)))
@example({"places": [(1, {"kind": "major_road", "name": "x", "name:ar": "  "}, [[(0, 0)]])]})
def test_any_tile_can_be_drawn(layers: dict[str, list[Thing]]) -> None:
    """Whatever stands in it where: lines of one place, areas of two, names that are numbers, roads that are points."""
    picture = picture_of(layers)
    assert all(name.text("ar").strip() for name in picture.names)
    assert write(picture.names, PAPER, "ar", measure, [], set()) is not None


# ---- names ----

PAPER = Paper(VIEW, to_world(*HELSINKI), 1.0, LIGHT)


def measure(text: str, _: NameKind) -> tuple[float, float]:
    return 8.0 * len(text), 16.0


names = st.builds(
    lambda kind, text, x, y, angle: Name(kind, {"": text}, x, y, 0.0, angle if kind is NameKind.road else 0.0, 200.0),
    st.sampled_from(list(NameKind)),
    st.text("abcdef", min_size=3, max_size=12),
    st.floats(-220, 220),
    st.floats(-320, 320),
    st.floats(-3.2, 3.2),
)


@settings(deadline=None)
@given(st.lists(names, max_size=60))
def test_names_hide_neither_each_other_nor_the_marks(wanted: list[Name]) -> None:
    """Level ones never meet, none stands in a taken place or leaves the map, and no road's name is upside down."""
    taken = (150.0, 250.0, 260.0, 350.0)
    written = write(wanted, PAPER, "en", measure, [taken], set())
    level = [one for one in written if not one.angle]
    boxes = [
        (one.left - one.width / 2, one.up - one.height / 2, one.left + one.width / 2, one.up + one.height / 2)
        for one in level
    ]
    for a, b in itertools.combinations([*boxes, taken], 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert all(box[0] >= 0 and box[1] >= 0 and box[2] <= VIEW.width and box[3] <= VIEW.height for box in boxes)
    assert all(abs(one.angle) <= math.pi / 2 for one in written)


def test_the_important_name_is_written() -> None:
    """A suburb's before a street's; a name that was seen stays when an equal one could take its place."""
    suburb = Name(NameKind.neighbourhood, {"": "Kluuvi"}, 0.0, 0.0, -5.0)
    street = Name(NameKind.road, {"": "Mikonkatu"}, 0.0, 5.0, 1.0, 0.0, 300.0)
    assert [one.text for one in write([street, suburb], PAPER, "en", measure, [], set())] == ["Kluuvi"]
    first, second = (Name(NameKind.road, {"": text}, 0.0, 0.0, 1.0, 0.0, 300.0) for text in ("Aa", "Bb"))
    assert [one.text for one in write([first, second], PAPER, "en", measure, [], {"Bb"})] == ["Bb"]


def test_a_road_too_short_for_its_name_has_none() -> None:
    """Nor is one name written all over the map."""
    short = Name(NameKind.road, {"": "Birger Brunilan puistokuja"}, 0.0, 0.0, 1.0, 0.0, 100.0)
    assert write([short], PAPER, "en", measure, [], set()) == []
    pieces = [Name(NameKind.road, {"": "Mikonkatu"}, x, 0.0, 1.0, 0.0, 100.0) for x in (-100.0, 0.0, 100.0)]
    assert len(write(pieces, PAPER, "en", measure, [], set())) == 1


# ---- colours ----


def contrast(colour: tuple[float, ...], other: tuple[float, ...]) -> float:
    def light(rgb: tuple[float, ...]) -> float:
        linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb)
        return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    bright, dim = sorted((light(colour), light(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["day", "night"])
def test_the_map_can_be_read_in_the_sun(look: Look) -> None:
    """Names against their halo, marks and the way against what they lie on."""
    assert contrast(look.name, look.halo) >= 7
    assert contrast(look.water_name, look.halo) >= 4.5
    for mark in (look.job, look.position, look.route, look.grey):
        assert contrast(mark, look.mark_rim) >= 4.5
        assert contrast(mark, look.paints[Paint.earth]) >= 3
    assert contrast(look.paints[Paint.water], look.paints[Paint.earth]) >= 1.25


# ---- marks ----

FIX = Fix(1_000.0, *HELSINKI, accuracy_m=50.0, speed_mps=5.0, course_deg=90.0)


def test_doubt_is_drawn_to_scale() -> None:
    """A circle whose radius is the accuracy in metres, which shrinks with the map; a good fix has none."""
    doubt = marks.position_marks(PAPER, FIX, 1_001.0)[0]
    assert doubt.half_width * metres_wide(VIEW.y) / VIEW.scale == pytest.approx(50.0)
    good = Fix(1_000.0, *HELSINKI, accuracy_m=4.0)
    assert all(mark.tint[3] == 1.0 for mark in marks.position_marks(PAPER, good, 1_001.0))


def test_an_old_position_is_grey() -> None:
    """And says nothing of where it was going: only a present one that moves has a beak."""
    now, old = marks.position_marks(PAPER, FIX, 1_010.0), marks.position_marks(PAPER, FIX, 1_200.0)
    assert len(old) == len(now) - 2
    assert now[-1].tint[:3] == LIGHT.position
    assert old[-1].tint[:3] == LIGHT.grey
    still = Fix(1_000.0, *HELSINKI, accuracy_m=50.0, speed_mps=0.2, course_deg=90.0)
    assert len(marks.position_marks(PAPER, still, 1_010.0)) == len(now) - 2


def test_the_pin_stands_on_the_door() -> None:
    """Its point is there, the rest above."""
    (_, body, _) = marks.job_marks(PAPER, HELSINKI)
    corners = vertices_of(body.triangles)
    assert min(up for _, _, _, up, _ in corners) == 0.0
    assert [(right, up) for _, _, right, up, _ in corners].count((0.0, 0.0)) == 1


# ---- tiles in memory ----


def test_the_shelf_keeps_within_its_bound() -> None:
    """The least lately wanted goes first; what is wanted now stays even when it alone is too much."""
    made = Event()
    kept: Shelf[str] = Shelf(lambda tile: "x" * 40, len, 100, made.set)
    tiles = [Tile(9, x, 0) for x in range(5)]
    try:
        for tile in tiles:
            made.clear()
            kept.want([tile])
            assert made.wait(5)
        kept.want([tiles[4]])
        assert kept.size_bytes <= 100
        assert kept.find(tiles[4]) is not None
        assert kept.find(tiles[0]) is None
    finally:
        kept.close()


def test_a_tile_that_cannot_be_made_is_told_once() -> None:
    """It is not tried again and again; the others come."""
    asked: list[Tile] = []
    ready = Event()

    def make(tile: Tile) -> str:
        asked.append(tile)
        if tile.x == 0:
            raise ValueError("damaged")
        return "whole"

    kept: Shelf[str] = Shelf(make, len, 1_000, ready.set)
    bad, good = Tile(9, 0, 0), Tile(9, 1, 0)
    try:
        for _ in range(3):
            ready.clear()
            if len(kept.want([bad, good])) < 1:
                ready.wait(5)
            while kept.busy:
                ready.wait(0.01)
        assert kept.want([bad, good]) == {good: "whole"}
        assert str(kept.trouble) == "damaged"
        assert asked == [bad, good]
        kept.retry()
        kept.want([bad])
        while kept.busy:
            ready.wait(0.01)
        assert asked == [bad, good, bad]
    finally:
        kept.close()


def test_what_is_not_there_yet_is_stood_in_for() -> None:
    """By a coarser picture, else by finer ones."""
    wanted = [Tile(12, 8, 8), Tile(12, 9, 8), Tile(12, 20, 20)]
    here = {wanted[0]: Picture(), wanted[1]: None}
    coarse, fine = Picture(), Picture()
    found = {Tile(10, 5, 5): coarse, Tile(13, 41, 41): fine}
    assert stand_ins(wanted, here, found.get) == {wanted[0]: here[wanted[0]], Tile(10, 5, 5): coarse}
    del found[Tile(10, 5, 5)]
    assert stand_ins(wanted, here, found.get) == {wanted[0]: here[wanted[0]], Tile(13, 41, 41): fine}
