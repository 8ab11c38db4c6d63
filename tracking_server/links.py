"""Customers' tracking links: mint, find, expire."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import tokens
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.schema import link
from tracking_server.store.views import LinkRow, find_link


async def mint_link(
    connection: AsyncConnection, organisation_id: UUID, job_id: UUID, contact_id: UUID, now_s: float
) -> str:
    """A new link for one contact of one job; returns its token, which is kept nowhere."""
    token, token_hash = tokens.mint(organisation_id, tokens.Purpose.link)
    await connection.execute(
        link.insert().values(
            organisation_id=organisation_id,
            id=uuid4(),
            job_id=job_id,
            contact_id=contact_id,
            token_hash=token_hash,
            created_at=to_time(now_s),
        )
    )
    return token


async def open_link(engine: AsyncEngine, token: str) -> LinkRow | None:
    """The link of a token, None when there is none or it was revoked."""
    parsed = tokens.parse(token, tokens.Purpose.link)
    if parsed is None:
        return None
    organisation_id, token_hash = parsed
    async with transaction(engine, organisation_id) as connection:
        found = await find_link(connection, organisation_id, token_hash)
    return None if found is None or found.revoked else found
