"""Distances and directions on the earth, as a phone needs them: over a few kilometres."""

from __future__ import annotations

import math

EARTH_RADIUS_M = 6_371_008.8


def distance_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """The great-circle distance between two places, in metres."""
    north = math.sin(math.radians(lat_b - lat_a) / 2) ** 2
    east = math.sin(math.radians(lon_b - lon_a) / 2) ** 2
    share = north + math.cos(math.radians(lat_a)) * math.cos(math.radians(lat_b)) * east
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, share)))


def course_deg(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """The direction from a to b in degrees, clockwise from north."""
    turn_lon = (lon_b - lon_a + 180) % 360 - 180
    east = turn_lon * math.cos(math.radians((lat_a + lat_b) / 2))
    return math.degrees(math.atan2(east, lat_b - lat_a)) % 360


def turn_deg(course_a: float, course_b: float) -> float:
    """How far one direction is from another, 0 to 180 degrees."""
    return abs((course_b - course_a + 180) % 360 - 180)
