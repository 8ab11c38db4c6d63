"""Send one message owed, or say why not: read and decide in a transaction, send outside of any, then note what came.

A message that cannot get through by its channel is owed by its contact's next one, in the transaction that settles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import links, outcome, phone_numbers
from tracking_server.clock import Clock
from tracking_server.domain.job import State
from tracking_server.domain.message import (
    FALLS_BACK,
    LIVE,
    Channel,
    Contact,
    MessageKind,
    Reason,
    Standing,
    falls_back_at_s,
    way_after,
    why_not,
)
from tracking_server.failpoint import failpoint
from tracking_server.notify.channels.outgoing import ChannelSends, Outgoing, Refused, Unreachable
from tracking_server.notify.compose import compose, document, language_of
from tracking_server.notify.quiet_hours import held_until_s
from tracking_server.organisation_settings import OrganisationSettings, read_settings
from tracking_server.settings import Settings
from tracking_server.store import messages as message_store
from tracking_server.store import webhooks
from tracking_server.store.engine import transaction
from tracking_server.store.messages import Owing
from tracking_server.store.opt_outs import opt_out_of

log = structlog.get_logger()
ACCEPTED = "accepted"
MAYBE_TWICE = "accepted; a try before this one may have been, too"
OVERTAKEN = "another worker tries it"
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 86_400.0
MOST_TRIES = 16  # 45 hours in all: a mail server may be down for a night
WEBHOOK_WAITS_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)  # 75.6 hours


class TooEarly(Exception):
    """A correction waits until it is known whether the message that it takes back was sent."""


class Later(Exception):
    """The message stays owed and is looked at again after `wait_s` seconds; the text says what it waits for."""

    def __init__(self, waits_for: str, wait_s: float) -> None:
        super().__init__(waits_for)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Parts:
    """What sending takes. A channel that is not configured is not among `channels`."""

    engine: AsyncEngine
    clock: Clock
    settings: Settings
    channels: Mapping[Channel, ChannelSends]


@dataclass(frozen=True, slots=True)
class Ready:
    """A message that goes out now, for the `tries`th time. `maybe_sent`: a try before ended in the dark."""

    owing: Owing
    outgoing: Outgoing
    remark: str
    tries: int
    maybe_sent: bool


async def send_message(parts: Parts, organisation_id: UUID, message_id: UUID) -> None:
    """Send a message if it is still owed and still true, and settle it with its reason.

    Raises `Later` or `TooEarly` when it is to be looked at again. After a kill between the other side's accept and our
    mark it is sent again under the same key.
    """
    ready = await _prepare(parts, organisation_id, message_id)
    if ready is None:
        return
    failpoint("after_claim")
    channel = parts.channels[ready.owing.message.channel]
    try:
        await channel.send(ready.outgoing)
    except Refused as refusal:
        await _refused(parts, organisation_id, ready, refusal)
    except Unreachable as error:
        await _unreachable(parts, organisation_id, ready, error)
    else:
        failpoint("after_gateway_accept_before_mark")
        accepted = MAYBE_TWICE if ready.maybe_sent and not channel.keeps_keys else ACCEPTED
        reason = "; ".join(filter(None, (accepted, ready.remark)))
        await settle(parts, organisation_id, message_id, Standing.sent, reason)


async def settle(parts: Parts, organisation_id: UUID, message_id: UUID, standing: Standing, reason: str) -> None:
    """Note what became of a message, once: who comes second changes nothing."""
    now_s = parts.clock.now()
    async with transaction(parts.engine, organisation_id) as connection:
        first = await message_store.settle_message(connection, organisation_id, message_id, standing, reason, now_s)
    if first:
        log.debug("message_settled", message=str(message_id), standing=standing.value, reason=reason)


# ---- before: is it to be sent, and in which words ----


async def _prepare(parts: Parts, organisation_id: UUID, message_id: UUID) -> Ready | None:
    """What to send. None when there is nothing to send; what was owed is settled then."""
    now_s = parts.clock.now()
    waits: Later | None = None
    async with transaction(parts.engine, organisation_id) as connection:
        owing = await message_store.read_message(connection, organisation_id, message_id)
        if owing is None or owing.message.standing is not Standing.owed:
            return None
        settings = read_settings(owing.settings)
        reason = _why_not(parts, owing, settings, now_s)
        if reason is None and owing.contact is not None:
            reason, waits = await _why_not_yet(connection, organisation_id, owing, owing.contact, settings, now_s)
        if waits is not None:
            await message_store.note_waiting(connection, organisation_id, message_id, str(waits), tries=owing.tries)
        elif reason is None:
            ready = await _ready(parts, connection, organisation_id, owing, settings, now_s)
            if ready is not None:
                return ready
            reason = Reason.receiver_off
        if reason is not None:
            await _skip(connection, organisation_id, owing, reason, now_s)
    if waits is not None:
        raise waits
    return None


def _why_not(parts: Parts, owing: Owing, settings: OrganisationSettings, now_s: float) -> Reason | None:
    """Why it goes by this channel neither now nor later."""
    message = owing.message
    reason = why_not(message, owing.contact, owing.visit.job, now_s)
    if reason is Reason.nothing_to_correct and message.corrects is Standing.owed:
        raise TooEarly("the message to correct is not settled yet")
    if reason is not None:
        return reason
    if owing.opted_out:
        return Reason.opted_out
    if message.channel not in parts.channels:
        return Reason.no_sms_gateway if message.channel is Channel.sms else Reason.no_mail_server
    if message.channel is Channel.sms:
        return _why_no_sms_there(owing, settings)
    return None


def _why_no_sms_there(owing: Owing, settings: OrganisationSettings) -> Reason | None:
    """Numbers that only somebody who earns by them would give us."""
    number = owing.message.recipient
    if not phone_numbers.takes_sms(number):
        return Reason.bad_number
    home = phone_numbers.home_country(*owing.organisation_phone_country)
    countries = settings.sms_countries or ((home,) if home else ())
    return None if phone_numbers.is_in(number, countries) else Reason.country_not_allowed


async def _why_not_yet(
    connection: AsyncConnection,
    organisation_id: UUID,
    owing: Owing,
    contact: Contact,
    settings: OrganisationSettings,
    now_s: float,
) -> tuple[Reason | None, Later | None]:
    """What limits and the night say: a reason to skip it, or what it waits for, or neither."""
    message, visit = owing.message, owing.visit
    until_s = held_until_s(message, visit.job.promised, now_s, visit.time_zone, settings)
    if until_s is not None:
        expires = message.expires_s is not None and message.expires_s < until_s
        other_way = way_after(contact, settings.channels, message.channel) is not None
        if expires or (message.kind in LIVE and other_way):
            return Reason.quiet_hours, None
        return None, Later(Reason.quiet_hours.value, until_s - now_s)
    await message_store.lock_contact(connection, organisation_id, message.job_id, contact.id)
    told = await message_store.told_before(connection, organisation_id, message, contact.id)
    if message.channel is Channel.sms and told.times >= settings.sms_per_job:
        return Reason.job_limit, None
    # There are no more corrections than messages that had to keep apart; and a time ahead is of a clock set back.
    apart_s = 0.0 if message.kind is MessageKind.correction else settings.same_kind_apart_s
    if told.same_kind_s is not None and told.same_kind_s <= now_s < told.same_kind_s + apart_s:
        return None, Later(Reason.too_soon.value, told.same_kind_s + apart_s - now_s)
    if message.channel is Channel.sms:
        sent = await message_store.sms_of_a_day(connection, organisation_id, now_s)
        if sent >= settings.sms_per_day:
            return Reason.day_limit, None
    return None, None


async def _ready(
    parts: Parts,
    connection: AsyncConnection,
    organisation_id: UUID,
    owing: Owing,
    settings: OrganisationSettings,
    now_s: float,
) -> Ready | None:
    """The message in words; None when its webhook is off. Raises `Later` when another worker was faster."""
    message, contact = owing.message, owing.contact
    recipient, sender, secret = message.recipient, owing.visit.organisation_name, ""
    if contact is None:
        receiver = await webhooks.read_receiver(connection, organisation_id, UUID(message.recipient))
        if receiver is None:
            return None
        recipient, secret = receiver.url, receiver.secret
    elif message.channel is Channel.sms:
        sender = owing.sms_from or parts.settings.sms_from
    draft = owing.draft or await _draft(parts, connection, organisation_id, owing, settings, now_s)
    if not await message_store.begin_try(connection, organisation_id, message.id, draft, now_s, tries=owing.tries):
        raise Later(OVERTAKEN, FIRST_WAIT_S)
    outgoing = Outgoing(
        organisation_id=organisation_id,
        message_id=message.id,
        key=owing.key,
        recipient=recipient,
        sender=sender,
        subject=draft["subject"],
        body=draft["body"],
        language=draft["language"],
        at_s=now_s,
        unsubscribe_url=draft["unsubscribe_url"],
        secret=secret,
    )
    return Ready(owing, outgoing, draft["remark"], owing.tries + 1, maybe_sent=owing.draft is not None)


async def _draft(
    parts: Parts,
    connection: AsyncConnection,
    organisation_id: UUID,
    owing: Owing,
    settings: OrganisationSettings,
    now_s: float,
) -> Mapping[str, str]:
    """What is said, with a link of the contact's own. Said again in the dark, it is the same word for word."""
    message, contact, visit = owing.message, owing.contact, owing.visit.at(now_s)
    if contact is None:
        body = document(message, visit)
        return {"subject": "", "body": body, "remark": "", "language": "en", "unsubscribe_url": ""}
    token = await links.mint_link(connection, organisation_id, message.job_id, contact.id, now_s)
    url = parts.settings.public_url
    language = language_of(contact.language)
    was = State(message.about["was"]) if message.kind is MessageKind.correction else None
    composed = compose(message.channel, message.kind, was, visit, language, f"{url}/t/{token}", settings)
    return {
        "subject": composed.subject,
        "body": composed.body,
        "remark": composed.remark,
        "language": language,
        "unsubscribe_url": f"{url}/u/{token}",
    }


