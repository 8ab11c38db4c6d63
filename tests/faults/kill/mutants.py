"""The service, broken in one way: `python -m tests.faults.kill.mutants NAME serve|work|phone ...`.

Each mutant is a patch of the real modules, made before the real command runs: nothing in production knows of them. A
kill test is worth as much as it finds of these.
"""

from __future__ import annotations

import asyncio
import pickle
import runpy
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

PHONE = "tests.faults.kill.phone"
QUEUE = "mutant:queue"
FLUSH_EVERY_S = 0.25
APART_S = 0.02  # between two transactions that should be one


@dataclass(frozen=True, slots=True)
class Mutant:
    """`breaks` patches the modules of one process; `on` are the commands whose processes are patched; `sql` is done to
    the database once, as its owner. `promises` are those by which it is to be found: a slow machine may break
    another one."""

    what: str
    promises: frozenset[str]
    on: tuple[str, ...] = ()
    breaks: Callable[[], None] = lambda: None
    sql: str = ""


def put(owner: Any, **new: Any) -> None:
    """In the place of what is there. Raises `AttributeError` when there is nothing of that name any more."""
    for name, one in new.items():
        getattr(owner, name)
        setattr(owner, name, one)


def commit_asynchronously() -> None:
    """The session commits before its WAL is on the disk, and the check at the start looks away."""
    from tracking_server.store import checks
    from tracking_server.store import engine as engine_module

    engine: Any = engine_module
    create = engine.create_async_engine

    def create_async_engine(url: str, **options: Any) -> Any:
        given = options["connect_args"]
        options["connect_args"] = {**given, "options": f"{given['options']} -c synchronous_commit=off"}
        return create(url, **options)

    put(engine, create_async_engine=create_async_engine)
    put(checks, DURABLE=tuple(name for name in checks.DURABLE if name != "synchronous_commit"))


def acknowledge_before_commit() -> None:
    """A phone is answered as soon as its delivery waits for a flusher."""
    from tracking_server.domain.checkpoint import merge
    from tracking_server.group_commit import Acknowledgement
    from tracking_server.journey import Journey

    accept = Journey.accept
    flushing: set[asyncio.Task[Acknowledgement]] = set()

    def forget(task: asyncio.Task[Acknowledgement]) -> None:
        flushing.discard(task)
        if not task.cancelled():
            task.exception()  # nobody is told

    async def accept_at_once(self: Journey, delivery: Any) -> Acknowledgement:
        task = asyncio.create_task(accept(self, delivery))
        flushing.add(task)
        task.add_done_callback(forget)
        return Acknowledgement(merge((), delivery.numbers), {})

    put(Journey, accept=accept_at_once)


def queue_in_redis() -> None:
    """A phone is answered when its delivery is in a list in Redis, from which it is flushed a little later."""
    from tracking_server.domain.checkpoint import merge
    from tracking_server.group_commit import Acknowledgement
    from tracking_server.journey import Journey
    from tracking_server.store.engine import Unavailable

    accept, run = Journey.accept, Journey.run

    async def accept_into_redis(self: Journey, delivery: Any) -> Acknowledgement:
        try:
            await self._bus._redis.rpush(QUEUE, pickle.dumps(delivery))
        except Exception as error:
            raise Unavailable("Redis is not available") from error
        return Acknowledgement(merge((), delivery.numbers), {})

    async def flush_from_redis(self: Journey) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                waiting: Any = await self._bus._redis.lpop(QUEUE, 1000) or []
                deliveries = [pickle.loads(one) for one in waiting]  # noqa: S301 - our own
                await asyncio.gather(*(until_kept(self, delivery) for delivery in deliveries))
            except Exception:  # noqa: S112 - Redis is away
                continue

    async def until_kept(self: Journey, delivery: Any) -> None:
        while True:
            try:
                await accept(self, delivery)
                return
            except Unavailable:
                await asyncio.sleep(FLUSH_EVERY_S)

    async def run_both(self: Journey) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run(self))
            tasks.create_task(flush_from_redis(self))

    put(Journey, accept=accept_into_redis, run=run_both)


