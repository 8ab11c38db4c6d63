"""Connections to PostgreSQL, and under whose eyes a transaction runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

STATEMENT_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = 3_000


def create_engine(url: str, *, pool_size: int = 8) -> AsyncEngine:
    """An engine whose sessions give up on slow statements and locks before the client does."""
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} -c timezone=UTC"
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # they are names, addresses and coordinates, and errors are logged
        connect_args={"connect_timeout": 5, "options": options},
    )


async def set_organisation(connection: AsyncConnection, organisation_id: UUID) -> None:
    """Show this transaction the rows of one organisation; the setting ends with the transaction."""
    await connection.execute(
        sa.text("SELECT set_config('app.organisation_id', :id, true)"), {"id": str(organisation_id)}
    )


AWAY = "the store is not available"


class Unavailable(Exception):
    """The store cannot take it now: nothing was kept, send it again in a few seconds.

    Its text may be told to anybody; `reason` names hosts and ports, and is for the operator's log.
    """

    def __init__(self, said: str, reason: str = "") -> None:
        super().__init__(said)
        self.reason = reason or said


class Contended(Exception):
    """Two transactions stood in each other's way and this one gave in: try again at once."""


@asynccontextmanager
async def begin(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees no organisation yet and commits when the block ends well.

    Raises `Unavailable` when the store is away, full, too slow or has no connection free, `Contended` after a deadlock.
    """
    try:
        async with engine.begin() as connection:
            yield connection
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
            raise Contended from error
        if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
            raise Unavailable(AWAY, str(cause).splitlines()[0]) from error
        raise
    except (PoolTimeoutError, OSError) as error:
        raise Unavailable(AWAY, str(error)) from error


@asynccontextmanager
async def transaction(engine: AsyncEngine, organisation_id: UUID) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees one organisation; raises as `begin`."""
    async with begin(engine) as connection:
        await set_organisation(connection, organisation_id)
        yield connection


@asynccontextmanager
async def snapshot(engine: AsyncEngine, organisation_id: UUID) -> AsyncIterator[AsyncConnection]:
    """A transaction that reads one organisation as it was at one moment; raises as `begin`."""
    async with begin(engine) as connection:
        await connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        await set_organisation(connection, organisation_id)
        yield connection


@asynccontextmanager
async def watching(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees ids, versions, states and due times of every organisation, no more; raises as `begin`."""
    async with begin(engine) as connection:
        await connection.execute(sa.text("SET LOCAL ROLE doorstep_watch"))
        yield connection


async def driver_connection(connection: AsyncConnection) -> psycopg.AsyncConnection[object]:
    """The psycopg connection below, in the same transaction."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)  # noqa: S101 (the engine is made here, for psycopg)
    return driver


def to_time(seconds: float | None) -> datetime | None:
    """Epoch seconds as the store keeps them."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def to_seconds(time: datetime | None) -> float | None:
    """A stored time as the domain counts it."""
    return None if time is None else time.timestamp()
