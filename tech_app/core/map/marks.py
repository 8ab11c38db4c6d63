"""What stands above the map: the job, the position with its doubt, the way between them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tech_app.core.fix import Fix
from tech_app.core.map.lines import Triangles, dashes
from tech_app.core.map.mercator import metres_wide, to_world
from tech_app.core.map.paper import Paper
from tech_app.core.map.style import Colour

OLD_AFTER_S = 120.0  # an older position is grey, and its age is said
AHEAD_S = 10.0  # a receiver's clock may be
MOVING_MPS = 1.0  # slower, and a course is noise
DOT_DP, RIM_DP, PIN_DP = 9.0, 3.0, 14.0
PIN_HEIGHT = 2.1  # of its head's middle above the place, in radii
ROUTE_DP, ROUTE_RIM_DP = 6.0, 2.5
DASH_DP, GAP_DP = 9.0, 20.0  # a dash stands out at both its ends by half its width
DOUBT_TINT = 0.16
CIRCLE = 40  # corners of what is drawn as a circle

Way = tuple[float, float]
LatLon = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something above the map: its shape, its colour with its strength, and half its width in pixels."""

    triangles: Triangles
    tint: tuple[float, float, float, float]
    half_width: float


def is_old(fix: Fix, now_s: float) -> bool:
    """Whether a position is too old to be taken for the present one, or from another run of the clock."""
    return not -AHEAD_S <= now_s - fix.time_s <= OLD_AFTER_S


def way_marks(paper: Paper, way: Sequence[LatLon]) -> list[Mark]:
    """A way over the roads."""
    line = Triangles()
    line.add_line([number for place in way for number in paper.at(*place)])
    return _cased(paper, line)


def beeline_marks(paper: Paper, here: LatLon, there: LatLon) -> list[Mark]:
    """A straight dashed line: nobody knows the way."""
    line = Triangles()
    for dash in dashes(
        [*paper.at(*here), *paper.at(*there)],
        DASH_DP * paper.dp / paper.px_per_step,
        GAP_DP * paper.dp / paper.px_per_step,
    ):
        line.add_line(dash)
    return _cased(paper, line)


def position_marks(paper: Paper, fix: Fix, now_s: float) -> list[Mark]:
    """A dot in a circle as wide as its doubt, with a beak where it is going; grey when it is old."""
    place = (fix.lat, fix.lon)
    old = is_old(fix, now_s)
    colour = paper.look.grey if old else paper.look.position
    marks = []
    doubt_px = (fix.accuracy_m or 0.0) / metres_wide(to_world(*place)[1]) * paper.view.scale
    if doubt_px > (DOT_DP + RIM_DP) * paper.dp:
        marks.append(Mark(_fan(paper, place, _circle()), (*colour, DOUBT_TINT), doubt_px))
    rim, dot = (DOT_DP + RIM_DP) * paper.dp, DOT_DP * paper.dp
    if fix.course_deg is not None and (fix.speed_mps or 0.0) >= MOVING_MPS and not old:
        marks += [
            Mark(_fan(paper, place, _beak(fix.course_deg, 2.4)), _solid(paper.look.mark_rim), rim),
            Mark(_fan(paper, place, _beak(fix.course_deg, 2.6)), _solid(colour), dot),
        ]
    return [
        *marks,
        Mark(_fan(paper, place, _circle()), _solid(paper.look.mark_rim), rim),
        Mark(_fan(paper, place, _circle()), _solid(colour), dot),
    ]


def job_marks(paper: Paper, place: LatLon) -> list[Mark]:
    """A pin whose point is at the door."""
    middle = (0.0, PIN_HEIGHT)
    head = _circle()
    drop = [(x, y + PIN_HEIGHT) for x, y in head if y > -0.55]
    body = [*drop[: _left_of_point(drop)], (0.0, 0.0), *drop[_left_of_point(drop) :]]
    size = PIN_DP * paper.dp
    rim = [(x * 1.18, (y - PIN_HEIGHT) * 1.18 + PIN_HEIGHT if y else -0.25) for x, y in body]
    eye = [(0.4 * x, 0.4 * y + PIN_HEIGHT) for x, y in head]
    return [
        Mark(_fan(paper, place, rim, middle), _solid(paper.look.mark_rim), size),
        Mark(_fan(paper, place, body, middle), _solid(paper.look.job), size),
        Mark(_fan(paper, place, eye, middle), _solid(paper.look.mark_rim), size),
    ]


def _cased(paper: Paper, line: Triangles) -> list[Mark]:
    return [
        Mark(line, _solid(paper.look.route_casing), (ROUTE_DP / 2 + ROUTE_RIM_DP) * paper.dp),
        Mark(line, _solid(paper.look.route), ROUTE_DP / 2 * paper.dp),
    ]


def _fan(paper: Paper, place: LatLon, corners: Sequence[Way], middle: Way = (0.0, 0.0)) -> Triangles:
    fan = Triangles()
    fan.add_fan(*paper.at(*place), middle, corners)
    return fan


def _circle() -> list[Way]:
    """Its corners, anticlockwise from the east."""
    return [(math.cos(i * math.tau / CIRCLE), math.sin(i * math.tau / CIRCLE)) for i in range(CIRCLE)]


def _beak(course_deg: float, far: float) -> list[Way]:
    """A point ahead, and two corners on the circle beside it."""
    ahead = math.radians(90 - course_deg)
    ways = ((ahead - 0.7, 1.2), (ahead, far), (ahead + 0.7, 1.2))
    return [(0.0, 0.0), *((away * math.cos(angle), away * math.sin(angle)) for angle, away in ways)]


def _left_of_point(drop: Sequence[Way]) -> int:
    """Where the circle's last corner before its lowest place is: after it comes the pin's point."""
    return next(i for i in range(1, len(drop)) if drop[i - 1][0] < 0 < drop[i][0] and drop[i][1] < PIN_HEIGHT)


def _solid(colour: Colour) -> tuple[float, float, float, float]:
    return (*colour, 1.0)
