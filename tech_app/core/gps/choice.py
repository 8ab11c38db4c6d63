"""Which source of fixes: by the words of a command line or a setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from tech_app.core.clock import Clock
from tech_app.core.gps.android import AndroidSource
from tech_app.core.gps.base import Source
from tech_app.core.gps.gpsd import PORT, GpsdSource
from tech_app.core.gps.plyer import PlyerSource
from tech_app.core.gps.replay import ReplaySource, read_drives
from tech_app.core.gps.simulator import SimulatorSource

CHOICES = "gpsd[:HOST[:PORT]], replay FILE, simulator LAT,LON, plyer or android"


def choose_source(words: Sequence[str]) -> Callable[[Clock], Source]:
    """How to make the source that `words` name. Raises ValueError, which says what to do."""
    match words:
        case ["android"]:
            return AndroidSource
        case ["plyer"]:
            return PlyerSource
        case ["replay", file]:
            try:
                drive = next(islice(read_drives(Path(file)), 1), None)
            except OSError as error:
                raise ValueError(f"{file} cannot be read: {error.strerror}") from error
            if drive is None:
                raise ValueError(f"{file} has no drives")
            return lambda clock: ReplaySource(drive, clock)
        case ["simulator", place]:
            lat, lon = _read_place(place)
            return lambda clock: SimulatorSource(clock, (lat, lon))
        case [gpsd] if gpsd == "gpsd" or gpsd.startswith("gpsd:"):
            host, port = _read_address(gpsd)
            return lambda clock: GpsdSource(clock, host, port)
    raise ValueError(f"there is no source {' '.join(words)!r}: choose {CHOICES}")


def _read_place(text: str) -> tuple[float, float]:
    try:
        lat, lon = map(float, text.split(","))
    except ValueError:
        lat, lon = 91.0, 0.0
    if abs(lat) > 90 or abs(lon) > 180:
        raise ValueError(f"{text} is no place: give latitude and longitude, as in 60.17,24.94")
    return lat, lon


def _read_address(text: str) -> tuple[str, int]:
    _, _, address = text.partition(":")
    host, _, port = address.partition(":")
    if port and not port.isdecimal():
        raise ValueError(f"{port} is no port: give gpsd:HOST:PORT")
    return host or "127.0.0.1", int(port or PORT)
