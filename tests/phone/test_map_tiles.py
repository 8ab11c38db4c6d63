"""The map's file is read as others write it, and whatever is in it the app goes on."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pmtiles.tile import zxy_to_tileid

from tech_app.core.map.archive import Archive, NotAnArchive, OpenArchive, tile_id
from tech_app.core.map.mercator import Tile
from tech_app.core.map.vector_tile import BadTile, Geometry, read_tile
from tests.support.tiles import varint, vector_tile, write_archive

TOWN = vector_tile(
    {
        "water": [(3, {"kind": "lake", "name": "Kaisaniemenlahti"}, [[(0, 0), (0, 90), (90, 90)], [(5, 8), (8, 8)]])],
        "roads": [
            (2, {"kind": "minor_road", "oneway": True}, [[(-64, 3), (4160, 7), (5, 5)]]),
            (1, {"min_zoom": -3, "height": 2.5}, [[(17, 4)]]),
        ],
        "pois": [(1, {"kind": "cafe"}, [[(1, 1)]])],
    }
)


def test_a_tile_is_read_as_it_was_written() -> None:
    """Layers, properties of every type, and places forwards and backwards; layers that nobody wants are left."""
    layers = read_tile(TOWN, {"water", "roads", "earth"})
    assert set(layers) == {"water", "roads"}
    (lake,) = layers["water"].features
    assert (lake.geometry, lake.properties["name"]) == (Geometry.areas, "Kaisaniemenlahti")
    assert lake.parts == [[0, 0, 0, 90, 90, 90], [5, 8, 8, 8]]
    road, point = layers["roads"].features
    assert (road.properties, road.parts) == ({"kind": "minor_road", "oneway": True}, [[-64, 3, 4160, 7, 5, 5]])
    assert (point.properties, point.parts) == ({"min_zoom": -3, "height": 2.5}, [[17, 4]])


@settings(deadline=None, max_examples=400)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_tile_or_a_bad_one(data: bytes) -> None:
    """Nothing else comes of them."""
    _read(data)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_damaged_tile_is_a_bad_one(data: st.DataObject) -> None:
    """Or is read with what it says now."""
    damaged = bytearray(TOWN)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(TOWN) - 1))] = data.draw(st.integers(0, 255))
    _read(bytes(damaged[: data.draw(st.integers(0, len(TOWN)))]))


def _read(data: bytes) -> None:
    try:
        layers = read_tile(data, {"water", "roads"})
    except BadTile:
        return
    assert all(isinstance(number, int) for layer in layers.values() for one in layer.features for part in one.parts
               for number in part)  # fmt: skip


@pytest.mark.parametrize(
    "layer",
    [
        [(1, {}, [[(0, 0)]])] * 50_001,
        [(2, {}, [[(i % 2, i % 3) for i in range(500_001)]])],
        [(1, {}, [[(2**30, 0)]])],
    ],
    ids=["things", "places", "far away"],
)
def test_a_tile_has_bounds(layer: list) -> None:  # type: ignore[type-arg]
    """Of how many things, how many places and how far: beyond them it is a bad one."""
    with pytest.raises(BadTile):
        read_tile(vector_tile({"roads": layer}), {"roads"})


def test_tiles_have_the_numbers_of_the_format() -> None:
    """As its own library counts them."""
    luck = random.Random(4)
    for z in range(27):
        for _ in range(20):
            tile = Tile(z, luck.randrange(2**z), luck.randrange(2**z))
            assert tile_id(tile) == zxy_to_tileid(*tile)
    with pytest.raises(ValueError, match="no tile"):
        tile_id(Tile(3, 8, 0))


def test_every_tile_of_an_archive_is_found(tmp_path: Path) -> None:
    """Also where there are so many that directories lie below directories, and where neighbours share their bytes."""
    luck = random.Random(7)
    tiles = {(15, luck.randrange(2**15), luck.randrange(2**15)): gzip.compress(b"%d" % i) for i in range(20_000)}
    tiles |= {(14, 0, y): gzip.compress(b"sea") for y in range(4)}
    archive = OpenArchive(write_archive(tmp_path / "region.pmtiles", tiles))
    assert archive.header.leaves_at
    assert all(archive.tile(Tile(*tile)) == gzip.decompress(data) for tile, data in tiles.items())
    missing = [(13, 5, 5), (15, 0, 0), (15, 32_767, 32_767)]
    assert [archive.tile(Tile(*tile)) for tile in missing if tile not in tiles] == [None] * 3
    archive.close()


def test_a_tile_that_swells_is_damage(tmp_path: Path) -> None:
    """Nobody inflates gigabytes out of some kilobytes."""
    swelling = gzip.compress(bytes(5_000_000))
    archive = OpenArchive(write_archive(tmp_path / "region.pmtiles", {(0, 0, 0): swelling}))
    with pytest.raises(NotAnArchive, match="larger than any"):
        archive.tile(Tile(0, 0, 0))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_archive_is_none(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever byte is another: it is read, or it is no archive."""
    tiles = {(2, x, y): gzip.compress(TOWN) for x in range(4) for y in range(4)}
    whole = write_archive(tmp_path_factory.mktemp("damage") / "a", tiles).read_bytes()
    damaged = bytearray(whole[: data.draw(st.sampled_from([len(whole), len(whole) - 1, 300, 127, 20, 0]))])
    for _ in range(data.draw(st.integers(1, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(damaged)
    try:
        archive = Archive(lambda offset, length: content[offset : offset + length])
        for x in range(4):
            archive.tile(Tile(2, x, 3))
    except NotAnArchive:
        return


def test_a_directory_that_leads_to_itself_ends(tmp_path: Path) -> None:
    """After as many as the format allows."""
    plain = bytes([*varint(1), *varint(0), *varint(0), *varint(5), *varint(1)])
    content = bytearray(write_archive(tmp_path / "a", {(0, 0, 0): b""}, gzipped=False).read_bytes())
    content[97] = 1  # directories are not compressed
    content[8:24] = (127).to_bytes(8, "little") + len(plain).to_bytes(8, "little")
    content[40:48] = (127).to_bytes(8, "little")  # leaves begin where the root is
    content[127 : 127 + len(plain)] = plain
    archive = Archive(lambda offset, length: bytes(content[offset : offset + length]))
    with pytest.raises(NotAnArchive, match="never end"):
        archive.tile(Tile(0, 0, 0))
