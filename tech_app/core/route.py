"""The way to a job over the roads."""

from __future__ import annotations

from dataclasses import dataclass

LatLon = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Route:
    """From where the technician was to the job, and how long it takes by car."""

    way: tuple[LatLon, ...]
    duration_s: float
    length_m: float
