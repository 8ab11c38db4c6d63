"""Lines made into triangles, whose width is chosen only when they are drawn. Pure.

Each vertex is x, y, then the direction in which it moves away from the line (in half widths), then on which side of the
line it is, -1 to 1: a shader moves it, and softens the edge by the side.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

VERTEX_FLOATS = 5
MOST_VERTICES = 60_000  # of one piece; indices are 16 bits
LONGEST = 10_000  # places of a line; a longer one is drawn in parts
Way = tuple[float, float]
SHARPEST = 0.35  # 1 + cosine of a turn: sharper corners are cut instead of drawn out to a long point


class Triangles:
    """Vertices and the triangles between them, in pieces that 16-bit indices can name."""

    def __init__(self) -> None:
        self.pieces: list[tuple[array[float], array[int]]] = []

    @property
    def size_bytes(self) -> int:
        return sum(len(part) * part.itemsize for piece in self.pieces for part in piece)

    def add_line(self, places: Sequence[float], closed: bool = False) -> None:
        """A line along x, y, x, y, ...; a closed one goes back to its first place."""
        if len(places) > 2 * LONGEST:
            for begin in range(0, len(places) - 2, 2 * LONGEST - 2):
                self.add_line(places[begin : begin + 2 * LONGEST])
            if closed:
                self.add_line([*places[-2:], *places[:2]])
            return
        xs, ys = _without_repeats(places, closed)
        count = len(xs)
        if count < 2:
            return
        vertices, indices = self._room(4 * count)
        ways = [_direction(xs[i], ys[i], xs[i + 1], ys[i + 1]) for i in range(count - 1)]
        at = len(vertices) // VERTEX_FLOATS
        left_at = at
        for i in range(count):
            before = ways[i - 1] if i else (ways[-1] if closed else None)
            after = ways[i] if i < count - 1 else (ways[0] if closed else None)
            if before is None or after is None:
                way_x, way_y = before or after or (0.0, 0.0)
                back = 1.0 if before is None else -1.0  # the ends stand out by half a width, so that roads meet
                cap_x, cap_y = -way_x * back, -way_y * back
                vertices.extend((xs[i], ys[i], cap_x - way_y, cap_y + way_x, 1.0))
                vertices.extend((xs[i], ys[i], cap_x + way_y, cap_y - way_x, -1.0))
                arriving, leaving, at = at, at, at + 2
            else:
                turn = 1.0 + before[0] * after[0] + before[1] * after[1]
                if turn > SHARPEST:
                    out_x, out_y = -(before[1] + after[1]) / turn, (before[0] + after[0]) / turn
                    vertices.extend((xs[i], ys[i], out_x, out_y, 1.0, xs[i], ys[i], -out_x, -out_y, -1.0))
                    arriving, leaving, at = at, at, at + 2
                else:
                    for way_x, way_y in (before, after):
                        vertices.extend((xs[i], ys[i], -way_y, way_x, 1.0, xs[i], ys[i], way_y, -way_x, -1.0))
                    indices.extend((at, at + 1, at + 2, at + 1, at + 2, at + 3))
                    arriving, leaving, at = at, at + 2, at + 4
            if i:
                indices.extend((left_at, left_at + 1, arriving, left_at + 1, arriving, arriving + 1))
            left_at = leaving

    def add_triangles(self, corners: Sequence[float]) -> None:
        """Triangles of three places each, as x, y, x, y, ..."""
        step = 3 * 2 * (MOST_VERTICES // 3)
        for begin in range(0, len(corners), step):
            part = corners[begin : begin + step]
            vertices, indices = self._room(len(part) // 2)
            first = len(vertices) // VERTEX_FLOATS
            for i in range(0, len(part), 2):
                vertices.extend((part[i], part[i + 1], 0.0, 0.0, 0.0))
            indices.extend(range(first, first + len(part) // 2))

    def add_fan(self, x: float, y: float, middle: Way, corners: Sequence[Way]) -> None:
        """A shape around a place, by the ways from there to its middle and to its corners in turn, in half widths.

        From its middle every corner has to be seen.
        """
        vertices, indices = self._room(len(corners) + 1)
        first = len(vertices) // VERTEX_FLOATS
        vertices.extend((x, y, *middle, 0.0))
        for i, corner in enumerate(corners):
            vertices.extend((x, y, *corner, 1.0))
            indices.extend((first, first + 1 + i, first + 1 + (i + 1) % len(corners)))

    def _room(self, vertices: int) -> tuple[array[float], array[int]]:
        """The piece that has room for so many more, a new one when none has."""
        if not self.pieces or len(self.pieces[-1][0]) // VERTEX_FLOATS + vertices > MOST_VERTICES:
            self.pieces.append((array("f"), array("H")))
        return self.pieces[-1]


def dashes(places: Sequence[float], dash: float, gap: float) -> list[list[float]]:
    """The parts of a line that are drawn when it is dashed."""
    parts: list[list[float]] = []
    part: list[float] = list(places[:2])
    left, drawn = dash, True
    for i in range(2, len(places) - 1, 2):
        x, y, to_x, to_y = places[i - 2], places[i - 1], places[i], places[i + 1]
        length = math.hypot(to_x - x, to_y - y)
        done = 0.0
        while length - done > left:
            done += left
            at = [x + (to_x - x) * done / length, y + (to_y - y) * done / length]
            if drawn:
                parts.append([*part, *at])
            part = at
            drawn = not drawn
            left = dash if drawn else gap
        left -= length - done
        part = [*part, to_x, to_y] if drawn else [to_x, to_y]
    if drawn and len(part) > 2:
        parts.append(part)
    return parts


def _without_repeats(places: Sequence[float], closed: bool) -> tuple[list[float], list[float]]:
    if len(places) < 4:
        return [], []
    xs, ys = [places[0]], [places[1]]
    for i in range(2, len(places) - 1, 2):
        if places[i] != xs[-1] or places[i + 1] != ys[-1]:
            xs.append(places[i])
            ys.append(places[i + 1])
    if closed and len(xs) > 2 and (xs[0], ys[0]) != (xs[-1], ys[-1]):
        xs.append(xs[0])
        ys.append(ys[0])
    return xs, ys


def _direction(x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    length = math.hypot(to_x - x, to_y - y)
    return (to_x - x) / length, (to_y - y) / length
