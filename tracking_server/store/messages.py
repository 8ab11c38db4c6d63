"""Messages owed: owe them, read one with all it takes to send it, settle what became of it, and list what was told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.job import Job
from tracking_server.domain.message import Channel, Contact, Message, MessageKind, Standing
from tracking_server.store import queue
from tracking_server.store.engine import to_seconds, to_time
from tracking_server.store.jobs import read_job
from tracking_server.store.schema import contact, customer, job, message, opt_out, organisation, technician, webhook

DAY_S = 86_400.0
MAYBE_SENT = "maybe_sent"  # in `about` of what was not sent, as far as we know: a try of it ended in the dark
_corrected = message.alias("corrected")
# What became of the message that a correction takes back, by whatever way it went: sent by one of them (a try that
# ended in the dark may have told it, too), or still owed.
_CORRECTS = (
    sa.select(
        sa.case(
            (
                sa.func.bool_or((_corrected.c.state == Standing.sent.value) | _corrected.c.about.has_key(MAYBE_SENT)),
                Standing.sent.value,
            ),
            (sa.func.bool_or(_corrected.c.state == Standing.owed.value), Standing.owed.value),
            else_=sa.func.min(_corrected.c.state),
        )
    )
    .where(
        _corrected.c.organisation_id == message.c.organisation_id,
        _corrected.c.job_id == message.c.job_id,
        _corrected.c.kind == message.c.about["was"].astext,
        _corrected.c.occasion == message.c.occasion,
        _corrected.c.contact_id == message.c.contact_id,
    )
    .scalar_subquery()
)


@dataclass(frozen=True, slots=True)
class Visit:
    """What messages tell of a job."""

    organisation_name: str
    office_phone: str | None
    title: str
    time_zone: str
    technician_name: str | None
    vehicle: str | None
    plate: str | None
    job: Job

    def at(self, now_s: float) -> Visit:
        """As it is told at this moment: without an estimate that is over, which nobody has believed in since."""
        if self.job.eta is None or self.job.eta.latest_s > now_s:
            return self
        return replace(self, job=replace(self.job, eta=None))


@dataclass(frozen=True, slots=True)
class Owing:
    """A message with everything that decides about it. `settings` are the firm's, as kept.

    `key` is what a provider knows this sending by, `draft` what was said under it if it may have got there.
    """

    message: Message
    contact: Contact | None
    visit: Visit
    settings: Mapping[str, Any]
    sms_from: str | None
    organisation_phone_country: tuple[str | None, str]
    opted_out: bool
    owed_s: float
    tries: int
    key: str
    draft: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a contact was told of a job before: how often by a channel, and when last of the same kind by any."""

    times: int
    same_kind_s: float | None


def _select_owing() -> sa.Select[Any]:
    return (
        sa.select(
            message,
            contact.c.email,
            contact.c.phone,
            contact.c.language,
            contact.c.messages_allowed,
            contact.c.email_allowed,
            contact.c.sms_allowed,
            _CORRECTS.label("corrects"),
            opt_out.c.recipient.is_not(None).label("opted_out"),
            *_VISIT,
            organisation.c.settings,
            organisation.c.sms_from,
            organisation.c.time_zone.label("organisation_zone"),
        )
        .join(job, (job.c.organisation_id == message.c.organisation_id) & (job.c.id == message.c.job_id))
        .join(organisation, organisation.c.id == message.c.organisation_id)
        .outerjoin(technician, (technician.c.organisation_id == job.c.organisation_id) & _OWN_TECHNICIAN)
        .outerjoin(
            contact,
            (contact.c.organisation_id == message.c.organisation_id) & (contact.c.id == message.c.contact_id),
        )
        .outerjoin(
            opt_out,
            (opt_out.c.organisation_id == message.c.organisation_id)
            & (opt_out.c.recipient == sa.func.lower(message.c.recipient)),
        )
    )


