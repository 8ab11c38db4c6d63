"""The map in a real window: what is drawn where, and what fingers do to it."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from PIL import Image

from tech_app.core.atlas import Atlas
from tech_app.core.fix import Fix
from tech_app.core.jobs import Job, State
from tech_app.core.map.archive import OpenArchive
from tech_app.core.map.ground import NO_GROUND, OPENSTREETMAP, Ground
from tech_app.core.map.mercator import Tile, to_place, to_world
from tech_app.core.map.raster import RasterTiles
from tech_app.core.map.style import DARK, LIGHT, Colour, Paint
from tech_app.core.region import Progress, Standing
from tech_app.core.route import Route
from tech_app.core.session import Session
from tech_app.ui.map.job_map import JobMap
from tech_app.ui.map.view import MapView
from tests.support.answering import answering
from tests.support.phone_clock import NOON_S, SetPhoneClock
from tests.support.tiles import Thing, vector_tile, write_archive
from tests.support.window import PHONE, Driver, Look, opened
from tracking_server import region
from tracking_server.routing.valhalla import encode_shape

Point = tuple[float, float]
Touches = list[Point]

TILE = Tile(15, 18_654, 9_484)  # in Helsinki
ANOTHER = Tile(15, 18_656, 9_484)  # with nothing between
NIGHT = replace(PHONE, dark=True)
WHOLE = [(-80, -80), (4176, -80), (4176, 4176), (-80, 4176)]
WEST = [(-80, -80), (2048, -80), (2048, 4176), (-80, 4176)]
ISLAND = [(800, 1800), (1200, 1800), (1200, 2200), (800, 2200)]
BLOCK = [(2600, 2400), (3400, 2400), (3400, 3000), (2600, 3000)]
STREET = [(2048, 1600), (4176, 1600)]


def town(name: str = "Kluuvi") -> bytes:
    """Half of the tile is water with an island, the other half land with a street, a block and a name."""
    layers: dict[str, list[Thing]] = {
        "earth": [(3, {"kind": "earth"}, [WHOLE])],
        "water": [(3, {"kind": "lake"}, [WEST, ISLAND[::-1]])],
        "roads": [(2, {"kind": "major_road", "name": "Mikonkatu"}, [STREET])],
        "buildings": [(3, {"kind": "building"}, [BLOCK])],
        "places": [(1, {"kind": "neighbourhood", "name": name, "name:th": "กลู่วี"}, [[(3000, 800)]])],
    }
    return gzip.compress(vector_tile(layers))


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    archive = OpenArchive(write_archive(tmp_path / "region.pmtiles", {TILE: town(), ANOTHER: town()}))
    # the writer knows nothing of bounds; these are the first tile's
    west, north = to_place(TILE.x / 2**15, TILE.y / 2**15)[::-1]
    east, south = to_place((TILE.x + 1) / 2**15, (TILE.y + 1) / 2**15)[::-1]
    archive.header = replace(archive.header, bounds=(west, south, east, north), least_zoom=15)
    yield Ground(archive, None, OPENSTREETMAP)
    archive.close()


def place(x: float, y: float) -> Point:
    """Latitude and longitude of a step of the tile."""
    return to_place((TILE.x + x / 4096) / 2**15, (TILE.y + y / 4096) / 2**15)


@asynccontextmanager
async def shown(view: MapView, look: Look = PHONE) -> AsyncIterator[Driver]:
    """A map in the window, once it is drawn."""
    try:
        async with opened(view, look) as driver:
            await settled(driver, view)
            yield driver
    finally:
        view.close()


async def settled(driver: Driver, view: MapView) -> None:
    """Everything there is to draw is drawn, the names too."""
    await driver.frames(2)
    shelves = [shelf for shelf in (view.shelf, view.sheet.shelf) if shelf is not None]
    await driver.until(lambda: view.glide in (0.0, 1.0) and not any(shelf.busy for shelf in shelves), "the tiles")
    await driver.frames(2)
    view._write_names()
    await driver.frames(2)


def seen_at(picture: Image.Image, view: MapView, at: Point, up: float = 0.0) -> Colour:
    """The colour of a place, or of one so many pixels above it."""
    left, bottom = view.view.on_screen(*to_world(*at))
    pixel = picture.getpixel((round(view.x + left), round(picture.height - 1 - (view.y + bottom + up))))
    assert isinstance(pixel, tuple)
    return (pixel[0] / 255, pixel[1] / 255, pixel[2] / 255)


def like(colour: Colour) -> object:
    """That colour, to what a screen's 8 bits can tell."""
    return pytest.approx(colour, abs=0.012)


