"""What those who watch are told about: facts without language."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job is at a new version."""

    organisation_id: UUID
    job_id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a technician is, as viewers may be shown it; `version` is the technician's."""

    organisation_id: UUID
    technician_id: UUID
    version: int
    time_s: float
    lon: float
    lat: float
    accuracy_m: float | None
    course_deg: float | None


Update = JobChanged | Position