_OWN_TECHNICIAN = technician.c.id == job.c.technician_id
_VISIT = (
    organisation.c.name.label("organisation_name"),
    organisation.c.office_phone,
    job.c.title,
    job.c.time_zone,
    technician.c.name.label("technician_name"),
    technician.c.vehicle,
    technician.c.plate,
)


def _visit(row: Any, what: Job) -> Visit:
    names = ("organisation_name", "office_phone", "title", "time_zone", "technician_name", "vehicle", "plate")
    return Visit(**{name: getattr(row, name) for name in names}, job=what)


async def read_visit(connection: AsyncConnection, organisation_id: UUID, job_id: UUID) -> Visit | None:
    """What messages would tell of a job now, None when there is none of this id."""
    row = (
        await connection.execute(
            sa.select(*_VISIT)
            .select_from(job)
            .join(organisation, organisation.c.id == job.c.organisation_id)
            .outerjoin(technician, (technician.c.organisation_id == job.c.organisation_id) & _OWN_TECHNICIAN)
            .where(job.c.organisation_id == organisation_id, job.c.id == job_id)
        )
    ).one_or_none()
    what = await read_job(connection, organisation_id, job_id)
    return None if row is None or what is None else _visit(row, what)


async def read_message(connection: AsyncConnection, organisation_id: UUID, message_id: UUID) -> Owing | None:
    """A message with its contact, job and firm as they are now; None when it went with its job or customer."""
    row = (
        await connection.execute(
            _SELECT_OWING.where(message.c.organisation_id == organisation_id, message.c.id == message_id)
        )
    ).one_or_none()
    what = row and await read_job(connection, organisation_id, row.job_id)
    if row is None or what is None:
        return None
    return Owing(
        message=Message(
            id=row.id,
            job_id=row.job_id,
            kind=MessageKind(row.kind),
            occasion=row.occasion,
            recipient=row.recipient,
            standing=Standing(row.state),
            expires_s=to_seconds(row.expires_at),
            about=row.about,
            corrects=Standing(row.corrects) if row.corrects else None,
            channel=Channel(row.channel),
        ),
        contact=_contact(row, row.contact_id),
        visit=_visit(row, what),
        settings=row.settings,
        sms_from=row.sms_from,
        organisation_phone_country=(row.office_phone, row.organisation_zone),
        opted_out=row.opted_out,
        owed_s=row.owed_at.timestamp(),
        tries=row.tries,
        key=str(row.id) if row.resends == 0 else f"{row.id}.{row.resends}",
        draft=row.draft,
    )


_SELECT_OWING = _select_owing()


def _contact(row: sa.Row[Any], contact_id: UUID | None) -> Contact | None:
    if contact_id is None:
        return None
    return Contact(
        id=contact_id,
        email=row.email,
        language=row.language,
        messages_allowed=row.messages_allowed,
        phone=row.phone,
        email_allowed=row.email_allowed,
        sms_allowed=row.sms_allowed,
    )


async def lock_contact(connection: AsyncConnection, organisation_id: UUID, job_id: UUID, contact_id: UUID) -> None:
    """One at a time decides what goes to a contact about a job, until the transaction ends: limits are counted."""
    key = f"{organisation_id} {job_id} {contact_id}"
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))


async def told_before(connection: AsyncConnection, organisation_id: UUID, what: Message, contact_id: UUID) -> Told:
    """What went to this contact about this job, or is just going: so much by this channel, and when by any."""
    by_this = message.c.channel == what.channel.value
    of_this_kind = message.c.kind == what.kind.value
    row = (
        await connection.execute(
            sa.select(
                sa.func.count().filter(by_this).label("times"),
                sa.func.max(message.c.tried_at).filter(of_this_kind).label("same_kind_at"),
            ).where(
                message.c.organisation_id == organisation_id,
                message.c.job_id == what.job_id,
                message.c.contact_id == contact_id,
                message.c.id != what.id,
                message.c.tries > 0,
                message.c.state.in_((Standing.owed.value, Standing.sent.value)),
            )
        )
    ).one()
    return Told(row.times, to_seconds(row.same_kind_at))


