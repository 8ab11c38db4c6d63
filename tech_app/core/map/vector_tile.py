"""Reads Mapbox vector tiles of version 2 (https://github.com/mapbox/vector-tile-spec), a protocol-buffer format.

Tiles come from files that may be damaged: whatever the bytes, reading ends, keeps within its bounds, and all that is
wrong is a `BadTile`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum

MOST_FEATURES = 50_000  # of a tile; the densest towns have a tenth
MOST_STEPS = 1_000_000  # places of a tile
FARTHEST = 2**20  # steps from a tile's corner; its own are some thousands

Value = str | int | float | bool


class BadTile(Exception):
    """These bytes are no vector tile."""


class Geometry(IntEnum):
    """What a feature is; the numbers are the format's."""

    points = 1
    lines = 2
    areas = 3


@dataclass(frozen=True, slots=True)
class Feature:
    """A thing on the map. Each of `parts` is x, y, x, y, ... in steps of `Layer.extent` a tile, y downwards.

    An area's parts are its outlines and those of its holes, without their first place again at the end.
    """

    geometry: Geometry
    properties: dict[str, Value]
    parts: list[list[int]]


@dataclass(frozen=True, slots=True)
class Layer:
    """Things of one sort."""

    extent: int
    features: list[Feature]


def read_tile(data: bytes, wanted: Collection[str]) -> dict[str, Layer]:
    """The layers of these names that the tile has. Raises `BadTile`."""
    layers: dict[str, Layer] = {}
    room = _Room()
    try:
        for number, value in _fields(data, 0, len(data)):
            if number == 3 and isinstance(value, tuple):
                name, layer = _read_layer(data, *value, wanted, room)
                if layer is not None:
                    layers[name] = layer
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise BadTile(f"this is no vector tile ({error!r})") from error
    return layers


@dataclass(slots=True)
class _Room:
    """What of the bounds is left."""

    features: int = MOST_FEATURES
    steps: int = MOST_STEPS

    def take(self, features: int, steps: int) -> None:
        self.features -= features
        self.steps -= steps
        if self.features < 0 or self.steps < 0:
            raise BadTile("this tile has more in it than any should")


Span = tuple[int, int]


def _read_layer(data: bytes, start: int, end: int, wanted: Collection[str], room: _Room) -> tuple[str, Layer | None]:
    name, extent = "", 4096
    keys: list[str] = []
    values: list[Value] = []
    features: list[Span] = []
    for number, value in _fields(data, start, end):
        if isinstance(value, int):
            if number == 5:
                extent = value
        elif number == 1:
            name = _text(data, value)
            if name not in wanted:
                return name, None
        elif number == 2:
            features.append(value)
        elif number == 3:
            keys.append(_text(data, value))
        elif number == 4:
            values.append(_read_value(data, *value))
    if name not in wanted:
        return name, None
    if not 1 <= extent <= 2**16:
        raise BadTile("a layer of this tile has no measure")
    room.take(len(features), 0)
    read = (_read_feature(data, *span, keys, values, room) for span in features)
    return name, Layer(extent, [feature for feature in read if feature is not None])


def _read_feature(
    data: bytes, start: int, end: int, keys: list[str], values: list[Value], room: _Room
) -> Feature | None:
    geometry = 0
    tags: Span = (0, 0)
    commands: Span = (0, 0)
    for number, value in _fields(data, start, end):
        if number == 3 and isinstance(value, int):
            geometry = value
        elif number == 2 and isinstance(value, tuple):
            tags = value
        elif number == 4 and isinstance(value, tuple):
            commands = value
    if geometry not in (1, 2, 3):
        return None
    said = _varints(data, *tags)
    properties = {keys[key]: values[at] for key, at in zip(said[::2], said[1::2], strict=True)}
    parts = _read_parts(_varints(data, *commands), room)
    return Feature(Geometry(geometry), properties, parts)


def _read_parts(numbers: list[int], room: _Room) -> list[list[int]]:
    """Commands and their steps: 1 begins a part, 2 goes on, 7 closes it."""
    room.take(0, len(numbers))
    parts: list[list[int]] = []
    part: list[int] = []
    x = y = at = 0
    while at < len(numbers):
        command, count = numbers[at] & 7, numbers[at] >> 3
        at += 1
        if command == 7:
            continue
        if command not in (1, 2) or at + 2 * count > len(numbers):
            raise BadTile("a shape in this tile is broken")
        for step in range(at, at + 2 * count, 2):
            right, down = numbers[step], numbers[step + 1]
            x += (right >> 1) ^ -(right & 1)
            y += (down >> 1) ^ -(down & 1)
            if command == 1:
                part = []
                parts.append(part)
            part.append(x)
            part.append(y)
        if not (-FARTHEST < x < FARTHEST and -FARTHEST < y < FARTHEST):
            raise BadTile("a shape in this tile leads far away")
        at += 2 * count
    return parts


def _read_value(data: bytes, start: int, end: int) -> Value:
    said: Value = ""
    for number, value in _fields(data, start, end):
        if isinstance(value, tuple):
            if number == 1:
                said = _text(data, value)
            elif number == 2:
                (said,) = struct.unpack_from("<f", data, value[0])
            elif number == 3:
                (said,) = struct.unpack_from("<d", data, value[0])
        elif number in (4, 5):
            said = value
        elif number == 6:
            said = (value >> 1) ^ -(value & 1)
        elif number == 7:
            said = bool(value)
    return said


def _text(data: bytes, span: Span) -> str:
    return data[span[0] : span[1]].decode()


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int | Span]]:
    """Each field's number with its value: a number, or from where to where its bytes are."""
    while at < end:
        key, at = _varint(data, at, end)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at, end)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(data, at, end)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise BadTile("this is no vector tile")
        if at + length > end:
            raise BadTile("this tile is not whole")
        yield key >> 3, (at, at + length)
        at += length


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise BadTile("a number in this tile never ends")


def _varints(data: bytes, start: int, end: int) -> list[int]:
    numbers = []
    value = shift = 0
    for byte in data[start:end]:
        if byte < 0x80:
            numbers.append(value | byte << shift)
            value = shift = 0
        else:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise BadTile("a number in this tile never ends")
    if shift:
        raise BadTile("this tile is not whole")
    return numbers
