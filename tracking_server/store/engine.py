"""Transactions: how long one may take, under whose eyes it runs, and what is known of a store that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tracking_server.store.connection import CONNECT, ImpatientConnection, check_out

FREE_WITHIN_S = 3.0  # a connection of the pool: who waits for longer is told to come back
TRANSACTION_WITHIN_S = 30.0  # with all its statements, each of which has its own limit: 8,000 taps take ten


def create_engine(url: str, *, pool_size: int = 8) -> AsyncEngine:
    """An engine that waits for nothing without an end: not for a connection, nor for a statement's answer."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=FREE_WITHIN_S,
        hide_parameters=True,  # they are names, addresses and coordinates, and errors are logged
        connect_args=CONNECT | {"async_creator_fn": ImpatientConnection.connect},
    )
    event.listen(engine.sync_engine, "checkout", check_out)
    return engine


SET_ORGANISATION = "SELECT set_config('app.organisation_id', %s, true)"


async def set_organisation(connection: AsyncConnection, organisation_id: UUID) -> None:
    """Show this transaction the rows of one organisation; the setting ends with the transaction."""
    await _driver(connection).execute(SET_ORGANISATION, (str(organisation_id),), prepare=True)


AWAY = "the store is not available"
ANSWER = "SHOW server_version"  # what a caller may still set its transaction's isolation level after


class Unavailable(Exception):
    """The store cannot take it now: nothing was kept, send it again in a few seconds.

    Its text may be told to anybody; `reason` names hosts and ports, and is for the operator's log.
    """

    def __init__(self, said: str, reason: str = "") -> None:
        super().__init__(said)
        self.reason = reason or said


class Locked(Unavailable):
    """Somebody holds a row that this transaction needs and does not let go of it. Others' rows can be written."""


class Contended(Exception):
    """Two transactions stood in each other's way and this one gave in: try again at once."""


@dataclass(slots=True)
class Outage:
    """What this process knows of a store that did not answer: one caller at a time asks it, others are told at once.

    Else each of them would hold a connection until it gives up, and a server that is back would first have to look
    through all that they left at its door.
    """

    known: bool = False
    being_asked: bool = False


_outages: WeakKeyDictionary[AsyncEngine, Outage] = WeakKeyDictionary()


@asynccontextmanager
async def begin(engine: AsyncEngine, within_s: float = TRANSACTION_WITHIN_S) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees no organisation yet and commits when the block ends well.

    Raises `Unavailable` when the store is away, full, too slow or has no connection free; `Locked`, which is one of its
    kind; `Contended` after a deadlock. After `Unavailable` it may have been committed nevertheless: what is sent again
    must be kept once.
    """
    outage = _outages.setdefault(engine, Outage())
    if outage.being_asked:
        raise Unavailable(AWAY, "it did not answer, and is being asked again")
    asks = outage.being_asked = outage.known
    try:
        async with engine.begin() as connection:
            timer = asyncio.get_running_loop().call_later(within_s, _driver(connection).cut)
            try:
                if asks:
                    await connection.execute(sa.text(ANSWER))
                    asks = outage.known = outage.being_asked = False
                yield connection
            finally:
                timer.cancel()
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
            raise Contended from error
        if isinstance(cause, psycopg.errors.LockNotAvailable):
            raise Locked(AWAY, "a row is locked for too long") from error
        if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
            outage.known = outage.known or cause.sqlstate is None  # nobody said so: there was no answer
            raise Unavailable(AWAY, str(cause).splitlines()[0]) from error
        raise
    except PoolTimeoutError as error:
        raise Unavailable(AWAY, str(error)) from error
    except OSError as error:
        outage.known = True
        raise Unavailable(AWAY, str(error)) from error
    finally:
        if asks:
            outage.being_asked = False


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
    return _driver(connection)


def _driver(connection: AsyncConnection) -> ImpatientConnection:
    assert connection.sync_connection is not None  # noqa: S101 (it has begun)
    driver = connection.sync_connection.connection.driver_connection
    assert isinstance(driver, ImpatientConnection)  # noqa: S101 (the engine is made here, of these)
    return driver


def to_time(seconds: float | None) -> datetime | None:
    """Epoch seconds as the store keeps them."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def to_seconds(time: datetime | None) -> float | None:
    """A stored time as the domain counts it."""
    return None if time is None else time.timestamp()