async def sms_of_a_day(connection: AsyncConnection, organisation_id: UUID, now_s: float) -> int:
    """How many short messages the firm paid for within the last 24 hours."""
    counted = await connection.scalar(
        sa.select(sa.func.count())
        .select_from(message)
        .where(
            message.c.organisation_id == organisation_id,
            message.c.channel == Channel.sms.value,
            message.c.tries > 0,
            message.c.state.in_((Standing.owed.value, Standing.sent.value)),
            message.c.tried_at > to_time(now_s - DAY_S),
        )
    )
    return int(counted or 0)


async def begin_try(
    connection: AsyncConnection,
    organisation_id: UUID,
    message_id: UUID,
    draft: Mapping[str, str],
    now_s: float,
    *,
    tries: int,
) -> bool:
    """A channel is asked now, in these words. Until an answer is noted, nobody knows whether it took the message.

    False when it is not for the caller to ask: after these `tries` it was settled, or another try has begun.
    """
    updated = await connection.execute(
        message.update()
        .where(
            message.c.organisation_id == organisation_id,
            message.c.id == message_id,
            message.c.state == Standing.owed.value,
            message.c.tries == tries,
        )
        .values(tries=message.c.tries + 1, tried_at=to_time(now_s), waits_for=None, draft=draft)
    )
    return updated.rowcount == 1


async def note_waiting(
    connection: AsyncConnection,
    organisation_id: UUID,
    message_id: UUID,
    waits_for: str,
    *,
    tries: int,
    keep_draft: bool = True,
) -> None:
    """Why a message is still owed after so many tries; a try that has been overtaken says nothing any more.

    The draft is kept for as long as it may have been sent, and anew where it certainly was not.
    """
    await connection.execute(
        message.update()
        .where(
            message.c.organisation_id == organisation_id,
            message.c.id == message_id,
            message.c.state == Standing.owed.value,
            message.c.tries == tries,
        )
        .values(waits_for=waits_for, **({} if keep_draft else {"draft": sa.null()}))
    )


async def settle_message(
    connection: AsyncConnection,
    organisation_id: UUID,
    message_id: UUID,
    standing: Standing,
    reason: str,
    now_s: float,
    *,
    tries: int | None = None,
    maybe_sent: bool = False,
) -> bool:
    """Note what became of a message that is still owed; says whether it was.

    With `tries`, only if no later try has begun: what an old one says late is not the last word. `maybe_sent`: a try
    ended in the dark.
    """
    updated = await connection.execute(
        message.update()
        .where(
            message.c.organisation_id == organisation_id,
            message.c.id == message_id,
            message.c.state == Standing.owed.value,
            sa.true() if tries is None else message.c.tries == tries,
        )
        .values(
            state=standing.value,
            reason=reason,
            settled_at=to_time(now_s),
            waits_for=None,
            draft=sa.null(),
            **({"about": message.c.about.concat({MAYBE_SENT: True})} if maybe_sent else {}),
        )
    )
    return updated.rowcount == 1


async def owe(connection: AsyncConnection, organisation_id: UUID, values: Sequence[dict[str, Any]]) -> None:
    """Owe messages, once per job, kind, occasion, channel and recipient, and queue those that are new."""
    if not values:
        return
    statement = insert(message).values(values).on_conflict_do_nothing()
    rows = await connection.execute(statement.returning(message.c.id, message.c.channel, message.c.state))
    for_people: list[UUID] = []
    for_machines: list[UUID] = []
    for row in rows:
        if row.state == Standing.owed.value:
            (for_machines if row.channel == Channel.webhook.value else for_people).append(row.id)
    await queue.defer_messages(connection, organisation_id, for_people)
    await queue.defer_messages(connection, organisation_id, for_machines, queue.WEBHOOKS)


