"""Messages owed: read one with whom it is for, and settle what became of it."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.message import Contact, Message, MessageKind, Standing
from tracking_server.store.engine import to_seconds, to_time
from tracking_server.store.schema import contact, message

_corrected = message.alias("corrected")


async def read_message(
    connection: AsyncConnection, organisation_id: UUID, message_id: UUID
) -> tuple[Message, Contact | None] | None:
    """A message and the contact it is for as they are now; None when it went with its job or customer."""
    row = (
        await connection.execute(
            sa.select(
                message,
                contact.c.email,
                contact.c.language,
                contact.c.messages_allowed,
                _corrected.c.state.label("corrects"),
            )
            .outerjoin(
                contact,
                (contact.c.organisation_id == message.c.organisation_id) & (contact.c.id == message.c.contact_id),
            )
            .outerjoin(
                _corrected,
                (_corrected.c.organisation_id == message.c.organisation_id)
                & (_corrected.c.job_id == message.c.job_id)
                & (_corrected.c.kind == message.c.about["was"].astext)
                & (_corrected.c.occasion == message.c.occasion)
                & (_corrected.c.channel == message.c.channel)
                & (_corrected.c.recipient == message.c.recipient),
            )
            .where(message.c.organisation_id == organisation_id, message.c.id == message_id)
        )
    ).one_or_none()
    if row is None:
        return None
    owed = Message(
        id=row.id,
        job_id=row.job_id,
        kind=MessageKind(row.kind),
        occasion=row.occasion,
        recipient=row.recipient,
        standing=Standing(row.state),
        expires_s=to_seconds(row.expires_at),
        about=row.about,
        corrects=Standing(row.corrects) if row.corrects else None,
    )
    if row.contact_id is None:
        return owed, None
    return owed, Contact(row.contact_id, row.email, row.language, row.messages_allowed)


async def settle_message(
    connection: AsyncConnection, organisation_id: UUID, message_id: UUID, standing: Standing, reason: str, now_s: float
) -> bool:
    """Note what became of a message that is still owed; says whether it was."""
    updated = await connection.execute(
        message.update()
        .where(
            message.c.organisation_id == organisation_id,
            message.c.id == message_id,
            message.c.state == Standing.owed.value,
        )
        .values(state=standing.value, reason=reason, settled_at=to_time(now_s))
    )
    return updated.rowcount == 1
