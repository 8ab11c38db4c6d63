"""Customers' tracking links: mint, share, open, expire, revoke, ask for a new one."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import outcome, tokens
from tracking_server.domain.audience import link_ends_s
from tracking_server.domain.updates import JobChanged
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.looks import Looks
from tracking_server.store.schema import audit, contact, job, link
from tracking_server.store.views import LinkRow, Opened, find_link, find_opened

MOST_SHARED = 6  # second links that the pages of one contact's visit give away
ASK_AGAIN_S = 600.0  # a contact is owed one new link in so long, however often it is asked for


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


class OpenLinks:
    """Opens links; all who come at once with links of one organisation share a look at the store."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._looks: Looks[bytes, Opened] = Looks(self._look)

    async def open(self, token: str, now_s: float) -> Opened | None:
        """The link of a token as it is now, None when there is none, when it was revoked and when it is over."""
        parsed = tokens.parse(token, tokens.Purpose.link)
        opened = None if parsed is None else await self._looks.find(*parsed)
        return opened if opened is not None and is_open(opened, now_s) else None

    async def _look(self, organisation_id: UUID, token_hashes: Collection[bytes]) -> dict[bytes, Opened]:
        async with transaction(self._engine, organisation_id) as connection:
            return await find_opened(connection, organisation_id, token_hashes)


def is_open(opened: Opened, now_s: float) -> bool:
    """Whether a link opens anything."""
    ends_s = link_ends_s(opened.link.expires_s, opened.ended_s)
    return not opened.link.revoked and (ends_s is None or now_s < ends_s)


async def open_link(engine: AsyncEngine, token: str, now_s: float) -> LinkRow | None:
    """The link of a token, None when there is none, when it was revoked and when it is over."""
    opened = await OpenLinks(engine).open(token, now_s)
    return None if opened is None else opened.link


async def share_link(connection: AsyncConnection, shared: LinkRow, now_s: float) -> str | None:
    """A second link to the same visit, ending when the first does, for somebody else's phone; returns its token, None
    when MOST_SHARED were given away. It is the same contact's: what they may see, its reader may."""
    await _one_at_a_time(connection, shared)
    if await _count(connection, shared, "link_shared", 0.0) >= MOST_SHARED:
        return None
    token, token_hash = tokens.mint(shared.organisation_id, tokens.Purpose.link)
    await connection.execute(
        link.insert().values(
            organisation_id=shared.organisation_id,
            id=uuid4(),
            job_id=shared.job_id,
            contact_id=shared.contact_id,
            token_hash=token_hash,
            created_at=to_time(now_s),
            expires_at=to_time(shared.expires_s),
        )
    )
    await _note_down(connection, shared, "link_shared", now_s)
    return token


async def request_new_link(engine: AsyncEngine, token: str, now_s: float) -> LinkRow | None:
    """Somebody with an old link asks for a new one. Returns the link whose contact is owed one through their own
    channel: None when there is no such link, when it was revoked, and when one was owed just now. The caller answers
    the same in every case."""
    parsed = tokens.parse(token, tokens.Purpose.link)
    if parsed is None:
        return None
    organisation_id, token_hash = parsed
    async with transaction(engine, organisation_id) as connection:
        old = await find_link(connection, organisation_id, token_hash)
        if old is None or old.revoked or await _count(connection, old, "new_link_asked", now_s - ASK_AGAIN_S):
            return None
        await _note_down(connection, old, "new_link_asked", now_s)
        await outcome.owe_new_link(connection, organisation_id, old.job_id, old.contact_id, now_s)
    return old


async def _one_at_a_time(connection: AsyncConnection, of: LinkRow) -> None:
    """Let others with this contact's links wait until this transaction ends: what is counted stays as it is."""
    own = contact.c.organisation_id == of.organisation_id, contact.c.id == of.contact_id
    await connection.execute(sa.select(contact.c.id).where(*own).with_for_update(key_share=True))


async def _count(connection: AsyncConnection, of: LinkRow, action: str, since_s: float) -> int:
    """How often something was done for this contact's visit."""
    statement = sa.select(sa.func.count()).where(
        audit.c.organisation_id == of.organisation_id,
        audit.c.job_id == of.job_id,
        audit.c.action == action,
        audit.c.evidence["contact"].astext == str(of.contact_id),
        audit.c.at > to_time(since_s),
    )
    return int(await connection.scalar(statement) or 0)


async def _note_down(connection: AsyncConnection, of: LinkRow, action: str, now_s: float) -> None:
    await connection.execute(
        audit.insert().values(
            organisation_id=of.organisation_id,
            at=to_time(now_s),
            actor="customer",
            action=action,
            job_id=of.job_id,
            evidence={"contact": str(of.contact_id)},
        )
    )


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
