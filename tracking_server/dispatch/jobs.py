"""Make jobs; assign and reassign them, also when the technician is already on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server import outcome
from tracking_server.domain.assess import Assessment
from tracking_server.domain.assignment import assign
from tracking_server.domain.checkpoint import Checkpoint
from tracking_server.domain.events import Cause, Event, EventKind
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, late_at_s
from tracking_server.domain.proof import Proof, Rule
from tracking_server.domain.updates import JobChanged
from tracking_server.store import jobs as job_store
from tracking_server.store import people


class NotFound(Exception):
    """The organisation has no such job or technician."""


class NotPossible(Exception):
    """The job's state does not allow this."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a dispatcher says about a job. `promised` is the window told to the customer, in epoch seconds; `proof` what
    this visit asks for where it is not the firm's usual."""

    customer_id: UUID
    title: str
    address: str
    time_zone: str
    geofence: Geofence
    promised: tuple[float, float] | None = None
    duration_s: int = 3600
    preparation: str | None = None
    proof: Mapping[Proof, Rule] = field(default_factory=dict)
    id: UUID = field(default_factory=uuid4)


async def create_job(
    connection: AsyncConnection, organisation_id: UUID, new: NewJob, *, actor: str, now_s: float
) -> Job:
    """A new job: scheduled, and its customer told, when a window is promised; else a draft."""
    draft = await job_store.insert_job(
        connection,
        organisation_id,
        job_id=new.id,
        customer_id=new.customer_id,
        title=new.title,
        address=new.address,
        time_zone=new.time_zone,
        fence=new.geofence,
        duration_s=new.duration_s,
        preparation=new.preparation,
        proof=new.proof,
        now_s=now_s,
    )
    if new.promised is None:
        return draft
    assessment = Assessment(Checkpoint(), {draft.id: draft})
    assessment.happen(draft, Event(EventKind.scheduled, now_s, Cause.dispatcher))
    scheduled = replace(assessment.jobs[draft.id], promise=1, promised=new.promised)
    scheduled = replace(scheduled, due_s=late_at_s(scheduled))
    assessment.jobs[draft.id] = scheduled
    await outcome.apply(connection, organisation_id, {draft.id: draft}, assessment, actor=actor, now_s=now_s)
    return scheduled


async def assign_job(
    connection: AsyncConnection,
    organisation_id: UUID,
    job_id: UUID,
    technician_id: UUID,
    *,
    stop_number: int | None = None,
    seen_assignment: int | None = None,
    actor: str,
    now_s: float,
) -> list[JobChanged]:
    """Give a job to a technician, as their last stop unless `stop_number` says otherwise; returns what to publish.

    Raises `NotFound`, or `NotPossible` when the work has begun or is over, `Outdated` when somebody was faster: the job
    was assigned since the caller saw its `seen_assignment`.
    """
    job = await job_store.read_job(connection, organisation_id, job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id}")
    concerned = {technician_id, job.technician_id or technician_id}
    locked = await people.lock_technicians(connection, organisation_id, concerned)
    if technician_id not in locked:
        raise NotFound(f"there is no technician {technician_id}")
    stops = await job_store.read_stops(connection, organisation_id, concerned, now_s)
    job = await job_store.read_job(connection, organisation_id, job_id)
    if (
        job is None
        or (job.technician_id or technician_id) not in concerned
        or seen_assignment not in (None, job.assignment)
    ):
        raise outcome.Outdated(f"job {job_id} was assigned by somebody else just now")
    all_stops = [stop for own in stops.values() for stop in own]
    assessment = assign(job, all_stops, technician_id, stop_number, now_s)
    if assessment is None:
        raise NotPossible(f"job {job_id} is {job.state}: it can be assigned no more")
    before = {stop.id: stop for stop in all_stops} | {job.id: job}
    changes = await outcome.apply(connection, organisation_id, before, assessment, actor=actor, now_s=now_s)
    await people.count_versions_up(connection, organisation_id, concerned)
    return changes
