"""Which names are written on a map, and where: only those that hide nothing and each other. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tech_app.core.map.mercator import Box
from tech_app.core.map.paper import Paper
from tech_app.core.map.picture import Name, NameKind

APART_DP = 230.0  # the same name is not written twice within this
GAP_DP = 4.0  # around each name
FIRST_ZOOM = {NameKind.locality: 0.0, NameKind.neighbourhood: 11.5, NameKind.water: 12.0, NameKind.road: 14.3}
LOCALITIES_UNTIL = 15.5  # closer than that a town's name says nothing

Measure = Callable[[str, NameKind], tuple[float, float]]
"""How wide and high a text will be, in pixels."""


@dataclass(frozen=True, slots=True)
class Written:
    """A name on the screen: its middle in pixels, and its turn in radians, anticlockwise."""

    name: Name
    text: str
    left: float
    up: float
    angle: float
    width: float
    height: float


def write(
    names: Iterable[Name], paper: Paper, language: str, measure: Measure, taken: Sequence[Box], kept: set[str]
) -> list[Written]:
    """The names to be seen. Those whose text is in `kept` (seen before) come first among equals, so that they stay."""
    view = paper.view
    boxes = list(taken)
    written: list[Written] = []
    seen: dict[str, list[tuple[float, float]]] = {}
    wanted = [(name, name.text(language)) for name in names if _is_of_zoom(name.kind, view.zoom)]
    wanted.sort(key=lambda want: (want[0].kind, want[0].rank, want[1] not in kept, -want[0].length, want[1]))
    for name, text in wanted:
        left, up = paper.on_screen(name.x, name.y)
        if not (0 < left < view.width and 0 < up < view.height):
            continue
        if any(math.hypot(left - x, up - y) < APART_DP * paper.dp for x, y in seen.get(text, ())):
            continue
        width, height = measure(text, name.kind)
        if name.kind is NameKind.road and name.length * paper.px_per_step < width:
            continue
        one = Written(name, text, left, up, _upright(name.angle), width, height)
        own = _boxes(one, GAP_DP * paper.dp)
        inside = all(min(box[:2]) >= 0 and box[2] <= view.width and box[3] <= view.height for box in own)
        if inside and not any(_meet(box, other) for box in own for other in boxes):
            boxes += own
            written.append(one)
            seen.setdefault(text, []).append((left, up))
    return written


def _is_of_zoom(kind: NameKind, zoom: float) -> bool:
    return zoom >= FIRST_ZOOM[kind] and not (kind is NameKind.locality and zoom > LOCALITIES_UNTIL)


def _upright(angle: float) -> float:
    """Turned around when it would stand on its head."""
    angle = math.remainder(angle, math.tau)
    return math.remainder(angle + math.pi, math.tau) if abs(angle) > math.pi / 2 else angle


def _boxes(one: Written, gap: float) -> list[Box]:
    """One around a level name; a row of small ones along a turned one."""
    if not one.angle:
        across, along = one.width / 2 + gap, one.height / 2 + gap
        return [(one.left - across, one.up - along, one.left + across, one.up + along)]
    count = max(1, math.ceil(one.width / one.height))
    half = one.height / 2 + gap
    boxes = []
    for i in range(count):
        away = ((i + 0.5) / count - 0.5) * one.width
        left, up = one.left + away * math.cos(one.angle), one.up + away * math.sin(one.angle)
        boxes.append((left - half, up - half, left + half, up + half))
    return boxes


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
