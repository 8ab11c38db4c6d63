"""Send one message owed, or say why not: read and decide in a transaction, send outside of any, then note what came."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import links, words
from tracking_server.clock import Clock
from tracking_server.domain.job import State
from tracking_server.domain.message import Contact, Message, MessageKind, Reason, Standing, why_not
from tracking_server.notify.channels.email import Mail, Mailer, Refused
from tracking_server.notify.texts import letter
from tracking_server.settings import Settings
from tracking_server.store.engine import transaction
from tracking_server.store.messages import read_message, settle_message
from tracking_server.store.views import JobView, read_view

log = structlog.get_logger()
ACCEPTED = "accepted"


class TooEarly(Exception):
    """A correction waits until it is known whether the message that it takes back was sent."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What sending takes. Without a mailer there is no mail server."""

    engine: AsyncEngine
    clock: Clock
    settings: Settings
    mailer: Mailer | None


async def send_message(parts: Parts, organisation_id: UUID, message_id: UUID) -> None:
    """Send a message if it is still owed and still true, and settle it with its reason.

    Raises `Unreachable` or `TooEarly` when it is to be tried again. After a kill between the server's accept and our
    mark it is sent again under the same Message-ID.
    """
    mail = await _prepare(parts, organisation_id, message_id)
    if mail is None or parts.mailer is None:
        return
    try:
        await parts.mailer.send(mail)
    except Refused as refusal:
        await settle(parts, organisation_id, message_id, Standing.failed, str(refusal))
    else:
        await settle(parts, organisation_id, message_id, Standing.sent, ACCEPTED)


async def settle(parts: Parts, organisation_id: UUID, message_id: UUID, standing: Standing, reason: str) -> None:
    """Note what became of a message, once: who comes second changes nothing."""
    now_s = parts.clock.now()
    async with transaction(parts.engine, organisation_id) as connection:
        first = await settle_message(connection, organisation_id, message_id, standing, reason, now_s)
    if first:
        log.debug("message_settled", message=str(message_id), standing=standing.value, reason=reason)


async def _prepare(parts: Parts, organisation_id: UUID, message_id: UUID) -> Mail | None:
    """The mail with a link of its own. None when there is nothing to send; what was owed is settled then."""
    now_s = parts.clock.now()
    async with transaction(parts.engine, organisation_id) as connection:
        found = await read_message(connection, organisation_id, message_id)
        view = found and await read_view(connection, organisation_id, found[0].job_id, now_s)
        if found is None or view is None or found[0].standing is not Standing.owed:
            return None
        message, contact = found
        reason = _why_not(parts, message, contact, view, now_s)
        token = None
        if reason is None and contact is not None:
            token = await links.mint_link(connection, organisation_id, message.job_id, contact.id, now_s)
    if token is None or contact is None:
        await settle(parts, organisation_id, message_id, Standing.skipped, reason or Reason.no_recipient)
        return None
    return _mail(message, contact, view, f"{parts.settings.public_url.rstrip('/')}/t/{token}", now_s)


def _why_not(parts: Parts, message: Message, contact: Contact | None, view: JobView, now_s: float) -> Reason | None:
    reason = why_not(message, contact, view.job, now_s)
    if reason is Reason.nothing_to_correct and message.corrects is Standing.owed:
        raise TooEarly("the message to correct is not settled yet")
    return Reason.no_mail_server if reason is None and parts.mailer is None else reason


def _mail(message: Message, contact: Contact, view: JobView, link: str, now_s: float) -> Mail:
    language = words.choose_language(None, contact.language)
    was = State(message.about["was"]) if message.kind is MessageKind.correction else None
    text = letter(message.kind, was, view, language, link)
    return Mail(
        message_id=message.id,
        recipient=message.recipient,
        sender_name=view.firm.name,
        subject=text.subject,
        body=text.body,
        language=language,
        at_s=now_s,
    )
