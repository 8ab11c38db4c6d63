"""The clock's path: what only time brings about.

A dwell that ends without another fix, a backlog that did not come, a broken promise, a reminder. One loop per
installation, whoever holds the advisory lock, over the jobs whose time has come. Idempotent: what is applied moves it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import outcome
from tracking_server.clock import Clock
from tracking_server.domain.assess import Assessment, pass_time
from tracking_server.domain.checkpoint import Checkpoint, forget_what_is_to_come, give_up_gaps
from tracking_server.domain.job import WAITED_FOR
from tracking_server.domain.message import reminder
from tracking_server.domain.updates import JobChanged, Update
from tracking_server.live.bus import Bus
from tracking_server.store import fixes as fix_store
from tracking_server.store import jobs as job_store
from tracking_server.store import messages as message_store
from tracking_server.store import people
from tracking_server.store.engine import Contended, Locked, Unavailable, transaction, watching
from tracking_server.store.jobs import DueJobs
from tracking_server.store.memory import read_technicians

log = structlog.get_logger()
SWEEP_EVERY_S = 5.0
SWEEP_LOCK = 0x0D005E  # any constant: one sweep at a time
MOST_PER_ROUND = 500
PUT_OFF_S = 300.0  # for what fails: long enough to be no load, short enough to come back after a mend


async def sweep_forever(engine: AsyncEngine, bus: Bus, clock: Clock) -> None:
    """Sweep every five seconds of the clock's time, unless another process does."""
    while True:
        try:
            async with _only_one(engine) as still_ours:
                while await still_ours():
                    await sweep(engine, bus, clock.now())
                    await remind(engine, clock.now())
                    await clock.sleep(SWEEP_EVERY_S)
        except Exception:
            log.exception("sweep_failed")
        await clock.sleep(SWEEP_EVERY_S)


@asynccontextmanager
async def _only_one(engine: AsyncEngine) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Hold the advisory lock for as long as the session lives; yields a question whether it is (still) ours."""
    async with engine.connect() as session:
        try:
            ours = bool(await session.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": SWEEP_LOCK}))
            await session.commit()

            async def still_ours() -> bool:
                if ours:
                    await session.execute(sa.text("SELECT 1"))  # raises when the session, and the lock with it, is gone
                    await session.commit()
                return ours

            yield still_ours
        finally:
            await session.invalidate()  # the session would take its lock back to the pool


async def sweep(engine: AsyncEngine, bus: Bus, now_s: float) -> int:
    """Apply everything that is due now; returns for how many technicians and unassigned jobs.

    What fails for one technician is put off, and costs no other one.
    """
    async with watching(engine) as connection:
        due = await job_store.due_jobs(connection, now_s, MOST_PER_ROUND)
    untold: list[Update] = []
    for one in due:
        try:
            async with transaction(engine, one.organisation_id) as connection:
                changes = await _apply(connection, one, now_s)
            untold += changes
        except (outcome.Outdated, Contended, Locked):
            log.info("sweep_outdated", technician=str(one.technician_id))  # due again in the next round
        except Unavailable:
            raise
        except Exception:
            log.exception("sweep_failed_for", technician=str(one.technician_id), organisation=str(one.organisation_id))
            async with transaction(engine, one.organisation_id) as connection:
                await job_store.put_off(connection, one, now_s, now_s + PUT_OFF_S)
    await bus.publish(untold)  # together: a Redis that hangs costs a round one wait, not one for each
    return len(due)


async def _apply(connection: AsyncConnection, due: DueJobs, now_s: float) -> list[JobChanged]:
    """Let time pass for one technician's jobs, or for jobs that nobody has yet."""
    organisation_id, technician_id = due.organisation_id, due.technician_id
    if technician_id is None:
        found = [await job_store.read_job(connection, organisation_id, job_id) for job_id in sorted(due.job_ids)]
        jobs = [job for job in found if job is not None and job.technician_id is None]
        assessment = pass_time(Checkpoint(), jobs, [], now_s)
    else:
        versions = await people.lock_technicians(connection, organisation_id, [technician_id])
        (technician,) = await read_technicians(connection, organisation_id, versions, list(versions), now_s)
        jobs = list(technician.jobs)
        checkpoint, stretches = give_up_gaps(forget_what_is_to_come(technician.checkpoint, now_s), now_s)
        lane = [await fix_store.read_stretch(connection, organisation_id, stretch) for stretch in stretches]
        assessment = pass_time(checkpoint, jobs, [fix for fixes in lane for fix in fixes], now_s)
    before = {job.id: job for job in jobs}
    _look_again_later(assessment, due.job_ids, now_s)
    changes = await outcome.apply(connection, organisation_id, before, assessment, actor="clock", now_s=now_s)
    await job_store.put_off(connection, replace(due, job_ids=sorted(set(due.job_ids) - set(before))), now_s, None)
    if technician_id is not None:
        await people.save_technicians(connection, organisation_id, [(technician_id, assessment.checkpoint)])
    return changes


def _look_again_later(assessment: Assessment, job_ids: Sequence[UUID], now_s: float) -> None:
    """A job that stays due although nothing happened is looked at again in the next round, not at once for ever."""
    for job_id in job_ids:
        job = assessment.jobs.get(job_id)
        if job is not None and job.due_s is not None and job.due_s <= now_s:
            assessment.jobs[job_id] = replace(job, due_s=now_s + SWEEP_EVERY_S)


async def remind(engine: AsyncEngine, now_s: float) -> int:
    """Owe the reminders that are due; returns how many jobs were looked at."""
    async with watching(engine) as connection:
        due = await message_store.reminders_due(connection, now_s, MOST_PER_ROUND)
    for organisation_id, job_id in due:
        try:
            async with transaction(engine, organisation_id) as connection:
                await _remind(connection, organisation_id, job_id, now_s)
        except Locked:
            log.info("remind_later", job=str(job_id))  # due again in the next round
        except (Unavailable, Contended):
            raise
        except Exception:
            log.exception("remind_failed_for", job=str(job_id), organisation=str(organisation_id))
            async with transaction(engine, organisation_id) as connection:
                await message_store.set_reminder_after(connection, organisation_id, job_id, now_s, now_s + PUT_OFF_S)
    return len(due)


async def _remind(connection: AsyncConnection, organisation_id: UUID, job_id: UUID, now_s: float) -> None:
    job = await job_store.read_job(connection, organisation_id, job_id)
    if job is not None and job.state in WAITED_FOR:
        await outcome.owe(connection, organisation_id, [(job_id, reminder(job.promise, now_s))], now_s)
    await message_store.set_reminder_after(connection, organisation_id, job_id, now_s, None)
