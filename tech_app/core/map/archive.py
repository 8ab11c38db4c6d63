"""Reads a PMTiles file of version 3 (https://github.com/protomaps/PMTiles): one file with all tiles of a region.

The file comes over the network and may be damaged: nothing in it makes the reader inflate or keep more than its
bounds, and all that is wrong with it is a `NotAnArchive`.
"""

from __future__ import annotations

import os
import struct
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tech_app.core.map.mercator import Tile

HEADER_BYTES = 127
HEADER = struct.Struct("<7sB 11Q 6B 4i B 2i")
MOST_DIRECTORY_BYTES = 4_000_000  # inflated; the format keeps the root below 16 KB and leaves about as small
MOST_TILE_BYTES = 4_000_000  # inflated; makers of tiles keep below 500 KB as they come
MOST_DEPTH = 4  # of directories below each other, by the format
MOST_LEAVES = 32  # directories kept
MOST_ZOOM = 26
E7 = 1e7  # degrees are whole numbers there
NO_COMPRESSION, GZIP = 1, 2
VECTOR_TILES = 1

ReadBytes = Callable[[int, int], bytes]
"""Gives so many bytes (or fewer at the end) from that offset on."""


class NotAnArchive(Exception):
    """This is no PMTiles file of vector tiles, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands at the beginning of the file. `bounds` are west, south, east, north in degrees."""

    root: tuple[int, int]
    leaves_at: int
    tiles_at: int
    directory_compression: int
    tile_compression: int
    least_zoom: int
    most_zoom: int
    bounds: tuple[float, float, float, float]
    ends_at: int


@dataclass(frozen=True, slots=True)
class _Directory:
    ids: list[int]
    runs: list[int]  # 0: what follows is another directory
    lengths: list[int]
    offsets: list[int]


class Archive:
    """The tiles of a region. May be read by several threads."""

    def __init__(self, read: ReadBytes) -> None:
        """Raises `NotAnArchive`."""
        self._read = read
        self.header = read_header(read(0, HEADER_BYTES))
        self._root = self._directory(*self.header.root)
        self._leaves: OrderedDict[tuple[int, int], _Directory] = OrderedDict()

    def tile(self, tile: Tile) -> bytes | None:
        """What a tile holds, inflated; None where there is none. Raises `NotAnArchive`."""
        wanted = tile_id(tile)
        directory = self._root
        for _ in range(MOST_DEPTH):
            at = bisect_right(directory.ids, wanted) - 1
            if at < 0:
                return None
            offset, length, run = directory.offsets[at], directory.lengths[at], directory.runs[at]
            if run:
                if wanted - directory.ids[at] >= run:
                    return None
                data = self._exactly(self.header.tiles_at + offset, length, MOST_TILE_BYTES)
                return _plain(data, self.header.tile_compression, MOST_TILE_BYTES)
            directory = self._leaf(self.header.leaves_at + offset, length)
        raise NotAnArchive("its directories never end")

    def _leaf(self, offset: int, length: int) -> _Directory:
        found = self._leaves.get((offset, length))
        if found is None:
            found = self._leaves[offset, length] = self._directory(offset, length)
            while len(self._leaves) > MOST_LEAVES:
                self._leaves.popitem(last=False)
        return found

    def _directory(self, offset: int, length: int) -> _Directory:
        data = self._exactly(offset, length, MOST_DIRECTORY_BYTES)
        return _read_directory(_plain(data, self.header.directory_compression, MOST_DIRECTORY_BYTES))

    def _exactly(self, offset: int, length: int, most: int) -> bytes:
        if length > most:
            raise NotAnArchive("a part of it is larger than any should be")
        data = self._read(offset, length)
        if len(data) != length:
            raise NotAnArchive("it is shorter than it says")
        return data


class OpenArchive(Archive):
    """An archive in a file of this phone. What replaces the file later is not seen."""

    def __init__(self, path: Path) -> None:
        """Raises `NotAnArchive` or OSError."""
        self._file: IO[bytes] = path.open("rb")
        try:
            super().__init__(lambda offset, length: os.pread(self._file.fileno(), length, offset))
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Nothing can be read any more: it raises ValueError."""
        self._file.close()


def read_header(data: bytes) -> Header:
    """Raises `NotAnArchive`."""
    if len(data) < HEADER_BYTES:
        raise NotAnArchive("it is too short")
    (
        magic, version, root_at, root_length, _, _, leaves_at, leaves_length, tiles_at, tiles_length, _, _, _,
        _, directory_compression, tile_compression, tile_type, least_zoom, most_zoom,
        west, south, east, north, _, _, _,
    ) = HEADER.unpack(data[:HEADER_BYTES])  # fmt: skip
    if magic != b"PMTiles" or version != 3:
        raise NotAnArchive("it is no PMTiles file of version 3")
    if tile_type != VECTOR_TILES:
        raise NotAnArchive("it has no vector tiles")
    if {directory_compression, tile_compression} - {NO_COMPRESSION, GZIP}:
        raise NotAnArchive("its compression is not known here")
    if not least_zoom <= most_zoom <= MOST_ZOOM:
        raise NotAnArchive("its zooms make no sense")
    ends_at = max(root_at + root_length, leaves_at + leaves_length, tiles_at + tiles_length)
    if ends_at > 2**62:
        raise NotAnArchive("its offsets make no sense")
    return Header(
        (root_at, root_length),
        leaves_at,
        tiles_at,
        directory_compression,
        tile_compression,
        least_zoom,
        most_zoom,
        (west / E7, south / E7, east / E7, north / E7),
        ends_at,
    )


def tile_id(tile: Tile) -> int:
    """A tile's number: all tiles of the smaller zooms come first, those of one zoom along a Hilbert curve."""
    z, x, y = tile
    if not (0 <= x < 2**z and 0 <= y < 2**z):
        raise ValueError(f"there is no tile {tile}")
    number: int = (4**z - 1) // 3
    half = 2**z >> 1
    while half:
        right, down = bool(x & half), bool(y & half)
        number += half * half * ((3 * right) ^ down)
        if not down:
            if right:
                x, y = half - 1 - x, half - 1 - y
            x, y = y, x
        x, y = x & (half - 1), y & (half - 1)
        half >>= 1
    return number


def _plain(data: bytes, compression: int, most: int) -> bytes:
    if compression == NO_COMPRESSION:
        return data
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(data, most)
    except zlib.error as error:
        raise NotAnArchive(f"a part of it is damaged ({error})") from error
    if not inflater.eof:
        raise NotAnArchive("a part of it is damaged, or larger than any should be")
    return plain


def _read_directory(data: bytes) -> _Directory:
    numbers = _varints(data)
    if not numbers or len(numbers) != 1 + 4 * numbers[0]:
        raise NotAnArchive("a directory of it is damaged")
    count = numbers[0]
    steps, runs, lengths, places = (numbers[1 + part * count : 1 + (part + 1) * count] for part in range(4))
    ids, offsets = [], []
    last_id = next_offset = 0
    for step, length, place in zip(steps, lengths, places, strict=True):
        last_id += step
        ids.append(last_id)
        offset = place - 1 if place else next_offset  # 0: right behind the one before
        offsets.append(offset)
        next_offset = offset + length
    if max(offsets, default=0) > 2**62:
        raise NotAnArchive("its offsets make no sense")
    return _Directory(ids, runs, lengths, offsets)


def _varints(data: bytes) -> list[int]:
    numbers = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift > 63:
                raise NotAnArchive("a number in it never ends")
        else:
            numbers.append(value)
            value = shift = 0
    if shift:
        raise NotAnArchive("a directory of it is damaged")
    return numbers
