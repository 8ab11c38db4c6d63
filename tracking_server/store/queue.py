"""The queue of messages owed: procrastinate, whose jobs are written in the transaction that owes the message."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.types import JSONDict
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.store.engine import driver_connection

SEND_MESSAGE = "send_message"
MESSAGES = "messages"
WEBHOOKS = "webhooks"  # a queue of their own: a receiver that hangs keeps no customer waiting

# Only writes jobs, on connections that are handed to it; the worker opens an app of its own.
_deferrer = App(connector=PsycopgConnector())


def new_message_id() -> UUID:
    """A message's id, which is also the idempotency key a gateway gets."""
    return uuid4()


async def defer_messages(
    connection: AsyncConnection, organisation_id: UUID, message_ids: Sequence[UUID], to_queue: str = MESSAGES
) -> None:
    """Queue messages for sending; the worker sees them when the transaction commits. Arguments are ids only."""
    if not message_ids:
        return
    task = _deferrer.configure_task(SEND_MESSAGE, queue=to_queue, connection=await driver_connection(connection))
    arguments: list[JSONDict] = [
        {"organisation_id": str(organisation_id), "message_id": str(message_id)} for message_id in message_ids
    ]
    try:
        await task.batch_defer_async(*arguments)
    except ConnectorException as error:
        raise error.__cause__ or error from error  # a deadlock or a timeout is one here as anywhere
