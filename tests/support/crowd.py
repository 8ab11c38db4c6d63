"""Phones that keep sending over plain HTTP, the same again until it is acknowledged, and what they were answered."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import sqlalchemy as sa

from tests.support.firm import Firm, Phone
from tests.support.server import send
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.store.engine import create_engine, transaction

PAUSE_S = 0.1  # between two tries of a phone; a real one waits for as long as Retry-After says
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request, by the monotonic clock. `status` is None when the connection was lost."""

    sent_s: float
    answered_s: float
    status: int | None
    retry_after: str | None

    @property
    def took_s(self) -> float:
        return self.answered_s - self.sent_s


@dataclass
class Sender:
    """One phone. `made` were written down by it, `acknowledged` it may forget."""

    phone: Phone
    now_s: float
    made: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)

    async def run(self, client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        delivery = self.phone.delivery(self.now_s, taps=[self.phone.tap(self.now_s - 3600, TapKind.shift_start)])
        while delivery is not None or not stop.is_set():
            if delivery is None:
                made = self.phone.fix(self.now_s - 3000 + self.phone.seq, float(self.phone.seq % 500))
                self.made.add(made.seq)
                delivery = self.phone.delivery(self.now_s, [made])
            if await self._send(client, delivery):
                delivery = None
            await asyncio.sleep(PAUSE_S)

    async def _send(self, client: httpx.AsyncClient, delivery: object) -> bool:
        begun = time.monotonic()
        try:
            answer = await send(client, self.phone, delivery)  # type: ignore[arg-type]
        except httpx.TransportError:
            self.answers.append(Answer(begun, time.monotonic(), None, None))
            return False
        self.answers.append(Answer(begun, time.monotonic(), answer.status_code, answer.headers.get("retry-after")))
        if answer.status_code != 200:
            return False
        self.acknowledged |= {seq for first, last in answer.json()["ack"] for seq in range(first, last + 1)}
        return True


@dataclass
class Crowd:
    """Some phones at work."""

    senders: list[Sender]

    @property
    def acknowledged(self) -> int:
        return sum(len(sender.acknowledged) for sender in self.senders)

    def between(self, since_s: float, until_s: float) -> list[Answer]:
        """What was answered within a time."""
        answers = [answer for sender in self.senders for answer in sender.answers]
        return [answer for answer in answers if since_s <= answer.answered_s <= until_s]

    async def all_heard_since(self, since_s: float, within_s: float) -> float:
        """Returns when each phone had something acknowledged that it sent after `since_s`; and how long it took."""
        async with asyncio.timeout(within_s):
            while not all(self._heard(sender, since_s) for sender in self.senders):  # noqa: ASYNC110 - many writers
                await asyncio.sleep(0.05)
        return time.monotonic() - since_s

    def _heard(self, sender: Sender, since_s: float) -> bool:
        return any(answer.status == 200 and answer.sent_s > since_s for answer in sender.answers[-5:])


@asynccontextmanager
async def crowd(url: str, firm: Firm, count: int) -> AsyncIterator[Crowd]:
    """`count` phones under load until the block ends; then each sends what is left."""
    senders = [Sender(await firm.phone(f"Technician {n}"), firm.now_s) for n in range(count)]
    stop = asyncio.Event()
    limits = httpx.Limits(max_connections=count)
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits) as client,
        asyncio.TaskGroup() as all_,
    ):
        for sender in senders:
            all_.create_task(sender.run(client, stop))
        try:
            yield Crowd(senders)
        finally:
            stop.set()


async def all_kept_once(servers: Installation, database: str, firm: Firm, phones: Crowd) -> None:
    """What was acknowledged, and what was made, is in the store, each fix once."""
    engine = create_engine(servers.app_url(database))
    async with transaction(engine, firm.organisation_id) as connection:
        stored = list(await connection.execute(sa.text("SELECT device_id, seq FROM fix")))
    await engine.dispose()
    for sender in phones.senders:
        own = [seq for device_id, seq in stored if device_id == sender.phone.device.id]
        assert sender.acknowledged - {1} <= set(own), "an acknowledged fix was lost"
        assert (len(own), set(own)) == (len(set(own)), sender.made)


@contextmanager
def hung(pids: Sequence[int]) -> Iterator[None]:
    """These processes stand still, and their sockets stay open."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
