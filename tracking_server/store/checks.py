"""Whether a database may be trusted with an acknowledgement: asked before the service starts."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server.store.engine import Unavailable, begin
from tracking_server.store.migrate import newest_revision

DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
ANSWER_WITHIN_S = 2.0


async def can_answer(engine: AsyncEngine) -> bool:
    """Whether the store answers at all."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S), begin(engine) as connection:
            await connection.execute(sa.text("SELECT 1"))
    except (Unavailable, TimeoutError):
        return False
    return True


async def faults(engine: AsyncEngine) -> list[str]:
    """Every reason not to serve from this database, each with what to do; empty when there is none."""
    async with engine.connect() as connection:
        found = []
        for setting in DURABLE:
            if await connection.scalar(sa.text("SELECT current_setting(:name)"), {"name": setting}) == "off":
                found.append(f"PostgreSQL runs with {setting}=off: an acknowledged fix could be lost. Turn it on.")
        role = (
            await connection.execute(
                sa.text("SELECT rolname, rolsuper OR rolbypassrls AS above FROM pg_roles WHERE rolname = current_user")
            )
        ).one()
        if role.above:
            found.append(
                f"the role {role.rolname} bypasses row security: organisations would not be kept apart. "
                "Connect as doorstep_app (DOORSTEP_DATABASE_URL)."
            )
        owned = await connection.scalar(
            sa.text(
                "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
                "AND pg_get_userbyid(relowner) = current_user"
            )
        )
        if owned:
            found.append(
                f"the role {role.rolname} owns {owned} tables: it could switch row security off. "
                "Only doorstep_owner may own them."
            )
        exists = await connection.scalar(sa.text("SELECT to_regclass('alembic_version') IS NOT NULL"))
        at = await connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if exists else None
        if at != newest_revision():
            found.append(f"the schema is at {at or 'nothing'}, not at {newest_revision()}: run ./doorstep migrate.")
        return found
