"""What processes tell each other, and those who watch: facts without language."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tracking_server.domain.eta import Window


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job is at a new version. `technicians` have it now, or had it until then: their phones look again.

    `eta`, made at `eta_made_at_s`, stands in it when it is all that became another with this version.
    """

    organisation_id: UUID
    job_id: UUID
    version: int
    technicians: tuple[UUID, ...] = ()
    eta: Window | None = None
    eta_made_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a technician is, as viewers may be shown it; `version` is the technician's.

    `job_id` is the job it is for: the one that the technician drives to, at `job_version`, as decided under the
    technician's lock in the transaction of the fix. A position is for nobody when there is none.
    """

    organisation_id: UUID
    technician_id: UUID
    version: int
    time_s: float
    lon: float
    lat: float
    accuracy_m: float | None
    course_deg: float | None
    job_id: UUID | None = None
    job_version: int = 0


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """A phone has opened a stream: others that it has, in whatever process, are left over from another network."""

    organisation_id: UUID
    device_id: UUID
    opening: UUID


Update = JobChanged | Position
Notice = Update | StreamOpened
