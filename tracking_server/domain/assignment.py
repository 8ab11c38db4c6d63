"""Give a job to a technician, or to another one, also when the first is already on the way: pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

from tracking_server.domain.assess import Assessment, touch_neighbours
from tracking_server.domain.checkpoint import Checkpoint
from tracking_server.domain.events import Cause, Event, EventKind
from tracking_server.domain.job import Job


def assign(
    job: Job, stops: Collection[Job], technician_id: UUID, stop_number: int | None, now_s: float
) -> Assessment | None:
    """What giving `job` to a technician comes to; None when its state does not allow it any more.

    `stops` are the stops of the technicians concerned; without a `stop_number` the job becomes the last one.
    """
    before = {stop.id: stop for stop in stops} | {job.id: job}
    assessment = Assessment(Checkpoint(), dict(before))
    kind = EventKind.assigned if job.technician_id is None else EventKind.reassigned
    evidence = {"from": str(job.technician_id), "to": str(technician_id)}
    if not assessment.happen(job, Event(kind, now_s, Cause.dispatcher, evidence)):
        return None
    last = max((stop.stop_number or 0 for stop in stops if stop.technician_id == technician_id), default=0)
    number = stop_number if stop_number is not None else last + 1
    given = replace(assessment.jobs[job.id], technician_id=technician_id, stop_number=number)
    assessment.jobs[job.id] = given
    assessment.happenings = [replace(item, after=given) for item in assessment.happenings]
    touch_neighbours(assessment, before.values(), shift_changed=False)
    return assessment
