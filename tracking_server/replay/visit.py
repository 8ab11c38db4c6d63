"""A recorded drive as it is driven again: shifted in time, with a job where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tech_app.core.fix import Fix
from tech_app.core.gps.replay import Drive
from tech_app.core.tap import Tap, TapKind

HELD_S = 180.0  # recordings end when the vehicle stands; an arrival needs 90 s of it
HELD_EVERY_S = 15.0
SHIFT_STARTS_BEFORE_S = 4.0
SETS_OFF_BEFORE_S = 2.0
SHIFT_ENDS_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One drive, from `start_s` on, by a phone of its own."""

    drive: Drive
    start_s: float
    job_id: UUID
    phone_key: str

    @property
    def arrival_s(self) -> float:
        """When the technician truly arrived."""
        return arrival_s(self.drive, self.start_s)

    @property
    def end_s(self) -> float:
        """The last fix."""
        return self._left_s + HELD_S

    @property
    def items(self) -> list[Fix | Tap]:
        """What the phone tells, in order: shift and drive begun, the fixes, shift ended."""
        return [
            Tap(self.start_s - SHIFT_STARTS_BEFORE_S, TapKind.shift_start),
            Tap(self.start_s - SETS_OFF_BEFORE_S, TapKind.en_route, str(self.job_id)),
            *self.fixes,
            Tap(self.end_s + SHIFT_ENDS_AFTER_S, TapKind.shift_end),
        ]

    @property
    def fixes(self) -> list[Fix]:
        """The drive's, and those of standing where it ends."""
        driven = self.drive.fixes
        told = [
            Fix(
                self.start_s + fix.time_s - driven[0].time_s,
                fix.lat,
                fix.lon,
                speed_mps=fix.speed_mps,
                course_deg=fix.course_deg,
                altitude_m=fix.altitude_m,
            )
            for fix in driven
        ]
        held = range(1, round(HELD_S / HELD_EVERY_S) + 1)
        return told + [Fix(self._left_s + n * HELD_EVERY_S, driven[-1].lat, driven[-1].lon) for n in held]

    @property
    def _left_s(self) -> float:
        return self.start_s + self.drive.fixes[-1].time_s - self.drive.fixes[0].time_s


def arrival_s(drive: Drive, start_s: float) -> float:
    """When a drive that begins at `start_s` truly arrives."""
    return start_s + drive.fixes[drive.arrive_idx].time_s - drive.fixes[0].time_s
