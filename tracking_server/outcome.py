"""Apply what happened: job row, events, audit, messages owed, and what to publish.

The one way in which a job changes: used by the journey, the sweep, the dispatch and the customer's forms. The caller
holds the technician's lock and commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.assess import Assessment, Happening
from tracking_server.domain.job import Job
from tracking_server.domain.message import owed_for
from tracking_server.domain.updates import JobChanged
from tracking_server.store import jobs as job_store
from tracking_server.store import queue
from tracking_server.store.engine import to_time


class Outdated(Exception):
    """The job changed while it was being judged: judge again from the store."""


async def apply(
    connection: AsyncConnection,
    organisation_id: UUID,
    before: Mapping[UUID, Job],
    assessment: Assessment,
    *,
    actor: str,
    now_s: float,
) -> list[JobChanged]:
    """Write an assessment's jobs and all that follows from its happenings.

    Raises `Outdated` when a job is no longer as it was read; nothing is written then, as the transaction ends.
    """
    changed = [job for job_id, job in sorted(assessment.jobs.items()) if job != before.get(job_id)]
    for job in sorted(changed, key=_leaving_first):
        if not await job_store.save_job(connection, organisation_id, before[job.id], job):
            raise Outdated(f"job {job.id} is not at version {before[job.id].version} any more")
        if job.promised is not None and job.promise > before[job.id].promise:
            await job_store.insert_promise(connection, organisation_id, job.id, job.promise, job.promised, now_s)
    happened = [(item.before, item.after, item.event) for item in assessment.happenings]
    await job_store.insert_events(connection, organisation_id, happened, actor, now_s)
    await owe_messages(connection, organisation_id, assessment.happenings, now_s)
    return [
        JobChanged(organisation_id, job.id, job.version) for job in changed if job.version != before[job.id].version
    ]


def _leaving_first(job: Job) -> bool:
    """A drive that is taken back is written before the next one begins: one job en route per technician."""
    return job.state == "en_route"


async def owe_messages(
    connection: AsyncConnection, organisation_id: UUID, happenings: Sequence[Happening], now_s: float
) -> None:
    """Owe the contacts what they should be told, in the transaction of the event itself."""
    owed = [(item, message) for item in happenings for message in owed_for(item.before, item.after, item.event, now_s)]
    if not owed:
        return
    contacts = await job_store.read_contacts(connection, organisation_id, {item.after.id for item, _ in owed})
    values = [
        {
            "organisation_id": organisation_id,
            "id": queue.new_message_id(),
            "job_id": item.after.id,
            "contact_id": contact.id,
            "kind": message.kind.value,
            "occasion": message.occasion,
            "channel": "email",
            "recipient": contact.email,
            "about": message.about,
            "owed_at": to_time(now_s),
            "expires_at": to_time(message.expires_s),
        }
        for item, message in owed
        for contact in contacts
        if contact.job_id == item.after.id and contact.email and contact.messages_allowed
    ]
    new = await job_store.insert_messages(connection, values)
    await queue.defer_messages(connection, organisation_id, new)