LAKE, LAND, ON_ISLAND, ON_STREET, IN_BLOCK = (
    place(400, 400), place(2300, 3500), place(1000, 2000), place(2500, 1600), place(3000, 2700)
)  # fmt: skip


@pytest.mark.parametrize(("look", "colours"), [(PHONE, LIGHT), (NIGHT, DARK)], ids=["day", "night"])
async def test_the_map_is_drawn(ground: Ground, look: Look, colours: object) -> None:
    """Water, land, an island in the water, a street with its casing, a building, and nothing beyond the region."""
    assert isinstance(colours, type(LIGHT))
    view = MapView(ground=ground)
    async with shown(view, look) as driver:
        view.look_at(*place(2048, 2048), 15.0)
        await settled(driver, view)
        picture = await driver.picture()
        for at, paint in ((LAND, Paint.earth), (ON_ISLAND, Paint.earth), (ON_STREET, Paint.major),
                          (IN_BLOCK, Paint.building)):  # fmt: skip
            assert seen_at(picture, view, at) == like(colours.paints[paint]), paint.name
        assert seen_at(picture, view, place(1100, 1000)) == like(colours.paints[Paint.water])
        assert seen_at(picture, view, place(1100, -900)) == like(colours.nothing)
        column = [seen_at(picture, view, ON_STREET, up) for up in range(-12, 13)]
        darkest = sum(colours.paints[Paint.major_casing]) + 0.5  # a pixel is seldom all casing
        assert min(sum(colour) for colour in column[:12]) < darkest
        assert min(sum(colour) for colour in column[13:]) < darkest


async def test_closer_than_its_tiles_the_map_is_still_drawn(ground: Ground) -> None:
    """From the last zoom that there is; the street grows wider."""
    view = MapView(ground=ground)
    async with shown(view) as driver:
        widths = []
        for zoom in (15.0, 18.0):
            view.look_at(*ON_STREET, zoom)
            await settled(driver, view)
            picture = await driver.picture()
            street = like(LIGHT.paints[Paint.major])
            widths.append(sum(seen_at(picture, view, ON_STREET, up) == street for up in range(-60, 61)))
        assert widths[0] >= 6
        assert widths[1] >= 3 * widths[0]


FIX = Fix(1_000.0, *place(2400, 3300), accuracy_m=8.0)
JOB = place(3200, 1000)


async def test_the_marks_are_at_their_places(ground: Ground) -> None:
    """The pin above the door, the dot where the phone is; they move with the map."""
    view = MapView(ground=ground, job=JOB, fix=FIX, now_s=1_010.0)
    async with shown(view) as driver:
        for _ in range(2):
            picture = await driver.picture()
            assert seen_at(picture, view, JOB, up=14) == like(LIGHT.job)
            assert seen_at(picture, view, JOB, up=-6) != like(LIGHT.job)
            assert seen_at(picture, view, (FIX.lat, FIX.lon)) == like(LIGHT.position)
            await driver.drag([(120, 400), (190, 460)])
        before = view.view.on_screen(*to_world(*JOB))
        await driver.drag([(120, 400), (190, 460)])
        after = view.view.on_screen(*to_world(*JOB))
        assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((70, 60), abs=1)


async def test_an_old_position_says_so(ground: Ground) -> None:
    """Grey, and how old in words; a new fix ends it."""
    view = MapView(ground=ground, job=JOB, fix=FIX, now_s=1_000.0 + 4 * 60)
    async with shown(view) as driver:
        assert driver.sees("Position 4 min old")
        assert seen_at(await driver.picture(), view, (FIX.lat, FIX.lon)) == like(LIGHT.grey)
        view.fix = replace(FIX, time_s=1_230.0)
        await driver.frames(2)
        assert not driver.sees("old")
        assert seen_at(await driver.picture(), view, (FIX.lat, FIX.lon)) == like(LIGHT.position)
        view.now_s = 40.0  # the phone was switched on again since
        await driver.frames(2)
        assert driver.sees("Old position")