async def next_occasion(connection: AsyncConnection, organisation_id: UUID, job_id: UUID, kind: MessageKind) -> int:
    """The number of the next message of a kind that no visit, assignment or promise numbers."""
    last = await connection.scalar(
        sa.select(sa.func.max(message.c.occasion)).where(
            message.c.organisation_id == organisation_id, message.c.job_id == job_id, message.c.kind == kind.value
        )
    )
    return int(last or 0) + 1


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a firm's messages about some jobs go to: contacts by job, and its webhooks."""

    settings: Mapping[str, Any]
    webhooks: Sequence[UUID]
    contacts: Mapping[UUID, Sequence[Contact]]


async def read_audience(connection: AsyncConnection, organisation_id: UUID, job_ids: Iterable[UUID]) -> Audience:
    """The contacts of jobs, and the webhooks that are on."""
    on = (
        sa.select(sa.func.array_agg(webhook.c.id))
        .where(webhook.c.organisation_id == organisation_id, webhook.c.disabled_at.is_(None))
        .scalar_subquery()
    )
    firm = (
        await connection.execute(
            sa.select(organisation.c.settings, on.label("webhooks")).where(organisation.c.id == organisation_id)
        )
    ).one()
    rows = await connection.execute(
        sa.select(job.c.id.label("job_id"), contact)
        .join(
            contact,
            (contact.c.organisation_id == job.c.organisation_id) & (contact.c.customer_id == job.c.customer_id),
        )
        .where(job.c.organisation_id == organisation_id, job.c.id.in_(list(job_ids)))
        .order_by(contact.c.id)
    )
    contacts: dict[UUID, list[Contact]] = {}
    for row in rows:
        one = _contact(row, row.id)
        if one is not None:
            contacts.setdefault(row.job_id, []).append(one)
    return Audience(firm.settings, firm.webhooks or [], contacts)


async def set_reminder(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, remind_at_s: float | None
) -> None:
    """When to remind of a job's visit; None for not at all."""
    await connection.execute(_remind_at(organisation_id, job_id, remind_at_s))


async def set_reminder_after(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, due_s: float, remind_at_s: float | None
) -> None:
    """The same after one that was due at `due_s`; one that a new promise has set meanwhile stays."""
    await connection.execute(_remind_at(organisation_id, job_id, remind_at_s).where(job.c.remind_at <= to_time(due_s)))


def _remind_at(organisation_id: UUID, job_id: UUID, remind_at_s: float | None) -> sa.Update:
    this = (job.c.organisation_id == organisation_id) & (job.c.id == job_id)
    return job.update().where(this).values(remind_at=to_time(remind_at_s))


async def reminders_due(connection: AsyncConnection, now_s: float, most: int) -> list[tuple[UUID, UUID]]:
    """Organisations and jobs whose reminder is due (a `watching` transaction), the longest due first."""
    rows = await connection.execute(
        sa.select(job.c.organisation_id, job.c.id)
        .where(job.c.remind_at <= to_time(now_s))
        .order_by(job.c.remind_at)
        .limit(most)
    )
    return [(organisation_id, job_id) for organisation_id, job_id in rows]


async def note_receipt(
    connection: AsyncConnection,
    organisation_id: UUID,
    message_id: UUID,
    resends: int,
    receipt: str,
    now_s: float,
    *,
    failed: bool,
) -> bool:
    """What the provider says became of a message; says whether that is news.

    Its word settles a message whose sending ended in the dark, too. The first counts: receipts come twice and late.
    """
    updated = await connection.execute(
        message.update()
        .where(
            message.c.organisation_id == organisation_id,
            message.c.id == message_id,
            message.c.resends == resends,
            message.c.state.in_((Standing.owed.value, Standing.sent.value)),
            message.c.tries > 0,
            message.c.receipt.is_(None),
        )
        .values(
            state=(Standing.failed if failed else Standing.sent).value,
            reason=receipt if failed else sa.func.coalesce(message.c.reason, receipt),
            settled_at=to_time(now_s) if failed else sa.func.coalesce(message.c.settled_at, to_time(now_s)),
            receipt=receipt,
            receipt_at=to_time(now_s),
            waits_for=None,
            draft=sa.null(),
        )
    )
    return updated.rowcount == 1


