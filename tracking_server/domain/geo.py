"""Distances and a local plane on the WGS 84 ellipsoid, right at the poles and on both sides of the antimeridian.

Everything goes through earth-centred coordinates, or through the sine and cosine of a difference of longitudes, so no
place on earth is a special case. A longitude may lie outside ±180 degrees; a latitude must lie within ±90.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

XY = tuple[float, float]
FloatArray = npt.NDArray[np.float64]

# WGS 84 (NIMA TR8350.2): semi-major axis in metres, flattening; the others follow from these two.
SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1 / 298.257_223_563
SEMI_MINOR_M = SEMI_MAJOR_M * (1 - FLATTENING)
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)

# The earth's mean radius in metres (IUGG). The radii of curvature differ from it by less than 0.6 %.
MEAN_RADIUS_M = 6_371_008.8

# A degree of latitude at a pole, where it is longest (one of longitude has at most 111,320 m), and at the equator.
LONGEST_DEGREE_M = 111_695.0
SHORTEST_DEGREE_M = 110_574.0

# Up to a straight line of this many metres through the earth, the mean radius alone gives the arc to 0.1 m.
LOCAL_CHORD_M = 200_000.0

# About 10 km from its origin a tangent plane lies this many metres above the ellipsoid (d² / 2R).
PLANE_SAG_M = 8.0

# Vincenty's iteration ends when the longitude on the auxiliary sphere moves less than this (radians: 0.01 mm). That
# takes 3 or 4 rounds, and more only for nearly antipodal places.
VINCENTY_STEP = 1e-12
VINCENTY_ROUNDS = 50


def distance_m(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """The length of the shortest path over the ellipsoid, to better than 1 m for any two places on earth."""
    x1, y1, z1 = _earth_centred(lon1, lat1)
    x2, y2, z2 = _earth_centred(lon2, lat2)
    chord = math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2 + (z2 - z1) ** 2)
    if chord <= LOCAL_CHORD_M:
        return _arc_m(chord)
    exact = _vincenty_m(lon1, lat1, lon2, lat2)
    return _antipodal_m(lon1, lat1, lon2, lat2) if exact is None else exact


class Plane:
    """A local map in metres, x to the east and y to the north of an origin.

    It is the plane that touches the ellipsoid at the origin, so distances in it are right to 1 cm within 10 km of the
    origin. Farther away only the distance from the origin is kept, to 5 % and never folding back, so that a place on
    the other side of the earth is not taken for a near one. At a pole, east is 90 degrees from the origin's longitude.
    """

    __slots__ = ("_cos", "_lon", "_p", "_sin", "_z", "lat", "lon")

    def __init__(self, lon: float, lat: float) -> None:
        self.lon = lon
        self.lat = lat
        self._lon = math.radians(lon)
        self._sin = math.sin(math.radians(lat))
        self._cos = math.cos(math.radians(lat))
        across = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_SQUARED * self._sin**2)
        self._p = across * self._cos
        self._z = across * (1 - ECCENTRICITY_SQUARED) * self._sin

    def to_xy(self, lon: float, lat: float) -> XY:
        """East and north of the origin in metres."""
        phi = math.radians(lat)
        turn = math.radians(lon) - self._lon
        sin_phi = math.sin(phi)
        across = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_SQUARED * sin_phi * sin_phi)
        p = across * math.cos(phi)
        dp = p * math.cos(turn) - self._p
        dz = across * (1 - ECCENTRICITY_SQUARED) * sin_phi - self._z
        east = p * math.sin(turn)
        north = self._cos * dz - self._sin * dp
        up = self._cos * dp + self._sin * dz
        return (east, north) if up > -PLANE_SAG_M else _unfolded(east, north, up)

    def to_xys(self, lons: npt.ArrayLike, lats: npt.ArrayLike) -> FloatArray:
        """`to_xy` for many places at once: an array of shape (n, 2). It agrees with `to_xy` to a nanometre."""
        phi = np.radians(np.asarray(lats, dtype=np.float64))
        turn = np.radians(np.asarray(lons, dtype=np.float64)) - self._lon
        sin_phi = np.sin(phi)
        across = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY_SQUARED * sin_phi * sin_phi)
        p = across * np.cos(phi)
        dp = p * np.cos(turn) - self._p
        dz = across * (1 - ECCENTRICITY_SQUARED) * sin_phi - self._z
        xys = np.column_stack((p * np.sin(turn), self._cos * dz - self._sin * dp))
        up = self._cos * dp + self._sin * dz
        for i in np.flatnonzero(up <= -PLANE_SAG_M):
            xys[i] = _unfolded(float(xys[i, 0]), float(xys[i, 1]), float(up[i]))
        return xys


def nearest_on_segment(a: XY, b: XY, p: XY = (0.0, 0.0)) -> tuple[float, float]:
    """Where the straight line from a to b passes nearest to p: the share of the way (0 to 1), and the distance."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length_squared = dx * dx + dy * dy
    share = 0.0
    if length_squared > 0.0:
        share = min(1.0, max(0.0, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length_squared))
    return share, math.hypot(a[0] + share * dx - p[0], a[1] + share * dy - p[1])


