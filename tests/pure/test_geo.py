"""Distances and the local plane against the geodesic, where maps usually go wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking_server.domain.geo import (
    Plane,
    distance_m,
    distances_to_path_m,
    enters_circle,
    enters_polygon,
    nearest_on_segment,
    polygon_distance_m,
)

# (lon1, lat1, lon2, lat2) and the geodesic in metres. The first two are examples in the manual of GeographicLib (C. F.
# F. Karney), which also gave the others; it is exact to nanometres.
GEODESICS = {
    "Wellington to Salamanca": (174.81, -41.32, -5.50, 40.96, 19_959_679.267),
    "New York to London": (-73.8, 40.6, -0.5, 51.6, 5_551_759.400),
    "two tram stops in Porto": (-8.6291, 41.1579, -8.6109, 41.1496, 1_784.242),
    "across the antimeridian on Taveuni": (179.999, -16.8, -179.999, -16.8, 213.196),
    "one place named +180 and -180": (180.0, 10.0, -180.0, 10.0, 0.0),
    "across the north pole": (0.0, 89.9, 180.0, 89.9, 22_338.796),
    "the pole under two longitudes": (15.0, 90.0, -120.0, 90.0, 0.0),
    "pole to pole": (0.0, 90.0, 0.0, -90.0, 20_003_931.459),
    "antipodes on the equator": (0.0, 0.0, 180.0, 0.0, 20_003_931.459),
    "nearly antipodes on the equator": (0.0, 0.0, 179.5, 0.0, 19_980_861.909),
    "nearly antipodes": (0.0, 0.0, 179.5, 0.5, 19_936_288.579),
    "antipodes": (10.0, 30.0, -170.0, -30.0, 20_003_931.459),
    "between the islands of Fiji": (178.0, -18.0, -179.2, -17.5, 302_057.489),
    "the longest way that is local": (-8.6, 41.15, -8.6, 42.94, 198_822.760),
    "a longitude one turn too far": (351.4, 41.15, -8.61, 41.15, 839.442),
}

# An origin, and the place a geodesic of this bearing and length leads to (GeographicLib).
AROUND = {
    "Porto": ((-8.61, 41.15), (-8.525767438, 41.213575926), 45.0, 9_990.0),
    "the antimeridian": ((180.0, -16.8), (-179.953094863, -16.799994655), 90.0, 5_000.0),
    "the south pole": ((12.0, -89.9), (-36.616947495, -89.963269611), 200.0, 9_000.0),
}

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)


@pytest.mark.parametrize("name", GEODESICS)
def test_distance_is_the_geodesic_to_one_metre(name: str) -> None:
    """A distance is right to 1 m near and far, over the poles, the antimeridian and between antipodes."""
    *places, truth_m = GEODESICS[name]
    assert distance_m(*places) == pytest.approx(truth_m, abs=1.0)


@settings(max_examples=200, deadline=None)
@given(longitudes, latitudes, longitudes, latitudes)
def test_distance_is_the_same_both_ways(lon1: float, lat1: float, lon2: float, lat2: float) -> None:
    """The way back is as long as the way there, and no way is longer than half round the earth."""
    there_m = distance_m(lon1, lat1, lon2, lat2)
    assert there_m == pytest.approx(distance_m(lon2, lat2, lon1, lat1), abs=0.5)
    assert 0 <= there_m <= 20_003_932


@pytest.mark.parametrize("name", AROUND)
def test_plane_keeps_distance_and_direction(name: str) -> None:
    """Within 10 km the plane gives distance and direction to 1 m of the geodesic's, at the pole too."""
    origin, place, bearing_deg, length_m = AROUND[name]
    x, y = Plane(*origin).to_xy(*place)
    assert math.hypot(x, y) == pytest.approx(length_m, abs=0.05)
    assert x == pytest.approx(length_m * math.sin(math.radians(bearing_deg)), abs=1.0)
    assert y == pytest.approx(length_m * math.cos(math.radians(bearing_deg)), abs=1.0)


