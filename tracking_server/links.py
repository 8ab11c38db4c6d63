"""Customers' tracking links: mint, open, expire, revoke."""

from __future__ import annotations

from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import tokens
from tracking_server.domain.audience import link_ends_s
from tracking_server.domain.updates import JobChanged
from tracking_server.store.engine import to_seconds, to_time, transaction
from tracking_server.store.schema import job, link
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


async def open_link(engine: AsyncEngine, token: str, now_s: float) -> LinkRow | None:
    """The link of a token, None when there is none, when it was revoked and when it is over."""
    parsed = tokens.parse(token, tokens.Purpose.link)
    if parsed is None:
        return None
    organisation_id, token_hash = parsed
    async with transaction(engine, organisation_id) as connection:
        found = await find_link(connection, organisation_id, token_hash)
        if found is None or found.revoked:
            return None
        ended_at = await connection.scalar(
            sa.select(job.c.ended_at).where(job.c.organisation_id == organisation_id, job.c.id == found.job_id)
        )
    ends_s = link_ends_s(found.expires_s, to_seconds(ended_at))
    return found if ends_s is None or now_s < ends_s else None


async def revoke_link(
    connection: AsyncConnection, organisation_id: UUID, link_id: UUID, now_s: float
) -> JobChanged | None:
    """The link opens nothing any more; returns what to publish, None when there is no such link.

    Its job's version counts up, so that open streams look at their links again even when nothing is published.
    """
    job_id = await connection.scalar(
        link.update()
        .where(link.c.organisation_id == organisation_id, link.c.id == link_id)
        .values(revoked_at=sa.func.coalesce(link.c.revoked_at, to_time(now_s)))
        .returning(link.c.job_id)
    )
    if job_id is None:
        return None
    version = await connection.scalar(
        job.update()
        .where(job.c.organisation_id == organisation_id, job.c.id == job_id)
        .values(version=job.c.version + 1)
        .returning(job.c.version)
    )
    return JobChanged(organisation_id, job_id, version)
