"""How the phone is, as the process that runs it tells the one that shows it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from tech_app.core.sampling import Profile
from tech_app.core.uplink import Skew


class Connection(StrEnum):
    """How the service was reached last."""

    untried = "untried"
    websocket = "websocket"
    http = "http"
    away = "away"


@dataclass(frozen=True, slots=True)
class Seen:
    """The last fix, kept or not, for the technician's own eyes. `at_s` is of the clock that is never set."""

    at_s: float
    lat: float
    lon: float
    accuracy_m: float | None = None
    course_deg: float | None = None
    speed_mps: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Troubles are sentences in English for the diagnostics, None when all is well. Times are of the clock that is
    never set, since the phone was switched on: a later one than now is of before that."""

    paired: bool = True
    connection: Connection = Connection.untried
    acknowledged_s: float | None = None
    jobs_s: float | None = None
    skew: Skew | None = None
    profile: Profile | None = None
    seen: Seen | None = None
    uplink_trouble: str | None = None
    jobs_trouble: str | None = None
    files_trouble: str | None = None
    gps_trouble: str | None = None
    storage_trouble: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def read_status(text: str | None) -> Status:
    """The reverse of `to_json`; `Status()` when nothing was told yet."""
    if text is None:
        return Status()
    said = json.loads(text)
    said["connection"] = Connection(said["connection"])
    said["profile"] = said["profile"] and Profile(said["profile"])
    said["skew"] = said["skew"] and Skew(**said["skew"])
    said["seen"] = said["seen"] and Seen(**said["seen"])
    return Status(**said)


def age_s(at_s: float | None, since_boot_s: float) -> float | None:
    """How long ago something was; None when that is not known, or was before the phone was switched on."""
    return None if at_s is None or at_s > since_boot_s else since_boot_s - at_s
