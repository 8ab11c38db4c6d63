"""One GPS fix, and its JSON as the service reads it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

# Decimals that are sent: 0.1 m of place, hundredths of a second, tenths of what receivers only estimate. More is noise,
# and noise is what does not compress.
PLACE_DECIMALS = 6
TIME_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Fix:
    """Where the phone was. None is what the receiver did not say.

    `time_s` is UTC seconds since 1970 on the phone's own clock, right or wrong: the service corrects it together with
    the time of sending.
    """

    time_s: float
    lat: float
    lon: float
    accuracy_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    altitude_m: float | None = None
    battery_pct: float | None = None
    mock: bool = False

    @property
    def is_place(self) -> bool:
        """Whether it says a place and a time at all: broken receivers say NaN, infinity, or 0, 0."""
        known = math.isfinite(self.time_s) and abs(self.lat) <= 90 and abs(self.lon) <= 180
        return known and not (self.lat == 0 and self.lon == 0)

    def to_json(self) -> str:
        """An object without the number it gets in the outbox. What the receiver cannot have meant is left out."""
        said: dict[str, float | bool] = {
            "time": round(self.time_s, TIME_DECIMALS),
            "lat": round(self.lat, PLACE_DECIMALS),
            "lon": round(self.lon, PLACE_DECIMALS),
        }
        for name, decimals in MEASURED.items():
            value = getattr(self, name)
            if value is not None and math.isfinite(value):
                said[name] = round(value, decimals) if decimals else round(value)
        if self.mock:
            said["mock"] = True
        return json.dumps(said, separators=(",", ":"), allow_nan=False)


MEASURED = {"accuracy_m": 1, "speed_mps": 1, "course_deg": 0, "altitude_m": 0, "battery_pct": 0}


def read_fix(text: str) -> Fix:
    """The reverse of `to_json`; a number in it is ignored."""
    said = json.loads(text)
    known = {name: said[name] for name in (*MEASURED, "mock") if name in said}
    return Fix(said["time"], said["lat"], said["lon"], **known)
