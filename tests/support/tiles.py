"""Vector tiles written by hand, and archives of them, for tests."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

Value = str | int | float | bool
Thing = tuple[int, Mapping[str, Value], Sequence[Sequence[tuple[int, int]]]]
"""1 for points, 2 for lines, 3 for areas; what is said of it; its parts."""


def vector_tile(layers: Mapping[str, Iterable[Thing]], extent: int = 4096) -> bytes:
    """The bytes of a tile."""
    return b"".join(_field(3, _layer(name, things, extent)) for name, things in layers.items())


def write_archive(path: Path, tiles: Mapping[tuple[int, int, int], bytes], gzipped: bool = True) -> Path:
    """A PMTiles file with these tiles. They are written as they are: gzip them first where `gzipped` says so."""
    zooms = [z for z, _, _ in tiles]
    with path.open("wb") as file:
        writer = Writer(file)
        for (z, x, y), data in sorted(tiles.items(), key=lambda one: zxy_to_tileid(*one[0])):
            writer.write_tile(zxy_to_tileid(z, x, y), data)
        header = {
            "tile_type": TileType.MVT,
            "tile_compression": Compression.GZIP if gzipped else Compression.NONE,
            "min_zoom": min(zooms),
            "max_zoom": max(zooms),
        }
        writer.finalize(header, {})
    return path


def _layer(name: str, things: Iterable[Thing], extent: int) -> bytes:
    keys: list[str] = []
    values: list[Value] = []
    features = []
    for kind, told, parts in things:
        tags = []
        for key, value in told.items():
            if key not in keys:
                keys.append(key)
            values.append(value)
            tags += [keys.index(key), len(values) - 1]
        packed = b"".join(map(varint, tags))
        features.append(_field(2, packed) + _number(3, kind) + _field(4, _commands(kind, parts)))
    return b"".join(
        [
            _number(15, 2),
            _field(1, name.encode()),
            *(_field(2, feature) for feature in features),
            *(_field(3, key.encode()) for key in keys),
            *(_field(4, _value(value)) for value in values),
            _number(5, extent),
        ]
    )


def _commands(kind: int, parts: Sequence[Sequence[tuple[int, int]]]) -> bytes:
    numbers: list[int] = []
    x = y = 0
    for part in parts:
        for i, (to_x, to_y) in enumerate(part):
            if i == 0:
                numbers.append(1 << 3 | 1)
            elif i == 1:
                numbers.append((len(part) - 1) << 3 | 2)
            numbers += [_zigzag(to_x - x), _zigzag(to_y - y)]
            x, y = to_x, to_y
        if kind == 3:
            numbers.append(1 << 3 | 7)
    return b"".join(map(varint, numbers))


def _value(value: Value) -> bytes:
    match value:
        case bool():
            return _number(7, int(value))
        case str():
            return _field(1, value.encode())
        case float():
            return varint(3 << 3 | 1) + struct.pack("<d", value)
    return _number(6, _zigzag(value))


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    """A number as protocol buffers write it."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
