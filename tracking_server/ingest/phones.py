"""The phones whose streams are open in this process: what each is to be told, and when its stream ends.

One task looks after all of them. Every three seconds, and at once when the bus tells of a change, it compares what was
told with the store; a silent phone costs a row in a query and nothing else.

A phone has one stream, in whatever process: each opening is told on the bus, where all processes hear all openings in
one order, their own too. The last one heard counts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Scope, Send

from tracking_server.connections import abort, say_at_once
from tracking_server.domain.updates import JobChanged, Notice, StreamOpened
from tracking_server.store.devices import Device, revoked_devices
from tracking_server.store.engine import Unavailable, watching
from tracking_server.store.jobs import open_jobs_marks

log = structlog.get_logger()
COMPARE_EVERY_S = 3.0  # a revoked phone is shut out within five seconds
GATHER_S = 0.05  # what changes together is looked at together
LET_GO_AFTER_S = 15.0  # a phone that takes nothing for so long is let go
REVOKED = 4401
REPLACED = 4409
STOPPING = 1012
NEWS = b'{"news":"jobs"}'
MOST_REPLACED = 3  # within a minute: two phones with one key would take it from each other for ever
REPLACED_WITHIN_S = 60.0


class TwoPhones(Exception):
    """Two phones use one key: pair one of them again."""


@dataclass(eq=False, slots=True)
class Connection:
    """One phone's open stream. `told` is how its open jobs stood when it was told of them last; `heard` is whether its
    opening came back from the bus, so that what is heard of the same phone from then on is newer."""

    device: Device
    scope: Scope
    send: Send
    task: asyncio.Task[None]
    told: tuple[int, int] | None = None
    telling: bool = False
    closed: bool = False
    heard: bool = False
    opening: UUID = field(default_factory=uuid4)

    @property
    def opened(self) -> StreamOpened:
        return StreamOpened(self.device.organisation_id, self.device.id, self.opening)

    async def say(self, text: bytes) -> None:
        """Send, unless it is over already. A phone that takes nothing is let go."""
        if self.closed or say_at_once(self.scope, text):
            return
        try:
            async with asyncio.timeout(LET_GO_AFTER_S):
                await self.send({"type": "websocket.send", "text": text.decode()})
        except TimeoutError:
            self.let_go()
        except OSError:
            self.closed = True  # it hung up

    async def tell(self) -> None:
        """That there is news. Told once at a time: of a phone that takes nothing, the last comparison counts."""
        try:
            await self.say(NEWS)
        finally:
            self.telling = False

    async def close(self, code: int, reason: str) -> None:
        """Say why it ends, as far as the phone listens."""
        if self.closed:
            return
        self.closed = True
        try:
            async with asyncio.timeout(1.0):
                await self.send({"type": "websocket.close", "code": code, "reason": reason})
        except TimeoutError:
            self.let_go()
        except OSError:
            return  # it hung up

    def let_go(self) -> None:
        """End it without a word, and with what the phone did not take."""
        self.closed = True
        abort(self.scope)
        self.task.cancel()


@dataclass(slots=True)
class Phones:
    """All streams of this process, one for each phone. Who else remembers phones is told whom to `forget`."""

    engine: AsyncEngine
    publish: Callable[[Sequence[Notice]], Coroutine[Any, Any, None]]
    forget: Callable[[UUID], None] = lambda _: None
    _open: dict[UUID, Connection] = field(default_factory=dict)
    _replaced: dict[UUID, deque[float]] = field(default_factory=dict)
    _changed: set[UUID] = field(default_factory=set)
    _something: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def connected(self, device: Device, scope: Scope, send: Send) -> Iterator[Connection]:
        """A phone's stream, for as long as the block runs. A stream that it had before ends: the phone has moved to
        another network and does not hear it any more. Raises `TwoPhones` when that goes on and on."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a server runs each connection in a task)
        connection = Connection(device, scope, send, task)
        self._refuse_two(device.id)
        before = self._open.get(device.id)
        if before is not None:
            self._replace(before)
        self._open[device.id] = connection
        self._begin(self.publish([connection.opened]))
        self._look_at({device.technician_id})  # what changed while it was away
        try:
            yield connection
        finally:
            connection.closed = True
            if self._open.get(device.id) is connection:
                del self._open[device.id]

    def hear(self, update: Notice) -> None:
        """Take one update from the bus."""
        if isinstance(update, JobChanged):
            self._look_at(update.technicians)
        elif isinstance(update, StreamOpened) and update.device_id in self._open:
            connection = self._open[update.device_id]
            if connection.opening == update.opening:
                connection.heard = True
            elif connection.heard:
                self._replace(connection)

    async def run(self) -> None:
        """Look after the streams until cancelled."""
        due_s = time.monotonic() + COMPARE_EVERY_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due_s - time.monotonic())):
                    await self._something.wait()
                    await asyncio.sleep(GATHER_S)
            changed, self._changed = self._changed, set()
            self._something.clear()
            everybody = time.monotonic() >= due_s
            if everybody:
                due_s = time.monotonic() + COMPARE_EVERY_S
                self._tell_unheard()
            concerned = [one for one in self._open.values() if everybody or one.device.technician_id in changed]
            try:
                await self._compare(concerned)
            except Unavailable as error:
                log.warning("phones_not_compared", error=error.reason)

    def stop(self) -> None:
        """End all streams: phones come again, to another process or a later one."""
        for connection in self._open.values():
            self._close(connection, STOPPING, "the service is stopping")

    async def _compare(self, connections: Collection[Connection]) -> None:
        if not connections:
            return
        async with watching(self.engine) as store:
            revoked = await revoked_devices(store, {one.device.id for one in connections})
            marks = await open_jobs_marks(store, {one.device.technician_id for one in connections})
        for connection in connections:
            if connection.device.id in revoked:
                self.forget(connection.device.id)  # what it asks next is refused too
                self._close(connection, REVOKED, "this phone was shut out: pair it again")
            mark = marks.get(connection.device.technician_id, (0, 0))
            if mark != connection.told and not connection.telling:
                connection.told = mark
                connection.telling = True
                self._begin(connection.tell())

    def _look_at(self, technicians: Collection[UUID]) -> None:
        if technicians:
            self._changed.update(technicians)
            self._something.set()

    def _tell_unheard(self) -> None:
        """Redis was away when they were opened, or what was told is on its way still."""
        unheard = [one.opened for one in self._open.values() if not one.heard]
        if unheard:
            self._begin(self.publish(unheard))

    def _refuse_two(self, device_id: UUID) -> None:
        times = self._replaced.get(device_id)
        if times and len(times) == MOST_REPLACED and time.monotonic() - times[0] < REPLACED_WITHIN_S:
            log.warning("two_phones_with_one_key", device=str(device_id))
            raise TwoPhones(TwoPhones.__doc__)

    def _replace(self, before: Connection) -> None:
        if not before.closed:
            self._replaced.setdefault(before.device.id, deque(maxlen=MOST_REPLACED)).append(time.monotonic())
            self._close(before, REPLACED, "this phone has another stream")

    def _close(self, connection: Connection, code: int, reason: str) -> None:
        self._begin(connection.close(code, reason))

    def _begin(self, what: Coroutine[Any, Any, None]) -> None:
        """Beside the others: nobody waits for a phone that takes nothing."""
        task = asyncio.ensure_future(what)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