# ---- the log of what was told and why not ----


async def list_messages(
    connection: AsyncConnection,
    organisation_id: UUID,
    *,
    job_id: UUID | None = None,
    standing: Standing | None = None,
    most: int = 100,
) -> list[dict[str, Any]]:
    """Messages with their standing and reason, the newest first. For failed ones the newest failure first."""
    newest = message.c.settled_at if standing is Standing.failed else message.c.owed_at
    statement = (
        sa.select(
            message.c.id,
            message.c.job_id,
            message.c.kind,
            message.c.occasion,
            message.c.channel,
            contact.c.name.label("contact"),
            message.c.state,
            sa.func.coalesce(message.c.reason, message.c.waits_for).label("reason"),
            message.c.tries,
            message.c.receipt,
            message.c.owed_at,
            message.c.settled_at,
        )
        .outerjoin(
            contact,
            (contact.c.organisation_id == message.c.organisation_id) & (contact.c.id == message.c.contact_id),
        )
        .where(message.c.organisation_id == organisation_id)
        .order_by(newest.desc(), message.c.id)
        .limit(most)
    )
    if job_id is not None:
        statement = statement.where(message.c.job_id == job_id)
    if standing is not None:
        statement = statement.where(message.c.state == standing.value)
    return [dict(row._mapping) for row in await connection.execute(statement)]


async def failed_messages(connection: AsyncConnection, organisation_id: UUID, most: int = 100) -> list[dict[str, Any]]:
    """What did not get through, the newest first: for the dispatcher's inbox."""
    return await list_messages(connection, organisation_id, standing=Standing.failed, most=most)


async def show_message(connection: AsyncConnection, organisation_id: UUID, message_id: UUID) -> dict[str, Any] | None:
    """Everything that is known of one message, None when there is none of this id."""
    statement = (
        sa.select(message, contact.c.name.label("contact"), customer.c.name.label("customer"))
        .outerjoin(
            contact,
            (contact.c.organisation_id == message.c.organisation_id) & (contact.c.id == message.c.contact_id),
        )
        .outerjoin(
            customer,
            (customer.c.organisation_id == contact.c.organisation_id) & (customer.c.id == contact.c.customer_id),
        )
        .where(message.c.organisation_id == organisation_id, message.c.id == message_id)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else dict(row._mapping)


async def retry_message(connection: AsyncConnection, organisation_id: UUID, message_id: UUID, now_s: float) -> bool:
    """Owe a failed message once more, under a new key; says whether it had failed.

    A live one gets its quarter of an hour anew only if it is still true: that is looked at when it is sent.
    """
    row = (
        await connection.execute(
            message.update()
            .where(
                message.c.organisation_id == organisation_id,
                message.c.id == message_id,
                message.c.state == Standing.failed.value,
            )
            .values(
                state=Standing.owed.value,
                reason=None,
                settled_at=None,
                tries=0,
                receipt=None,
                receipt_at=None,
                handled_at=None,
                handled_by=None,
                resends=message.c.resends + 1,
                owed_at=to_time(now_s),
                expires_at=sa.case(
                    (message.c.expires_at.is_(None), None),
                    else_=to_time(now_s) + (message.c.expires_at - message.c.owed_at),
                ),
            )
            .returning(message.c.channel)
        )
    ).one_or_none()
    if row is None:
        return False
    where = queue.WEBHOOKS if row.channel == Channel.webhook.value else queue.MESSAGES
    await queue.defer_messages(connection, organisation_id, [message_id], where)
    return True