def enters_circle(a: XY, b: XY, radius_m: float, centre: XY = (0.0, 0.0)) -> float | None:
    """The share of the way from a to b at which the straight line first comes within a circle; None if never."""
    share, nearest = nearest_on_segment(a, b, centre)
    if nearest > radius_m:
        return None
    length = math.hypot(b[0] - a[0], b[1] - a[1])
    if length == 0.0:
        return 0.0
    # The foot of the perpendicular may lie beyond an end of the segment, so it is taken on the whole line.
    along = (centre[0] - a[0]) * (b[0] - a[0]) / length + (centre[1] - a[1]) * (b[1] - a[1]) / length
    offset_squared = (centre[0] - a[0]) ** 2 + (centre[1] - a[1]) ** 2 - along * along
    half_chord = math.sqrt(max(0.0, radius_m * radius_m - offset_squared))
    return min(share, max(0.0, (along - half_chord) / length))


def inside_polygon(ring: Sequence[XY], p: XY) -> bool:
    """Whether p lies inside the ring, by counting the edges a ray to the east crosses (even-odd rule)."""
    inside = False
    x1, y1 = ring[-1]
    for x2, y2 in ring:
        if (y1 > p[1]) != (y2 > p[1]) and p[0] < x1 + (p[1] - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
        x1, y1 = x2, y2
    return inside


def polygon_distance_m(ring: Sequence[XY], p: XY) -> float:
    """How far p lies outside the ring; 0 inside."""
    if inside_polygon(ring, p):
        return 0.0
    return min(nearest_on_segment(ring[i - 1], ring[i], p)[1] for i in range(len(ring)))


def enters_polygon(ring: Sequence[XY], a: XY, b: XY) -> float | None:
    """The share of the way from a to b at which the straight line first touches the ring or its inside."""
    if inside_polygon(ring, a):
        return 0.0
    shares = [_meets(a, b, ring[i - 1], ring[i]) for i in range(len(ring))]
    return min((share for share in shares if share is not None), default=None)


def distances_to_path_m(xys: FloatArray, p: XY = (0.0, 0.0)) -> FloatArray:
    """For each place but the first, how near the straight line from the one before it passes to p. Shape (n - 1,)."""
    start, step = xys[:-1], np.diff(xys, axis=0)
    length_squared = np.maximum((step * step).sum(axis=1), np.finfo(np.float64).tiny)
    share = np.clip(((np.asarray(p) - start) * step).sum(axis=1) / length_squared, 0.0, 1.0)
    nearest = start + share[:, None] * step - np.asarray(p)
    return np.asarray(np.hypot(nearest[:, 0], nearest[:, 1]), dtype=np.float64)


def _meets(a: XY, b: XY, c: XY, d: XY) -> float | None:
    """The share of the way from a to b at which it crosses the segment from c to d. Parallel lines do not cross."""
    rx, ry, sx, sy = b[0] - a[0], b[1] - a[1], d[0] - c[0], d[1] - c[1]
    cross = rx * sy - ry * sx
    if cross == 0.0:
        return None
    qx, qy = c[0] - a[0], c[1] - a[1]
    share, other = (qx * sy - qy * sx) / cross, (qx * ry - qy * rx) / cross
    return share if 0.0 <= share <= 1.0 and 0.0 <= other <= 1.0 else None


def _earth_centred(lon: float, lat: float) -> tuple[float, float, float]:
    """Earth-centred, earth-fixed coordinates in metres of a place on the ellipsoid."""
    lam, phi = math.radians(lon), math.radians(lat)
    sin_phi = math.sin(phi)
    across = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_SQUARED * sin_phi * sin_phi)
    p = across * math.cos(phi)
    return p * math.cos(lam), p * math.sin(lam), across * (1 - ECCENTRICITY_SQUARED) * sin_phi


def _arc_m(chord_m: float) -> float:
    """The arc over a chord of a sphere with the mean radius."""
    return 2 * MEAN_RADIUS_M * math.asin(min(1.0, chord_m / (2 * MEAN_RADIUS_M)))


def _unfolded(east: float, north: float, up: float) -> XY:
    """A far place of the tangent plane, moved out along its direction to its distance over the earth."""
    flat = math.hypot(east, north)
    arc = _arc_m(math.sqrt(flat * flat + up * up))
    return (arc, 0.0) if flat == 0.0 else (east * arc / flat, north * arc / flat)


