"""Cancel a visit, or take its last step back: a dispatcher's word against what was."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server import outcome
from tracking_server.dispatch.jobs import NotFound, NotPossible
from tracking_server.domain.assess import decide
from tracking_server.domain.checkpoint import Checkpoint
from tracking_server.domain.events import Cause, Event, EventKind
from tracking_server.domain.updates import JobChanged
from tracking_server.store import jobs as job_store
from tracking_server.store import people
from tracking_server.store.memory import read_technicians
from tracking_server.store.schema import job as job_table


async def cancel_job(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, *, reason: str, actor: str, now_s: float
) -> list[JobChanged]:
    """The firm calls the visit off; the customer reads the reason. Raises `NotFound`, `NotPossible`, `Outdated`."""
    event = Event(EventKind.cancelled, now_s, Cause.dispatcher, {"reason": reason} if reason else {})
    changes = await _decide(connection, organisation_id, job_id, event, actor, now_s)
    await connection.execute(
        job_table.update()
        .where(job_table.c.organisation_id == organisation_id, job_table.c.id == job_id)
        .values(ended_by="firm", ended_reason=reason or None)
    )
    return changes


async def undo_step(
    connection: AsyncConnection,
    organisation_id: UUID,
    job_id: UUID,
    *,
    seen_state: str | None = None,
    actor: str,
    now_s: float,
) -> list[JobChanged]:
    """Take back the last thing that happened to a job, as an arrival that was none; who was told is told again.

    Raises `NotFound`, `NotPossible`, `Outdated`: also when the job is not in the caller's `seen_state` any more.
    """
    event = Event(EventKind.undone, now_s, Cause.dispatcher)
    return await _decide(connection, organisation_id, job_id, event, actor, now_s, seen_state)


async def _decide(
    connection: AsyncConnection,
    organisation_id: UUID,
    job_id: UUID,
    event: Event,
    actor: str,
    now_s: float,
    seen_state: str | None = None,
) -> list[JobChanged]:
    job = await job_store.read_job(connection, organisation_id, job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id}")
    checkpoint, jobs, technician_id = Checkpoint(), [job], job.technician_id
    if technician_id is not None:
        versions = await people.lock_technicians(connection, organisation_id, [technician_id])
        (technician,) = await read_technicians(connection, organisation_id, versions, list(versions), now_s)
        checkpoint, jobs = technician.checkpoint, list(technician.jobs)
    if all(known.id != job_id for known in jobs):
        again = await job_store.read_job(connection, organisation_id, job_id)
        if again is None or again.technician_id != technician_id:
            raise outcome.Outdated(f"job {job_id} was assigned by somebody else just now")
        jobs.append(again)
    state = next(known.state for known in jobs if known.id == job_id)
    if seen_state not in (None, state):
        raise outcome.Outdated(f"job {job_id} is {state}, not {seen_state} any more")
    assessment = decide(checkpoint, jobs, job_id, event, now_s)
    if assessment is None:
        raise NotPossible(f"job {job_id} is {job.state}: this cannot be done any more")
    before = {one.id: one for one in jobs}
    changes = await outcome.apply(connection, organisation_id, before, assessment, actor=actor, now_s=now_s)
    if technician_id is not None:
        await people.save_technicians(connection, organisation_id, [(technician_id, assessment.checkpoint)])
    return changes
