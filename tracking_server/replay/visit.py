"""A recorded drive as it is driven again: shifted in time, with a job where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tech_app.core.gps.replay import Drive
from tracking_server.domain.fix import DAY_S, STREAM_DAY_SHIFT

HELD_S = 180.0  # recordings end when the vehicle stands; an arrival needs 90 s of it
HELD_EVERY_S = 15.0
SHIFT_STARTS_BEFORE_S = 4.0
SETS_OFF_BEFORE_S = 2.0
SHIFT_ENDS_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Item:
    """One thing the phone has to tell, from `time_s` on."""

    time_s: float
    seq: int
    is_fix: bool
    wire: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """One drive, from `start_s` on, by a phone of its own."""

    drive: Drive
    start_s: float
    job_id: UUID
    phone_key: str

    @property
    def stream(self) -> int:
        """Begun on the day of the drive."""
        return stream_of(self.start_s)

    @property
    def arrival_s(self) -> float:
        """When the technician truly arrived."""
        return arrival_s(self.drive, self.start_s)

    @property
    def end_s(self) -> float:
        """The last fix."""
        return self._left_s + HELD_S

    @property
    def items(self) -> list[Item]:
        """What the phone tells, in order: shift and drive begun, the fixes, shift ended."""
        told = [
            (self.start_s - SHIFT_STARTS_BEFORE_S, {"kind": "shift_start"}),
            (self.start_s - SETS_OFF_BEFORE_S, {"kind": "en_route", "job": str(self.job_id)}),
            *self._fixes(),
            (self.end_s + SHIFT_ENDS_AFTER_S, {"kind": "shift_end"}),
        ]
        return [
            Item(time_s, seq, "lat" in wire, {"seq": seq, "time": time_s, **wire})
            for seq, (time_s, wire) in enumerate(told, 1)
        ]

    @property
    def _left_s(self) -> float:
        return self.start_s + self.drive.fixes[-1].time_s - self.drive.fixes[0].time_s

    def _fixes(self) -> Iterator[tuple[float, dict[str, Any]]]:
        driven = self.drive.fixes
        for fix in driven:
            known = {"altitude_m": fix.altitude_m, "speed_mps": fix.speed_mps, "course_deg": fix.course_deg}
            said = {name: value for name, value in known.items() if value is not None}
            yield self.start_s + fix.time_s - driven[0].time_s, {"lat": fix.lat, "lon": fix.lon, **said}
        for n in range(1, round(HELD_S / HELD_EVERY_S) + 1):
            yield self._left_s + n * HELD_EVERY_S, {"lat": driven[-1].lat, "lon": driven[-1].lon}


def stream_of(start_s: float) -> int:
    """The number of a stream that a phone begins then, as its first of that day."""
    return (int(start_s // DAY_S) << STREAM_DAY_SHIFT) | 1


def arrival_s(drive: Drive, start_s: float) -> float:
    """When a drive that begins at `start_s` truly arrives."""
    return start_s + drive.fixes[drive.arrive_idx].time_s - drive.fixes[0].time_s