def _vincenty_m(lon1: float, lat1: float, lon2: float, lat2: float) -> float | None:
    """Vincenty's inverse solution (Survey Review XXIII, 1975), to 1 mm; None where it does not converge."""
    reduced1 = math.atan((1 - FLATTENING) * math.tan(math.radians(lat1)))
    reduced2 = math.atan((1 - FLATTENING) * math.tan(math.radians(lat2)))
    sin1, cos1, sin2, cos2 = math.sin(reduced1), math.cos(reduced1), math.sin(reduced2), math.cos(reduced2)
    difference = math.radians(math.remainder(lon2 - lon1, 360.0))
    lam = difference
    for _ in range(VINCENTY_ROUNDS):
        sin_lam, cos_lam = math.sin(lam), math.cos(lam)
        sin_sigma = math.hypot(cos2 * sin_lam, cos1 * sin2 - sin1 * cos2 * cos_lam)
        if sin_sigma == 0.0:
            return None
        cos_sigma = sin1 * sin2 + cos1 * cos2 * cos_lam
        sigma = math.atan2(sin_sigma, cos_sigma)
        sin_alpha = cos1 * cos2 * sin_lam / sin_sigma
        cos2_alpha = 1 - sin_alpha * sin_alpha
        cos_2m = cos_sigma - 2 * sin1 * sin2 / cos2_alpha if cos2_alpha > 0.0 else 0.0
        c = FLATTENING / 16 * cos2_alpha * (4 + FLATTENING * (4 - 3 * cos2_alpha))
        bend = sigma + c * sin_sigma * (cos_2m + c * cos_sigma * (2 * cos_2m * cos_2m - 1))
        before, lam = lam, difference + (1 - c) * FLATTENING * sin_alpha * bend
        if abs(lam) > math.pi:
            return None
        if abs(lam - before) < VINCENTY_STEP:
            return _vincenty_length_m(cos2_alpha, cos_2m, sin_sigma, cos_sigma, sigma)
    return None


def _vincenty_length_m(cos2_alpha: float, cos_2m: float, sin_sigma: float, cos_sigma: float, sigma: float) -> float:
    """The last step of Vincenty's inverse solution: the length of the geodesic (his equations 3, 4, 6 and 19)."""
    u2 = cos2_alpha * (SEMI_MAJOR_M**2 / SEMI_MINOR_M**2 - 1)
    a = 1 + u2 / 16384 * (4096 + u2 * (-768 + u2 * (320 - 175 * u2)))
    b = u2 / 1024 * (256 + u2 * (-128 + u2 * (74 - 47 * u2)))
    inner = cos_sigma * (2 * cos_2m**2 - 1) - b / 6 * cos_2m * (4 * sin_sigma**2 - 3) * (4 * cos_2m**2 - 3)
    return SEMI_MINOR_M * a * (sigma - b * sin_sigma * (cos_2m + b / 4 * inner))


def _antipodal_m(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """The distance between nearly antipodal places, where Vincenty's iteration does not converge.

    The shortest path crosses the circle halfway round the earth somewhere; the way over any other place of that circle
    is longer. So the smallest sum of the two halves, for which the iteration does converge, is the distance.
    """

    def over(azimuth: float) -> float:
        lon, lat = _quarter_way(lon1, lat1, azimuth)
        first, second = _vincenty_m(lon1, lat1, lon, lat), _vincenty_m(lon, lat, lon2, lat2)
        return math.inf if first is None or second is None else first + second

    # 32 directions separate the at most four valleys of the sum; each half-step around the best one holds its bottom.
    step = math.tau / 32
    best = min((i * step for i in range(32)), key=over)
    return _smallest(over, best - step, best + step)


def _quarter_way(lon: float, lat: float, azimuth: float) -> XY:
    """The place a quarter of the way round a sphere from another, in a direction in radians from north."""
    phi = math.radians(lat)
    lat2 = math.asin(math.cos(phi) * math.cos(azimuth))
    turn = math.atan2(math.sin(azimuth) * math.cos(phi), -math.sin(phi) * math.sin(lat2))
    return lon + math.degrees(turn), math.degrees(lat2)


def _smallest(f: Callable[[float], float], low: float, high: float) -> float:
    """The smallest value of a function with one valley between low and high, by golden section."""
    shrink = (math.sqrt(5) - 1) / 2
    # 30 steps narrow 0.4 radians to 2e-7; the bottom is flat, so the distance is then right to far below 1 mm.
    for _ in range(30):
        left, right = high - shrink * (high - low), low + shrink * (high - low)
        if f(left) < f(right):
            high = right
        else:
            low = left
    return f((low + high) / 2)