@settings(max_examples=200, deadline=None)
@given(longitudes, latitudes, st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_plane_agrees_with_distance(lon: float, lat: float, dlon: float, dlat: float) -> None:
    """From anywhere on earth to a place a few kilometres away, plane and geodesic differ by less than 1 m."""
    lat2 = max(-90.0, min(90.0, lat + dlat))
    lon2 = lon + dlon / max(0.001, math.cos(math.radians(lat)))
    x, y = Plane(lon, lat).to_xy(lon2, lat2)
    assert math.hypot(x, y) == pytest.approx(distance_m(lon, lat, lon2, lat2), abs=1.0)


@settings(max_examples=100, deadline=None)
@given(longitudes, latitudes, longitudes, latitudes)
def test_plane_never_brings_a_far_place_near(lon1: float, lat1: float, lon2: float, lat2: float) -> None:
    """However far a place is, its distance from the origin of the plane is right to 5 %: nothing folds back."""
    x, y = Plane(lon1, lat1).to_xy(lon2, lat2)
    assert math.hypot(x, y) == pytest.approx(distance_m(lon1, lat1, lon2, lat2), rel=0.05, abs=1.0)


def test_many_places_at_once_are_the_same_places() -> None:
    """The vectorised plane gives what the single one gives, far places and the antimeridian included."""
    plane = Plane(179.999, -16.8)
    places = [(-179.999, -16.8), (179.9, -16.7), (0.0, 16.8), (180.0, -90.0), (179.999, -16.8)]
    together = plane.to_xys([lon for lon, _ in places], [lat for _, lat in places])
    alone = np.array([plane.to_xy(lon, lat) for lon, lat in places])
    assert np.allclose(together, alone, rtol=0, atol=1e-6)


def test_a_van_that_passes_between_two_fixes_comes_near() -> None:
    """The straight way between two places is measured, not only its ends; beyond its ends it does not go on."""
    assert nearest_on_segment((-400.0, 30.0), (400.0, 30.0)) == (0.5, 30.0)
    assert nearest_on_segment((30.0, 40.0), (600.0, 40.0)) == (0.0, 50.0)
    assert nearest_on_segment((30.0, 40.0), (30.0, 40.0)) == (0.0, 50.0)
    ways = distances_to_path_m(np.array([(-400.0, 30.0), (400.0, 30.0), (400.0, 30.0), (900.0, 30.0)]))
    assert ways == pytest.approx([30.0, math.hypot(400, 30), math.hypot(400, 30)])


def test_entering_a_circle() -> None:
    """A way enters a circle where it crosses its line, at once if it begins inside, and never if it passes by."""
    assert enters_circle((-100.0, 0.0), (100.0, 0.0), 60.0) == pytest.approx(0.2)
    assert enters_circle((-10.0, 0.0), (100.0, 0.0), 60.0) == 0.0
    assert enters_circle((-100.0, 0.0), (-70.0, 0.0), 60.0) is None
    assert enters_circle((50.0, 50.0), (50.0, 50.0), 60.0) is None
    assert enters_circle((0.0, 50.0), (0.0, 50.0), 60.0) == 0.0


def test_an_l_shaped_yard() -> None:
    """Inside a drawn polygon is inside, the notch of an L is not, and the way in is found at its edge."""
    yard = ((0.0, 0.0), (100.0, 0.0), (100.0, 40.0), (40.0, 40.0), (40.0, 100.0), (0.0, 100.0))
    assert polygon_distance_m(yard, (20.0, 80.0)) == 0.0
    assert polygon_distance_m(yard, (70.0, 70.0)) == pytest.approx(30.0)
    assert polygon_distance_m(yard, (103.0, -4.0)) == pytest.approx(5.0)
    assert enters_polygon(yard, (-50.0, 20.0), (50.0, 20.0)) == pytest.approx(0.5)
    assert enters_polygon(yard, (20.0, 20.0), (500.0, 20.0)) == 0.0
    assert enters_polygon(yard, (60.0, 60.0), (90.0, 90.0)) is None
