"""Apply what happened: job row, events, audit, messages owed, and what to publish.

The one way in which a job changes: used by the journey, the sweep, the dispatch and the customer's forms. The caller
holds the technician's lock and commits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.assess import Assessment, Happening
from tracking_server.domain.events import Cause
from tracking_server.domain.job import Job, State
from tracking_server.domain.message import (
    Channel,
    Contact,
    MessageKind,
    Owed,
    Reason,
    Standing,
    new_link,
    owed_for,
    remind_at_s,
    way_after,
    ways,
)
from tracking_server.domain.note import Author, Note, NoteKind
from tracking_server.domain.updates import JobChanged
from tracking_server.organisation_settings import read_settings
from tracking_server.store import jobs as job_store
from tracking_server.store import messages as message_store
from tracking_server.store import notes as note_store
from tracking_server.store.engine import to_time
from tracking_server.store.queue import new_message_id


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
    changed = [job for job_id, job in sorted(assessment.jobs.items()) if _differs(job, before.get(job_id))]
    if not changed and not assessment.happenings:
        return []
    for job in sorted(changed, key=_leaving_first):
        if not await job_store.save_job(connection, organisation_id, before[job.id], job):
            raise Outdated(f"job {job.id} is not at version {before[job.id].version} any more")
        if job.promised is not None and job.promise > before[job.id].promise:
            await job_store.insert_promise(connection, organisation_id, job.id, job.promise, job.promised, now_s)
            await _remind_of(connection, organisation_id, job.id, job.promised, now_s)
    happened = [(item.before, item.after, item.event) for item in assessment.happenings]
    await job_store.insert_events(connection, organisation_id, happened, actor, now_s)
    for item in assessment.happenings:
        await _write_down(connection, organisation_id, item)
    await owe_messages(connection, organisation_id, assessment.happenings, now_s)
    return [
        JobChanged(
            organisation_id,
            job.id,
            job.version,
            _whose(before[job.id], job),
            job.eta if assessment.only_eta else None,
            job.eta_made_at_s if assessment.only_eta else None,
        )
        for job in changed
        if job.version != before[job.id].version
    ]


async def _write_down(connection: AsyncConnection, organisation_id: UUID, item: Happening) -> None:
    """What a technician said beside the step: their note, and why a visit could not be done."""
    event, job = item.event, item.after
    if event.cause is Cause.tap and event.text and job.technician_id is not None:
        note = Note(
            uuid4(), job.id, NoteKind.note, Author.technician, None, event.text, event.at_s,
            technician_id=job.technician_id,
        )  # fmt: skip
        await note_store.keep_note(connection, organisation_id, note)
    if State.no_access in (item.before.state, job.state) and item.before.state is not job.state:
        ended = job.state is State.no_access
        await job_store.say_why_ended(
            connection, organisation_id, job.id,
            by="technician" if ended else None, reason=item.event.evidence.get("reason") if ended else None,
        )  # fmt: skip


def _differs(after: Job, before: Job | None) -> bool:
    """Nearly all are the very same object, which need not be compared field by field."""
    return after is not before and after != before


def _whose(before: Job, after: Job) -> tuple[UUID, ...]:
    return tuple({job.technician_id for job in (before, after) if job.technician_id is not None})


def _leaving_first(job: Job) -> bool:
    """A drive that is taken back is written before the next one begins: one job en route per technician."""
    return job.state == "en_route"


async def _remind_of(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, promised: tuple[float, float], now_s: float
) -> None:
    """Set the time of a new promise's reminder, or take back that of the old one."""
    settings = read_settings((await message_store.read_audience(connection, organisation_id, ())).settings)
    at_s = remind_at_s(promised, settings.reminder_lead_h * 3600, now_s)
    await message_store.set_reminder(connection, organisation_id, job_id, at_s)


async def owe_messages(
    connection: AsyncConnection, organisation_id: UUID, happenings: Sequence[Happening], now_s: float
) -> None:
    """Owe what should be told of events, in their own transaction."""
    owed = [
        (item.after.id, message) for item in happenings for message in owed_for(item.before, item.after, item.event)
    ]
    await owe(connection, organisation_id, owed, now_s)


