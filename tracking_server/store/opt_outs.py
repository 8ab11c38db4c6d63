"""Who said stop to which firm, and which callbacks of providers were heard already."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.store.engine import to_time
from tracking_server.store.schema import callback, opt_out, organisation

CALLBACKS_KEPT_S = 7 * 86_400.0  # no provider repeats itself for longer


async def opt_out_of(
    connection: AsyncConnection, organisation_id: UUID, recipient: str, said_by: str, now_s: float
) -> None:
    """Nothing goes from this firm to this address any more, until its owner says start."""
    values = {"organisation_id": organisation_id, "recipient": recipient, "said_by": said_by, "at": to_time(now_s)}
    await connection.execute(insert(opt_out).values(values).on_conflict_do_nothing())


async def opt_in_to(connection: AsyncConnection, organisation_id: UUID, recipient: str) -> None:
    """Messages may go to this address again."""
    await connection.execute(
        opt_out.delete().where(opt_out.c.organisation_id == organisation_id, opt_out.c.recipient == recipient)
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
    inserted = await connection.execute(insert(callback).values(values).on_conflict_do_nothing())
    return inserted.rowcount == 1