def tell_outside_the_transaction() -> None:
    """Events, audit and messages are written by a second transaction after that of their job, which is published
    before them."""
    from tracking_server import failpoint, outcome
    from tracking_server.store import engine, jobs

    later: ContextVar[list[Callable[[Any], Awaitable[None]]] | None] = ContextVar("later", default=None)
    begin, insert_events, owe_messages = engine.begin, jobs.insert_events, outcome.owe_messages

    @asynccontextmanager
    async def begin_twice(own: Any, *arguments: Any, **named: Any) -> AsyncIterator[Any]:
        token = later.set([])
        try:
            async with begin(own, *arguments, **named) as connection:
                yield connection
            writes = later.get()
        finally:
            later.reset(token)
        if writes:
            failpoint.failpoint("after_commit_before_ack")
            await asyncio.sleep(APART_S)
            async with begin(own) as connection:
                for write in writes:
                    await write(connection)

    def put_off(write: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def write_later(connection: Any, organisation_id: Any, *arguments: Any) -> None:
            async def write_now(second: Any) -> None:
                await engine.set_organisation(second, organisation_id)
                await write(second, organisation_id, *arguments)

            waiting = later.get()
            if waiting is None:
                await write_now(connection)
            else:
                waiting.append(write_now)

        return write_later

    put(engine, begin=begin_twice)
    put(jobs, insert_events=put_off(insert_events))
    put(outcome, owe_messages=put_off(owe_messages))


def mark_before_sending() -> None:
    """A message is on record as sent, and then it is sent."""
    from tracking_server import failpoint
    from tracking_server.domain.message import Standing
    from tracking_server.notify import sender
    from tracking_server.notify.channels.outgoing import Refused, Unreachable

    async def send_message(parts: Any, organisation_id: Any, message_id: Any) -> None:
        ready = await sender._prepare(parts, organisation_id, message_id)
        if ready is None:
            return
        await sender.settle(parts, organisation_id, message_id, Standing.sent, sender.ACCEPTED)
        failpoint.failpoint("after_claim")
        for _ in range(3):
            try:
                await parts.channels[ready.owing.message.channel].send(ready.outgoing)
                return
            except (Refused, Unreachable):
                await asyncio.sleep(FLUSH_EVERY_S)

    put(sender, send_message=send_message)


def count_versions_in_memory() -> None:
    """The number of an update is how many of its job this process has known."""
    from tracking_server.push.telling import Telling, Told

    known: WeakKeyDictionary[Telling, dict[tuple[int, int], int]] = WeakKeyDictionary()
    tell = Telling._tell

    def tell_counted(self: Telling, view: Any, *arguments: Any) -> Told:
        numbers = known.setdefault(self, {})
        number = numbers.setdefault((view.job.version, view.technician_version), len(numbers) + 1)
        return tell(self, replace(view, job=replace(view.job, version=number), technician_version=0), *arguments)

    put(Telling, _tell=tell_counted)


def look_at_links_when_they_connect() -> None:
    """Who was let in once stays: the link is not looked at again."""
    from tracking_server.push.stream import Stream

    async def look_up(self: Stream) -> None:
        await self._jobs.view(self._watched)
        self._version = self._watched.read_version

    put(Stream, _look_up=look_up)


def forget_before_the_answer() -> None:
    """The phone deletes what it sends."""
    from tech_app.core.outbox import Batch, Outbox

    next_batch, forget = Outbox.next_batch, Outbox.forget

    def take(self: Outbox, most: int) -> Batch | None:
        batch = next_batch(self, most)
        if batch is not None:
            forget(self, batch, [(row.seq, row.seq) for row in (*batch.taps, *batch.fixes)], {})
        return batch

    def forgotten(self: Outbox, batch: Batch, *_: Any) -> int:
        return batch.size

    put(Outbox, next_batch=take, forget=forgotten)


LOST = frozenset({"I1", "I5"})
MUTANTS = {
    "async_commit": Mutant("synchronous_commit off", LOST, ("serve", "work"), commit_asynchronously),
    "ack_first": Mutant("acknowledged before COMMIT", LOST, ("serve",), acknowledge_before_commit),
    "no_unique": Mutant(
        "no UNIQUE on fixes",
        frozenset({"I2"}),
        sql="ALTER TABLE fix DROP CONSTRAINT fix_pkey; CREATE INDEX ON fix (device_id, stream, seq)",
    ),
    "forget_first": Mutant("the phone deletes before the answer", LOST, ("phone",), forget_before_the_answer),
    "redis_queue": Mutant("Redis as the queue", LOST, ("serve",), queue_in_redis),
    "tell_outside": Mutant(
        "told outside the transaction", frozenset({"I8", "I9"}), ("serve", "work"), tell_outside_the_transaction
    ),
    "mark_first": Mutant("marked as sent before it is", frozenset({"I8"}), ("work",), mark_before_sending),
    "own_versions": Mutant("versions counted in the process", frozenset({"I7"}), ("serve",), count_versions_in_memory),
    "look_once": Mutant(
        "visibility checked only at connect", frozenset({"I7", "I10"}), ("serve",), look_at_links_when_they_connect
    ),
}


def prepare(name: str, owner_url: str) -> None:
    """What a mutant does to the database, once it is migrated."""
    import sqlalchemy as sa

    if MUTANTS[name].sql:
        engine = sa.create_engine(owner_url)
        with engine.begin() as connection:
            connection.execute(sa.text(MUTANTS[name].sql))
        engine.dispose()


def main(name: str, command: str, *arguments: str) -> None:
    """Break this process if it is one of those that the mutant breaks, then do the command."""
    mutant = MUTANTS[name]
    if command in mutant.on:
        mutant.breaks()
    sys.argv = [command, *arguments]
    if command == "phone":
        runpy.run_module(PHONE, run_name="__main__", alter_sys=True)
        return
    from tracking_server import __main__ as tracking_server

    sys.argv = ["./doorstep", command, *arguments]
    sys.exit(tracking_server.main())


if __name__ == "__main__":
    main(*sys.argv[1:])