async def test_the_way_is_drawn_to_the_door(ground: Ground) -> None:
    """Whole where it is known, a straight dashed line where it is not."""
    corner = place(2400, 1000)
    view = MapView(ground=ground, job=JOB, fix=FIX, now_s=1_010.0)
    async with shown(view) as driver:
        straight = [place(2400 + 800 * part / 40, 3300 - 2300 * part / 40) for part in range(8, 33)]
        colours = [seen_at(await driver.picture(), view, at) == like(LIGHT.route) for at in straight]
        assert any(colours)
        assert not all(colours)
        view.route = Route(((FIX.lat, FIX.lon), corner, JOB), 240.0, 700.0)
        view.show_all()
        await settled(driver, view)
        picture = await driver.picture()
        way = [place(2400, y) for y in range(3000, 1300, -100)]
        assert all(seen_at(picture, view, at) == like(LIGHT.route) for at in way)
        assert not any(seen_at(picture, view, at) == like(LIGHT.route) for at in straight[4:20])


async def test_fingers_turn_the_map_larger(ground: Ground) -> None:
    """Two that part by two zooms' worth, a double tap by one, buttons by one each; what is under them stays there."""
    view = MapView(ground=ground, job=JOB, fix=FIX, now_s=1_010.0)
    async with shown(view) as driver:
        view.look_at(*place(2048, 2048), 14.0)
        middle = (180.0, 500.0)
        under = view.view.in_world(*middle)
        await driver.pinch([(160, 500), (120, 500)], [(200, 500), (240, 500)])
        assert view.view.zoom == pytest.approx(14.0 + 1.585, abs=0.02)
        assert view.view.on_screen(*under) == pytest.approx(middle, abs=2)
        at = (100.0, 300.0)
        under = view.view.in_world(*at)
        await double_tap(driver, view, at)
        assert view.view.zoom == pytest.approx(16.585, abs=0.02)
        assert view.view.on_screen(*under) == pytest.approx(at, abs=2)
        for name, zoom in (("Closer", 17.585), ("Farther", 16.585)):
            await driver.tap(name)
            await settled(driver, view)
            assert view.view.zoom == pytest.approx(zoom, abs=0.02)


async def double_tap(driver: Driver, view: MapView, at: Point) -> None:
    await driver.tap_at(*at)
    await driver.tap_at(*at)
    await settled(driver, view)


async def test_the_map_follows_the_phone_until_it_is_dragged(ground: Ground) -> None:
    """And shows everything again when asked to."""
    view = MapView(ground=ground, job=JOB, fix=FIX, now_s=1_010.0)
    middle = (PHONE.width / 2, PHONE.height / 2)
    async with shown(view) as driver:
        await driver.tap("Show where I am")
        moved = replace(FIX, lat=FIX.lat + 0.001, time_s=1_005.0)
        view.fix = moved
        assert view.view.on_screen(*to_world(moved.lat, moved.lon)) == pytest.approx(middle, abs=1)
        await driver.drag([(100, 400), (160, 400)])
        view.fix = FIX
        assert view.view.on_screen(*to_world(FIX.lat, FIX.lon)) != pytest.approx(middle, abs=30)
        await driver.tap("Show the whole way")
        for lat, lon in (JOB, (FIX.lat, FIX.lon)):
            left, up = view.view.on_screen(*to_world(lat, lon))
            assert 60 < left < PHONE.width - 60
            assert 90 < up < PHONE.height - 90


