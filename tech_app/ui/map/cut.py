"""Areas cut into triangles, by the tesselator that comes with Kivy."""

from __future__ import annotations

from collections.abc import Sequence

from kivy.graphics.tesselator import TYPE_POLYGONS, WINDING_ODD, Tesselator

MOST_NUMBERS = 60_000  # of one area: it is cut in one go, and everything waits meanwhile


def cut(rings: Sequence[Sequence[float]]) -> Sequence[float]:
    """The triangles of an area with these outlines and holes; none when it makes no sense. Any thread may call it."""
    if sum(map(len, rings)) > MOST_NUMBERS:
        return ()
    tesselator = Tesselator()
    for ring in rings:
        tesselator.add_contour(ring)
    if not tesselator.tesselate(WINDING_ODD, TYPE_POLYGONS, 3):
        return ()
    return [number for triangle in tesselator.vertices for number in triangle]