# ---- after: what came of it ----


async def _skip(connection: AsyncConnection, organisation_id: UUID, owing: Owing, reason: Reason, now_s: float) -> None:
    skipped = Standing.skipped
    message_id = owing.message.id
    if await message_store.settle_message(
        connection, organisation_id, message_id, skipped, reason.value, now_s, maybe_sent=owing.draft is not None
    ):
        log.debug("message_settled", message=str(message_id), standing=skipped.value, reason=reason.value)
        if reason in FALLS_BACK:
            await outcome.owe_next_way(connection, organisation_id, owing, now_s)


async def _refused(parts: Parts, organisation_id: UUID, ready: Ready, refusal: Refused) -> None:
    """It failed for good: what the refusal teaches is kept, and the next way is owed, unless they said stop."""
    now_s = parts.clock.now()
    message = ready.owing.message
    async with transaction(parts.engine, organisation_id) as connection:
        if refusal.opted_out:
            await opt_out_of(connection, organisation_id, message.recipient, "provider", now_s)
        if refusal.receiver_gone:
            await webhooks.set_disabled(
                connection, organisation_id, UUID(message.recipient), "it answered 410 Gone", now_s
            )
        await _fail(
            connection, organisation_id, ready, str(refusal), now_s,
            maybe_sent=ready.maybe_sent, fall_back=not refusal.opted_out,
        )  # fmt: skip