async def test_no_map_is_said_and_the_marks_are_shown(ground: Ground) -> None:
    """Outside of the region, without any copy, and while it is fetched; a large one is offered."""
    far = (61.5, 23.8)
    view = MapView(ground=ground, job=far, fix=replace(FIX, lat=61.501, lon=23.801), now_s=1_010.0)
    async with shown(view) as driver:
        assert driver.sees("No map of this place on this phone")
        picture = await driver.picture()
        assert seen_at(picture, view, far, up=14) == like(LIGHT.job)
        assert seen_at(picture, view, (61.501, 23.801)) == like(LIGHT.position)
        view.ground = NO_GROUND
        view.copy = Progress(Standing.trouble, trouble="no connection")
        assert driver.sees("No map yet: it is fetched when there is a network")
        view.copy = Progress(Standing.fetching, 3_000_000, 12_000_000)
        assert driver.sees("Fetching the map: 3.0 MB of 12.0 MB")
        wanted: list[object] = []
        view.bind(on_fetch=wanted.append)
        view.copy = Progress(Standing.asks, 0, 84_000_000)
        await driver.frames(2)
        await driver.tap("Fetch the map (84.0 MB)")
        assert wanted == [view]


@pytest.mark.parametrize("size", [(412, 915), (320, 640), (412, 260)])
async def test_whose_map_it_is_can_always_be_read(ground: Ground, size: tuple[int, int]) -> None:
    """Also on a low map, in Arabic and with large text; nothing lies over anything else."""
    for language, scale in itertools.product(("en", "ar"), (1.0, 1.3)):
        look = Look(*size, language=language, font_scale=scale)
        view = MapView(ground=ground, job=JOB, fix=FIX, now_s=2_000.0)
        async with shown(view, look) as driver:
            assert driver.sees(OPENSTREETMAP)
            boxes = view.furniture.boxes()
            assert len(boxes) == 6
            for left, bottom, right, top in boxes:
                assert left >= 0 and bottom >= 0 and right <= size[0] and top <= size[1]  # noqa: PT018
            for a, b in itertools.combinations(boxes, 2):
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            buttons = [button.x < size[0] / 3 for button in view.furniture.buttons[-1:]]
            assert buttons == [language == "ar"], "for the hand that holds the phone"
            assert view.view.on_screen(*to_world(*JOB))[0] > view.view.on_screen(*to_world(FIX.lat, FIX.lon))[0]


async def test_names_are_written_in_the_language(ground: Ground) -> None:
    """Shaped, with ink where they stand, and clear of the marks."""
    for language, text in (("en", "Kluuvi"), ("th", "กลู่วี")):
        view = MapView(ground=ground, job=place(3000, 850), now_s=1_010.0)
        async with shown(view, Look(language=language)) as driver:
            view.look_at(*place(2400, 2048), 15.0)
            await settled(driver, view)
            assert text not in [one.text for one in view.lettering.written], "the pin stands there"
            view.job = None
            await settled(driver, view)
            (name,) = [one for one in view.lettering.written if one.text == text]
            picture = await driver.picture()
            left, up = round(name.left - name.width / 2), round(PHONE.height - name.up - name.height / 2)
            letters = picture.crop((left, up, left + round(name.width), up + round(name.height))).convert("L")
            dark = sum(letters.histogram()[:90])
            assert dark > 0.05 * letters.width * letters.height
            assert "Mikonkatu" in [one.text for one in view.lettering.written]


async def test_a_damaged_tile_is_left_out(tmp_path: Path) -> None:
    """The rest of the map is drawn."""
    good = Tile(15, TILE.x + 1, TILE.y)
    archive = OpenArchive(write_archive(tmp_path / "region.pmtiles", {TILE: b"no tile at all", good: town()}))
    view = MapView(ground=Ground(archive, None, OPENSTREETMAP))
    async with shown(view) as driver:
        view.look_at(*place(4096, 2048), 15.0)
        await settled(driver, view)
        assert view.shelf is not None
        assert view.shelf.trouble is not None
        picture = await driver.picture()
        assert seen_at(picture, view, place(4096 + 300, 400)) == like(LIGHT.paints[Paint.water])
        assert seen_at(picture, view, place(3800, 400)) == like(LIGHT.nothing)
    archive.close()