async def owe(
    connection: AsyncConnection, organisation_id: UUID, owed: Collection[tuple[UUID, Owed]], now_s: float
) -> None:
    """Owe messages about jobs to each contact, by the first way that reaches them, and to the firm's webhooks."""
    if not owed:
        return
    audience = await message_store.read_audience(connection, organisation_id, {job_id for job_id, _ in owed})
    order = read_settings(audience.settings).channels
    values = []
    for job_id, message in owed:
        common = _common(organisation_id, job_id, message, now_s)
        contacts = audience.contacts.get(job_id, ())
        values += [common | _to(contact, order, now_s) for contact in contacts]
        values += [common | _to_machine(webhook_id) for webhook_id in audience.webhooks]
    await message_store.owe(connection, organisation_id, values)


def _common(organisation_id: UUID, job_id: UUID, message: Owed, now_s: float) -> dict[str, Any]:
    return {
        "organisation_id": organisation_id,
        "job_id": job_id,
        "kind": message.kind.value,
        "occasion": message.occasion,
        "about": message.about,
        "owed_at": to_time(now_s),
        "expires_at": to_time(message.expires_s),
    }


def _to(contact: Contact, order: Sequence[Channel], now_s: float) -> dict[str, Any]:
    """By the contact's first way. Whom no way reaches is on record as not told, with the reason."""
    way = next(iter(ways(contact, order)), None) if contact.messages_allowed else None
    if way is not None:
        return {
            "id": new_message_id(),
            "contact_id": contact.id,
            "channel": way.value,
            "recipient": contact.address(way),
            "state": Standing.owed.value,
            "reason": None,
            "settled_at": None,
        }
    unreachable = Reason.no_recipient if contact.messages_allowed else Reason.not_allowed
    return {
        "id": new_message_id(),
        "contact_id": contact.id,
        "channel": Channel.none.value,
        "recipient": str(contact.id),
        "state": Standing.skipped.value,
        "reason": unreachable.value,
        "settled_at": to_time(now_s),
    }


def _to_machine(webhook_id: UUID) -> dict[str, Any]:
    return {
        "id": new_message_id(),
        "contact_id": None,
        "channel": Channel.webhook.value,
        "recipient": str(webhook_id),
        "expires_at": None,
        "state": Standing.owed.value,
        "reason": None,
        "settled_at": None,
    }


async def owe_new_link(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, contact_id: UUID, now_s: float
) -> None:
    """Owe the one contact who asked for it a new link to their visit."""
    audience = await message_store.read_audience(connection, organisation_id, {job_id})
    order = read_settings(audience.settings).channels
    times = await message_store.next_occasion(connection, organisation_id, job_id, MessageKind.new_link)
    message = new_link(times, now_s)
    values = [
        _common(organisation_id, job_id, message, now_s) | _to(contact, order, now_s)
        for contact in audience.contacts.get(job_id, ())
        if contact.id == contact_id
    ]
    await message_store.owe(connection, organisation_id, values)


async def owe_next_way(
    connection: AsyncConnection, organisation_id: UUID, owing: message_store.Owing, now_s: float
) -> Channel | None:
    """Owe a message that did not get through by its contact's next way, once; returns it, None when there is none."""
    message, contact = owing.message, owing.contact
    order = read_settings(owing.settings).channels
    way = way_after(contact, order, message.channel) if contact is not None and contact.messages_allowed else None
    if contact is None or way is None:
        return None
    values = {
        "organisation_id": organisation_id,
        "id": new_message_id(),
        "job_id": message.job_id,
        "contact_id": contact.id,
        "kind": message.kind.value,
        "occasion": message.occasion,
        "channel": way.value,
        "recipient": contact.address(way),
        "about": message.about | {"instead_of": message.channel.value},
        "owed_at": to_time(now_s),
        "expires_at": to_time(message.expires_s),
    }
    await message_store.owe(connection, organisation_id, [values])
    return way
