"""Where a firm's own systems are told what happened: addresses with their signing secrets."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.store.engine import to_time
from tracking_server.store.schema import webhook

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Receiver:
    """A webhook as kept."""

    id: UUID
    url: str
    secret: str


async def insert_webhook(
    connection: AsyncConnection, organisation_id: UUID, url: str, now_s: float
) -> tuple[UUID, str]:
    """A new receiver; returns its id and its secret, which is shown this once."""
    webhook_id = uuid4()
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    await connection.execute(
        webhook.insert().values(
            organisation_id=organisation_id, id=webhook_id, url=url, secret=secret, created_at=to_time(now_s)
        )
    )
    return webhook_id, secret


async def read_receiver(connection: AsyncConnection, organisation_id: UUID, webhook_id: UUID) -> Receiver | None:
    """A receiver that is on, None when it is off or gone."""
    row = (
        await connection.execute(
            sa.select(webhook.c.url, webhook.c.secret).where(
                webhook.c.organisation_id == organisation_id,
                webhook.c.id == webhook_id,
                webhook.c.disabled_at.is_(None),
            )
        )
    ).one_or_none()
    return Receiver(webhook_id, row.url, row.secret) if row else None


async def set_disabled(
    connection: AsyncConnection, organisation_id: UUID, webhook_id: UUID, reason: str | None, now_s: float
) -> bool:
    """Turn a receiver off for this reason, or on again (None); says whether there is such a receiver."""
    updated = await connection.execute(
        webhook.update()
        .where(webhook.c.organisation_id == organisation_id, webhook.c.id == webhook_id)
        .values(disabled_at=None if reason is None else to_time(now_s), disabled_reason=reason)
    )
    return updated.rowcount == 1


async def delete_webhook(connection: AsyncConnection, organisation_id: UUID, webhook_id: UUID) -> bool:
    """Forget a receiver; says whether there was one."""
    deleted = await connection.execute(
        webhook.delete().where(webhook.c.organisation_id == organisation_id, webhook.c.id == webhook_id)
    )
    return deleted.rowcount == 1


async def webhooks(connection: AsyncConnection, organisation_id: UUID) -> Sequence[dict[str, Any]]:
    """A firm's receivers, without their secrets."""
    shown = (webhook.c.id, webhook.c.url, webhook.c.created_at, webhook.c.disabled_at, webhook.c.disabled_reason)
    rows = await connection.execute(
        sa.select(*shown).where(webhook.c.organisation_id == organisation_id).order_by(webhook.c.created_at)
    )
    return [dict(row._mapping) for row in rows]
