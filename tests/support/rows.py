"""Looking into the store, as the application sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.firm import Firm
from tracking_server.store.engine import transaction
from tracking_server.store.schema import event, job, metadata


async def count(firm: Firm, table: str) -> int:
    """How many rows of a table the firm has."""
    async with transaction(firm.engine, firm.organisation_id) as connection:
        return int(await connection.scalar(sa.select(sa.func.count()).select_from(metadata.tables[table])) or 0)


async def rows(firm: Firm, table: str) -> list[sa.Row[Any]]:
    """All rows of a table that the firm has."""
    async with transaction(firm.engine, firm.organisation_id) as connection:
        return list(await connection.execute(sa.select(metadata.tables[table])))


async def job_row(firm: Firm, job_id: UUID) -> sa.Row[Any]:
    async with transaction(firm.engine, firm.organisation_id) as connection:
        return (await connection.execute(sa.select(job).where(job.c.id == job_id))).one()


async def events(firm: Firm, job_id: UUID) -> list[sa.Row[Any]]:
    """What happened to a job, in the order it was recorded."""
    async with transaction(firm.engine, firm.organisation_id) as connection:
        return list(await connection.execute(sa.select(event).where(event.c.job_id == job_id).order_by(event.c.id)))


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """What the store is asked while the block runs."""
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(engine.sync_engine, "before_cursor_execute", note)
