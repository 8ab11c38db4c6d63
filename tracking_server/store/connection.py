"""A connection to PostgreSQL that gives up on a server which does not answer, and leaves it without another word.

`statement_timeout` and `lock_timeout` are kept by the server; they are of no use when it hangs itself, or when the
network between us is gone. psycopg would wait for its answer for ever, and when cancelled up to ten seconds more.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy.exc import DisconnectionError

STATEMENT_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = 3_000
ANSWER_WITHIN_S = 6.0  # who is silent for longer than a statement may take is not there
CONNECT_WITHIN_S = 3
LOOK_EVERY_S = 0.1  # psycopg's own, for interrupts
IDLE_MS = 15_000  # a transaction whose process hangs gives its locks back; between two statements we only think

# What the server is told of us: limits, and how soon it takes us for dead when our machine is gone without a word.
SESSION = {
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "lock_timeout": LOCK_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": IDLE_MS,
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "timezone": "UTC",
}

# The other direction, for connections on which nothing is asked: those that listen, those in a pool.
CONNECT: dict[str, Any] = {
    "connect_timeout": CONNECT_WITHIN_S,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(ANSWER_WITHIN_S * 1000),
    "options": " ".join(f"-c {name}={value}" for name, value in SESSION.items()),
}

RV = TypeVar("RV")


class ImpatientConnection(psycopg.AsyncConnection[TupleRow]):
    """Every statement is answered within ANSWER_WITHIN_S, or raises `OperationalError` on a connection that is broken
    then: its pool makes another one. Whether the statement was carried out is not known, nor is it of a COMMIT."""

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = LOOK_EVERY_S,
        timeout: float | None = None,  # noqa: ASYNC109 (psycopg's own)
    ) -> RV:
        """As psycopg's, which every statement goes through; but who is cancelled does not wait for the server."""
        timer = asyncio.get_running_loop().call_later(ANSWER_WITHIN_S, self._give_up)
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise
        finally:
            timer.cancel()

    def cut(self) -> None:
        """End it now: whoever waits on it is told at once that the server is gone. Does nothing a second time."""
        if self.closed:
            return
        with socket.socket(fileno=os.dup(self.pgconn.socket)) as line, suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    def is_usable(self) -> bool:
        """Whether the server has not closed it meanwhile: on a quiet line there is nothing to read. Asks nobody."""
        if self.closed:
            return False
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return not poll.poll(0)

    def _give_up(self) -> None:
        """Unless nothing was asked: who listens may wait for as long as they like."""
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            self.cut()


def check_out(pooled: Any, *_: object) -> None:
    """Before a pool hands a connection out: one that the server has closed is made anew, without a question to it."""
    driver: ImpatientConnection = pooled.driver_connection
    if not driver.is_usable():
        raise DisconnectionError("the server closed this connection")
