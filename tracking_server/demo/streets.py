"""Doors to ring at: places of a region that can all be reached from each other.

An extract is cut at its edge, and one-way streets with it: of any two places in the middle of Helsinki one in six has
no way to the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracking_server.domain.geo import distance_m
from tracking_server.routing.valhalla import Costing, LonLat, Matrix, RoadEngine

Bounds = tuple[float, float, float, float]  # west, south, east, north, in degrees

LOOKED_AT = 7  # columns and rows of places that are tried
EDGE = 0.06  # of the region, where streets end in nothing
BESIDE_M = 60.0  # a street farther away than that is across the water, or the rails
ROUNDING = 0.95  # of what is called shorter
APART_M = 120.0  # doors closer together make no drive


class TooFewStreets(Exception):
    """The region has fewer doors that reach each other than were asked for."""


async def choose_doors(roads: RoadEngine, bounds: Bounds, count: int, costing: Costing) -> tuple[LonLat, ...]:
    """So many doors, far from each other, the most central one first. Raises `TooFewStreets`, and what `roads` does."""
    tried = grid(bounds, LOOKED_AT)
    found = await roads.nearest(tried, costing)
    near = [at for place, at in zip(tried, found, strict=True) if at and distance_m(*place, *at) <= BESIDE_M]
    doors = apart(near, APART_M)
    times = believed(doors, await roads.matrix(doors, doors, costing)) if doors else []
    kept = reaching_each_other(times)
    if len(kept) < count:
        raise TooFewStreets(f"the region has {len(kept)} doors that reach each other, and {count} are needed")
    return tuple(doors[i] for i in spread(times, kept, count))


def grid(bounds: Bounds, side: int) -> list[LonLat]:
    """`side` times `side` places, away from the edge."""
    west, south, east, north = bounds
    shares = [EDGE + (1 - 2 * EDGE) * i / (side - 1) for i in range(side)]
    return [(west + x * (east - west), south + y * (north - south)) for y in shares for x in shares]


def apart(places: Sequence[LonLat], by_m: float) -> list[LonLat]:
    """Those that are not too near to one before."""
    kept: list[LonLat] = []
    for place in places:
        if all(distance_m(*place, *other) >= by_m for other in kept):
            kept.append(place)
    return kept


def believed(doors: Sequence[LonLat], matrix: Matrix) -> list[list[float | None]]:
    """The times, without those of ways shorter than the straight line: one of their ends is another street, as the
    engine found none that leads on from the door itself."""

    def shorter(i: int, j: int, length_m: float | None) -> bool:
        return length_m is not None and length_m < distance_m(*doors[i], *doors[j]) * ROUNDING

    return [
        [None if shorter(i, j, length) else time for j, (time, length) in enumerate(zip(times, lengths, strict=True))]
        for i, (times, lengths) in enumerate(zip(matrix.durations_s, matrix.lengths_m, strict=True))
    ]


def reaching_each_other(times: Sequence[Sequence[float | None]]) -> list[int]:
    """Indexes of places between which there is always a way: the worst is dropped until none is bad."""
    kept = list(range(len(times)))

    def failures(i: int) -> int:
        return sum((times[i][j] is None) + (times[j][i] is None) for j in kept if j != i)

    while kept:
        worst = max(kept, key=failures)
        if failures(worst) == 0:
            return kept
        kept.remove(worst)
    return []


def spread(times: Sequence[Sequence[float | None]], among: Sequence[int], count: int) -> list[int]:
    """The most central one, then again and again the one that is farthest from those chosen."""
    if not among or count < 1:
        return []

    def between(i: int, j: int) -> float:
        return max(times[i][j] or 0.0, times[j][i] or 0.0)

    chosen = [min(among, key=lambda i: sum(between(i, j) for j in among))]
    while len(chosen) < min(count, len(among)):
        left = [i for i in among if i not in chosen]
        chosen.append(max(left, key=lambda i: min(between(i, j) for j in chosen)))
    return chosen
