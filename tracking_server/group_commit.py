"""Deliveries that arrive while a flusher is busy share its next transaction; one phone's fault costs no other phone.

There is no timer: a flusher takes whatever waits as soon as it is free.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from uuid import UUID

import structlog

from tracking_server.domain.checkpoint import Ranges
from tracking_server.outcome import Outdated
from tracking_server.store.engine import Contended, Locked, Unavailable
from tracking_server.turn import Delivery

log = structlog.get_logger()
MOST_PER_FLUSH = 5_000  # a transaction of about a tenth of a second
MOST_WAITING = 50_000  # fixes in memory before phones are asked to come back later: some 50 MB
MOST_OF_ONE_FIRM = MOST_WAITING // 2  # one firm's phones leave room for those of the others
ATTEMPTS = 3
MOST_LOCKED = 2  # phones of one flush that are waited for alone: after them it is a table that is locked, not rows
LOCKED_S = 10.0  # who cannot be locked is refused for so long: each try costs a flusher twice the lock's timeout


class Care(Enum):
    """How carefully a flush goes about its rows."""

    together = auto()  # one statement for all
    one_by_one = auto()  # each row in a savepoint: those the store refuses go to quarantine
    unjudged = auto()  # the same, and no arrival is looked for: the judging itself fails on this phone's data


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What was committed, as ranges of the stream's numbers, and a verdict for each fix that is not trusted."""

    ack: Ranges
    verdicts: dict[int, str]


Flush = Callable[[Sequence[Delivery], Care], Awaitable[list[Acknowledgement]]]


@dataclass(slots=True, eq=False)
class Waiting:
    """A delivery, and the phone that waits for its answer."""

    delivery: Delivery
    weight: int
    answer: asyncio.Future[Acknowledgement] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def resolve(self, answer: Acknowledgement | Unavailable) -> None:
        if self.answer.done():
            return  # the phone hung up
        if isinstance(answer, Acknowledgement):
            self.answer.set_result(answer)
        else:
            self.answer.set_exception(answer)


class GroupCommit:
    """Collects deliveries, hands them to `flush` together, and answers each when it is committed."""

    def __init__(self, flush: Flush, flushers: int) -> None:
        self._flush = flush
        self._flushers = flushers
        self._queue: list[Waiting] = []
        self._weight = 0
        self._weights: Counter[UUID] = Counter()
        self._stopped = False
        self._wake = asyncio.Event()
        self._in_flush: set[UUID] = set()
        self._locked_until: dict[UUID, float] = {}  # technicians whose row somebody else holds

    async def submit(self, delivery: Delivery) -> Acknowledgement:
        """Returns when the delivery is committed; raises `Unavailable` when nothing was kept."""
        if self._stopped:
            raise Unavailable("the service is stopping")
        weight, firm = delivery.weight, delivery.device.organisation_id
        if self._weight > MOST_WAITING or self._weights[firm] > MOST_OF_ONE_FIRM:
            raise Unavailable("too many fixes are waiting to be written")
        if self._locked_until and self._is_locked(delivery.device.technician_id):
            raise Unavailable("somebody else is writing for this technician")
        waiting = Waiting(delivery, weight)
        self._queue.append(waiting)
        self._weight += weight
        self._weights[firm] += weight
        self._wake.set()
        return await waiting.answer

    async def run(self) -> None:
        """Flush until cancelled; those who wait then are told to come back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._flushers):
                    tasks.create_task(self._flush_forever())
        finally:
            self._stopped = True
            _resolve_all(self._queue, Unavailable("the service is stopping"))

    async def _flush_forever(self) -> None:
        while True:
            await self._wake.wait()
            batch = self._take()
            if not batch:
                self._wake.clear()
                continue
            technicians = {waiting.delivery.device.technician_id for waiting in batch}
            self._in_flush |= technicians
            try:
                await self._answer(batch)
            except BaseException:
                # whether it was committed is not known: sent again, it is kept once
                _resolve_all(batch, Unavailable("the service is stopping"))
                raise
            finally:
                self._in_flush -= technicians
                self._wake.set()

    def _take(self) -> list[Waiting]:
        """All that waits, up to a limit, but nothing of a technician who is in the other flusher's hands: one phone's
        batches stay in order."""
        taken: list[Waiting] = []
        left: list[Waiting] = []
        weight = 0
        for waiting in self._queue:
            if waiting.delivery.device.technician_id in self._in_flush or weight >= MOST_PER_FLUSH:
                left.append(waiting)
            else:
                taken.append(waiting)
                weight += waiting.weight
                self._weights[waiting.delivery.device.organisation_id] -= waiting.weight
        self._queue = left
        self._weight -= weight
        if not left:
            self._weights.clear()
        return taken

    async def _answer(self, batch: Sequence[Waiting]) -> bool:
        """Flush together; when that fails, phone by phone. Says whether it was one phone, and it cannot be locked."""
        try:
            answers = await self._flush_with_retries([waiting.delivery for waiting in batch], Care.together)
        except Exception as error:
            phones = {waiting.delivery.device.id for waiting in batch}
            locked, alone = isinstance(error, Locked), len(phones) == 1
            if isinstance(error, Unavailable) and (alone or not locked):
                _resolve_all(batch, error)
                if locked:
                    self._locked_until[batch[0].delivery.device.technician_id] = time.monotonic() + LOCKED_S
                return locked
            log.warning("flush_split", phones=len(phones), error=type(error).__name__)
            await (self._salvage(batch) if alone else self._answer_each(batch, sorted(phones)))
            return False
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.resolve(answer)
        return False

    async def _answer_each(self, batch: Sequence[Waiting], phones: Sequence[UUID]) -> None:
        """Phone by phone."""
        locked = 0
        for phone in phones:
            own = [waiting for waiting in batch if waiting.delivery.device.id == phone]
            if locked < MOST_LOCKED:
                locked += await self._answer(own)
            else:
                _resolve_all(own, Unavailable("the store is too contended"))

    def _is_locked(self, technician_id: UUID) -> bool:
        if self._locked_until.get(technician_id, 0.0) > time.monotonic():
            return True
        self._locked_until.pop(technician_id, None)
        return False

    async def _salvage(self, batch: Sequence[Waiting]) -> None:
        """One phone that fails alone: with more and more care, until its good rows are kept."""
        deliveries = [waiting.delivery for waiting in batch]
        answers: Sequence[Acknowledgement | Unavailable] = [Unavailable("this delivery cannot be kept")] * len(batch)
        for care in (Care.one_by_one, Care.unjudged):
            try:
                answers = await self._flush_with_retries(deliveries, care)
                break
            except Unavailable as error:
                answers = [error] * len(batch)
                break
            except Exception:
                log.exception("phone_fails_alone", device=str(deliveries[0].device.id), care=care.name)
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.resolve(answer)

    async def _flush_with_retries(self, deliveries: Sequence[Delivery], care: Care) -> list[Acknowledgement]:
        for attempt in range(ATTEMPTS):
            try:
                return await self._flush(deliveries, care)
            except (Outdated, Contended) as error:
                log.info("flush_again", attempt=attempt, why=type(error).__name__)
        raise Unavailable("the store is too contended")


def _resolve_all(batch: Sequence[Waiting], error: Unavailable) -> None:
    for waiting in batch:
        waiting.resolve(error)
