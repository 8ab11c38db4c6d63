"""The clock's path: what only time brings about.

A dwell that ends without another fix, a backlog that did not come, a broken promise. One loop per installation, whoever
holds the advisory lock, over the jobs whose `due_at` has come. Idempotent: what is applied moves `due_at`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import outcome
from tracking_server.clock import Clock
from tracking_server.domain.assess import Assessment, pass_time
from tracking_server.domain.checkpoint import Advance, Checkpoint, give_up_gap
from tracking_server.domain.fix import Fix
from tracking_server.domain.updates import JobChanged
from tracking_server.live.bus import Bus
from tracking_server.store import fixes as fix_store
from tracking_server.store import jobs as job_store
from tracking_server.store import people
from tracking_server.store.engine import Contended, Unavailable, transaction, watching
from tracking_server.store.memory import read_technicians

log = structlog.get_logger()
SWEEP_EVERY_S = 5.0
SWEEP_LOCK = 0x0D005E  # any constant: one sweep at a time
MOST_PER_ROUND = 500


async def sweep_forever(engine: AsyncEngine, bus: Bus, clock: Clock) -> None:
    """Sweep every five seconds of the clock's time, unless another process does."""
    while True:
        try:
            async with engine.connect() as lock:
                while await _holds_lock(lock):
                    await sweep(engine, bus, clock.now())
                    await clock.sleep(SWEEP_EVERY_S)
        except (Unavailable, SQLAlchemyError, OSError) as error:
            log.warning("sweep_failed", error=type(error).__name__)
        await clock.sleep(SWEEP_EVERY_S)


async def _holds_lock(connection: AsyncConnection) -> bool:
    """Take the lock, or see that it is still ours: the session keeps it, and loses it when it breaks."""
    held = bool(await connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": SWEEP_LOCK}))
    await connection.commit()
    return held


async def sweep(engine: AsyncEngine, bus: Bus, now_s: float) -> int:
    """Apply everything that is due now; returns for how many technicians and unassigned jobs."""
    async with watching(engine) as connection:
        due = await job_store.due_jobs(connection, now_s, MOST_PER_ROUND)
    for organisation_id, technician_id, job_ids in due:
        try:
            async with transaction(engine, organisation_id) as connection:
                changes = await _apply(connection, organisation_id, technician_id, job_ids, now_s)
            await bus.publish(changes)
        except (outcome.Outdated, Contended):
            log.info("sweep_outdated", technician=str(technician_id))  # due again in the next round
    return len(due)


async def _apply(
    connection: AsyncConnection,
    organisation_id: UUID,
    technician_id: UUID | None,
    job_ids: Sequence[UUID],
    now_s: float,
) -> list[JobChanged]:
    """Let time pass for one technician's jobs, or for jobs that nobody has yet."""
    if technician_id is None:
        found = [await job_store.read_job(connection, organisation_id, job_id) for job_id in sorted(job_ids)]
        jobs = [job for job in found if job is not None]
        assessment = pass_time(Checkpoint(), jobs, [], now_s)
    else:
        versions = await people.lock_technicians(connection, organisation_id, [technician_id])
        (technician,) = await read_technicians(connection, organisation_id, versions, [technician_id], now_s)
        jobs = list(technician.jobs)
        advance = give_up_gap(technician.checkpoint, now_s)
        assessment = pass_time(advance.checkpoint, jobs, await _lane(connection, advance), now_s)
    before = {job.id: job for job in jobs}
    _look_again_later(assessment, job_ids, now_s)
    changes = await outcome.apply(connection, organisation_id, before, assessment, actor="clock", now_s=now_s)
    await job_store.clear_due(connection, organisation_id, set(job_ids) - set(before))
    if technician_id is not None:
        await people.save_technicians(connection, organisation_id, [(technician_id, assessment.checkpoint)])
    return changes


async def _lane(connection: AsyncConnection, advance: Advance) -> list[Fix]:
    """The fixes that waited for a backlog which did not come."""
    device_id, stream = advance.checkpoint.device_id, advance.checkpoint.stream
    if advance.empty or device_id is None:
        return []
    return await fix_store.read_fixes(connection, device_id, stream, advance.first, advance.last)


def _look_again_later(assessment: Assessment, job_ids: Sequence[UUID], now_s: float) -> None:
    """A job that stays due although nothing happened is looked at again in the next round, not at once for ever."""
    for job_id in job_ids:
        job = assessment.jobs.get(job_id)
        if job is not None and job.due_s is not None and job.due_s <= now_s:
            assessment.jobs[job_id] = replace(job, due_s=now_s + SWEEP_EVERY_S)