async def _unreachable(parts: Parts, organisation_id: UUID, ready: Ready, error: Unreachable) -> None:
    """Wait and try again, or give up on this channel: after the last try, or when another way would be sooner."""
    now_s = parts.clock.now()
    owing, tries = ready.owing, ready.tries
    message, contact = owing.message, owing.contact
    wait_s = max(wait_after_s(message.channel, tries), error.retry_after_s)
    order = read_settings(owing.settings).channels
    maybe_sent = error.in_the_dark or ready.maybe_sent
    other_way = contact is not None and way_after(contact, order, message.channel) is not None
    async with transaction(parts.engine, organisation_id) as connection:
        if tries_left(message.channel, tries) == 0:
            await _fail(connection, organisation_id, ready, f"gave_up: {error}", now_s, maybe_sent=maybe_sent)
            return
        if other_way and now_s + wait_s > falls_back_at_s(message, owing.owed_s):
            reason = f"went another way: {error}"
            await _fail(connection, organisation_id, ready, reason, now_s, maybe_sent=maybe_sent)
            return
        await message_store.note_waiting(
            connection, organisation_id, message.id, str(error), tries=tries, keep_draft=maybe_sent
        )
    log.warning("message_not_sent_yet", message=str(message.id), attempt=tries, reason=str(error))
    raise Later(str(error), wait_s)


async def _fail(
    connection: AsyncConnection,
    organisation_id: UUID,
    ready: Ready,
    reason: str,
    now_s: float,
    *,
    maybe_sent: bool,
    fall_back: bool = True,
) -> None:
    message = ready.owing.message
    first = await message_store.settle_message(
        connection,
        organisation_id,
        message.id,
        Standing.failed,
        reason,
        now_s,
        tries=ready.tries,
        maybe_sent=maybe_sent,
    )
    if first:
        log.debug("message_settled", message=str(message.id), standing="failed", reason=reason)
        if fall_back:
            await outcome.owe_next_way(connection, organisation_id, ready.owing, now_s)


def wait_after_s(channel: Channel, tries: int) -> float:
    """How long to wait after so many tries, in seconds."""
    if channel is Channel.webhook:
        return WEBHOOK_WAITS_S[min(tries, len(WEBHOOK_WAITS_S)) - 1]
    return wait_s(tries - 1)


def tries_left(channel: Channel, tries: int) -> int:
    """How many tries are left after so many."""
    most = len(WEBHOOK_WAITS_S) + 1 if channel is Channel.webhook else MOST_TRIES
    return max(most - tries, 0)


def wait_s(failures_before: int) -> float:
    """Twice as long after every failure, from seconds to a day."""
    return min(FIRST_WAIT_S * 2.0 ** min(failures_before, 20), LONGEST_WAIT_S)
