"""Who said stop to which firm, and which callbacks of providers were heard already."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.store.engine import to_time
from tracking_server.store.schema import callback, contact, link, opt_out, organisation

CALLBACKS_KEPT_S = 7 * 86_400.0  # no provider repeats itself for longer


async def opt_out_of(
    connection: AsyncConnection, organisation_id: UUID, recipient: str, said_by: str, now_s: float
) -> None:
    """Nothing goes from this firm to this address any more, until its owner says start."""
    values = {
        "organisation_id": organisation_id,
        "recipient": recipient.lower(),
        "said_by": said_by,
        "at": to_time(now_s),
    }
    await connection.execute(insert(opt_out).values(values).on_conflict_do_nothing())


async def opt_in_to(connection: AsyncConnection, organisation_id: UUID, recipient: str) -> None:
    """Messages may go to this address again."""
    await connection.execute(
        opt_out.delete().where(opt_out.c.organisation_id == organisation_id, opt_out.c.recipient == recipient.lower())
    )


async def organisations_sending_from(connection: AsyncConnection, number: str, shared: str) -> list[UUID]:
    """Whose short messages come from this number (a `watching` transaction); `shared` is the installation's own."""
    own = organisation.c.sms_from == number
    wanted = own | organisation.c.sms_from.is_(None) if number == shared else own
    return list(await connection.scalars(sa.select(organisation.c.id).where(wanted).order_by(organisation.c.id)))


async def hear_once(connection: AsyncConnection, organisation_id: UUID, callback_id: str, now_s: float) -> bool:
    """Note a provider's callback; False when it was heard before. Old ones are forgotten on the way."""
    await connection.execute(
        callback.delete().where(
            callback.c.organisation_id == organisation_id, callback.c.received_at < to_time(now_s - CALLBACKS_KEPT_S)
        )
    )
    values = {"organisation_id": organisation_id, "id": callback_id, "received_at": to_time(now_s)}
    statement = insert(callback).values(values).on_conflict_do_nothing().returning(callback.c.id)
    return await connection.scalar(statement) is not None


@dataclass(frozen=True, slots=True)
class EmailOwner:
    """Whom a link was minted for, as far as stopping their e-mails takes it."""

    email: str
    language: str
    organisation_name: str
    colour: str | None
    opted_out: bool


async def email_owner(connection: AsyncConnection, organisation_id: UUID, token_hash: bytes) -> EmailOwner | None:
    """The contact of a link, also of one that is over; None when there is no such link, or they have no e-mail."""
    row = (
        await connection.execute(
            sa.select(
                contact.c.email,
                contact.c.language,
                organisation.c.name,
                organisation.c.colour,
                opt_out.c.recipient.is_not(None).label("opted_out"),
            )
            .select_from(link)
            .join(contact, (contact.c.organisation_id == link.c.organisation_id) & (contact.c.id == link.c.contact_id))
            .join(organisation, organisation.c.id == link.c.organisation_id)
            .outerjoin(
                opt_out,
                (opt_out.c.organisation_id == contact.c.organisation_id)
                & (opt_out.c.recipient == sa.func.lower(contact.c.email)),
            )
            .where(link.c.organisation_id == organisation_id, link.c.token_hash == token_hash)
        )
    ).one_or_none()
    if row is None or not row.email:
        return None
    return EmailOwner(row.email, row.language, row.name, row.colour, row.opted_out)