async def test_a_job_is_shown_with_what_the_phone_knows(tmp_path: Path) -> None:
    """The copy of the region, and what is left of the way that was kept, without a network; an ended one has no way."""
    (tmp_path / "map").mkdir()
    write_archive(tmp_path / "map" / "region.pmtiles", {TILE: town()})
    (tmp_path / "ways").mkdir()
    begin, turn = place(2400, 3900), place(2400, 1000)
    kept = {"shape": encode_shape([(lon, lat) for lat, lon in (begin, turn, JOB)]), "duration_s": 90, "length_m": 800}
    (tmp_path / "ways" / "a.json").write_text(json.dumps({**kept, "asked_s": NOON_S}))
    atlas = Atlas(tmp_path, Session("http://127.0.0.1:1", "device", "technician", "key"), SetPhoneClock())
    job = Job("a", State.en_route, 1, *JOB)
    view = JobMap(atlas)
    async with shown(view) as driver:
        view.look(job, FIX, 1_010.0)
        await driver.until(lambda: view.route is not None, "the way")
        assert view.route.way[0] == pytest.approx((FIX.lat, FIX.lon), abs=2e-5)
        assert view.route.way[1:] == (pytest.approx(turn, abs=1e-5), pytest.approx(JOB, abs=1e-5))
        view.show_all()
        await settled(driver, view)
        picture = await driver.picture()
        assert seen_at(picture, view, place(2400, 2000)) == like(LIGHT.route)
        assert seen_at(picture, view, place(2400, 3600)) != like(LIGHT.route), "that is driven"
        assert seen_at(picture, view, ON_STREET) == like(LIGHT.paints[Paint.major])
        view.look(replace(job, state=State.completed), FIX, 1_010.0)
        assert view.route is None


# ---- pictures from a host of tiles ----

BEIGE = (200, 180, 140)


@asynccontextmanager
async def tile_host(answer: Callable[[], bytes]) -> AsyncIterator[tuple[str, list[str]]]:
    """A host that gives the same picture for every tile, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = answer()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with answering(Handler) as url:
        yield f"{url}/{{z}}/{{x}}/{{y}}.png", asked


def png(colour: tuple[int, int, int]) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(written, "PNG")
    return written.getvalue()


async def test_pictures_from_a_host_are_kept(tmp_path: Path) -> None:
    """Drawn under the marks, with whom to thank, and still there without a network, after a restart."""
    clock = SetPhoneClock()
    async with tile_host(lambda: png(BEIGE)) as (url, asked):
        for reachable in (True, False):
            tiles = RasterTiles(url, tmp_path / "tiles", None, clock.now)
            before = len(asked)
            view = MapView(ground=Ground(None, tiles, "© Example Tiles"), job=JOB, fix=FIX, now_s=1_010.0)
            async with shown(view) as driver:
                assert driver.sees("© Example Tiles")
                picture = await driver.picture()
                beige = (BEIGE[0] / 255, BEIGE[1] / 255, BEIGE[2] / 255)
                assert seen_at(picture, view, place(2800, 2000)) == like(beige)
                assert seen_at(picture, view, JOB, up=14) == like(LIGHT.job)
            assert (len(asked) > before) is reachable, "then they are on the phone"


async def test_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    """A page of some hotel's network, for one."""
    async with tile_host(lambda: b"<html>who are you?</html>") as (url, _):
        view = MapView(ground=Ground(None, RasterTiles(url, tmp_path, None, SetPhoneClock().now), "©"), job=JOB)
        async with shown(view) as driver:
            assert seen_at(await driver.picture(), view, place(2800, 2000)) == like(LIGHT.nothing)
            assert view.sheet.shelf is not None
            assert view.sheet.shelf.trouble is not None


# ---- a real town ----


async def test_helsinki_is_where_it_should_be() -> None:
    """The demo's region: the bay is water, the park beside it green."""
    if not region.BASEMAP.exists():
        pytest.skip("no demo region here: run ./doorstep setup --for demo")
    archive = OpenArchive(region.BASEMAP)
    view = MapView(ground=Ground(archive, None, OPENSTREETMAP))
    async with shown(view) as driver:
        view.look_at(60.1745, 24.9445, 14.5)
        await settled(driver, view)
        picture = await driver.picture()
        assert seen_at(picture, view, (60.1785, 24.9437)) == like(LIGHT.paints[Paint.water])
        assert seen_at(picture, view, (60.1761, 24.9428)) == like(LIGHT.paints[Paint.green])
        assert "Kaisaniemi" in [one.text for one in view.lettering.written]
    archive.close()
