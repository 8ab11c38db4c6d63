"""Acknowledged fixes survive SIGKILL of the service and of the whole PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.firm import Firm, Phone
from tests.support.rows import events, rows
from tests.support.server import Server, send, serving
from tracking_server.domain.events import TapKind
from tracking_server.domain.fix import Fix
from tracking_server.embedded import Installation
from tracking_server.store.engine import create_engine, transaction

PHONES = 20
ROUNDS, LONG_ROUNDS = 20, 200
FIX_EVERY_S = 0.02
MOST_PER_BODY = 50


@dataclass
class Driver:
    """A phone that makes fixes all the time, sends what is unsent, and forgets only what was acknowledged."""

    phone: Phone
    unsent: dict[int, Fix] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    resent: int = 0
    taps: int = 0

    async def make(self, stop: asyncio.Event, start_s: float) -> None:
        while not stop.is_set():
            fix = self.phone.fix(start_s + len(self.made) * 0.1, len(self.made) % 1000)
            self.unsent[fix.seq] = fix
            self.made.add(fix.seq)
            await asyncio.sleep(FIX_EVERY_S)

    async def tap(self, client: httpx.AsyncClient, now_s: float, job_id: UUID, turn: int) -> None:
        """En route, and taken back at the next turn: sent until it is acknowledged, in the moment of a kill."""
        kind = TapKind.undo if turn % 2 else TapKind.en_route
        delivery = self.phone.delivery(now_s, taps=[self.phone.tap(now_s - 60, kind, job_id)])
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await send(client, self.phone, delivery)).status_code == 200:
                    self.taps += 1
                    return
            await asyncio.sleep(0.1)

    async def send(self, client: httpx.AsyncClient, stop: asyncio.Event, now_s: float) -> None:
        while self.unsent or not stop.is_set():
            batch = list(self.unsent.values())[: random.randint(1, MOST_PER_BODY)]
            answer = None
            with contextlib.suppress(httpx.TransportError):
                answer = await send(client, self.phone, self.phone.delivery(now_s, batch))
            if answer is None or answer.status_code == 503:
                self.resent += len(batch)
                await asyncio.sleep(0.1)
                continue
            assert answer.status_code == 200, answer.text
            for first, last in answer.json()["ack"]:
                named = set(range(first, last + 1))
                self.acknowledged |= named & self.made
                for seq in named:
                    self.unsent.pop(seq, None)


async def test_no_acknowledged_fix_is_lost_or_doubled(
    servers: Installation, database: str, firm: Firm, now_s: float, long: bool
) -> None:
    """Twenty phones under load; twenty times the service or PostgreSQL is killed at a random moment.

    A tap is on its way at each kill: its event and its message are there exactly once, too.
    """
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    kills = {"service": 0, "postgres": 0}
    with serving(servers, database) as server:
        drivers = [Driver(await firm.phone(f"Technician {n}")) for n in range(PHONES)]
        stop = asyncio.Event()
        async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
            jobs = [await firm.job(driver.phone.device.technician_id) for driver in drivers]
            for driver in drivers:
                start = driver.phone.tap(now_s - 3600, TapKind.shift_start)
                await send(client, driver.phone, driver.phone.delivery(now_s, taps=[start]))
            async with asyncio.TaskGroup() as tasks:
                for driver in drivers:
                    tasks.create_task(driver.make(stop, now_s - 3500))
                    tasks.create_task(driver.send(client, stop, now_s))
                for n in range(LONG_ROUNDS if long else ROUNDS):
                    await asyncio.sleep(chance.uniform(0.3, 1.5))
                    tasks.create_task(drivers[n % PHONES].tap(client, now_s, jobs[n % PHONES], n // PHONES))
                    await kill_and_restart(server, servers, chance, kills)
                    await until_acknowledged(drivers, PHONES * MOST_PER_BODY)
                stop.set()

    fresh = create_engine(servers.app_url(database))
    stored = await stored_seqs(fresh, firm)
    await fresh.dispose()
    made = sum(len(driver.made) for driver in drivers)
    resent = sum(driver.resent for driver in drivers)
    print(f"seed {seed}: {made} fixes, {resent} sent again, kills {kills}")  # noqa: T201 - for the failure report
    assert min(kills.values()) >= 1
    assert made > PHONES * 100
    for driver, job_id in zip(drivers, jobs, strict=True):
        steps = [event.kind for event in await events(firm, job_id) if event.kind in ("en_route", "undone")]
        assert steps == ["en_route", "undone"] * (driver.taps // 2) + ["en_route"] * (driver.taps % 2)
    owed = [(message.job_id, message.kind, message.occasion) for message in await rows(firm, "message")]
    assert len(owed) == len(set(owed))
    assert sum(kind == "on_the_way" for _, kind, _ in owed) == sum((driver.taps + 1) // 2 for driver in drivers)
    assert resent > 0
    for driver in drivers:
        seqs = stored[driver.phone.device.id.hex]
        assert driver.acknowledged <= set(seqs), "an acknowledged fix was lost"
        assert len(seqs) == len(set(seqs)), "a fix was stored twice"
        assert set(seqs) == driver.made == driver.acknowledged


async def kill_and_restart(server: Server, servers: Installation, chance: random.Random, kills: dict[str, int]) -> None:
    """One victim; the keeper starts PostgreSQL again, we start the service again."""
    if chance.random() < 0.5:
        kills["service"] += 1
        server.kill()
        await asyncio.to_thread(server.start_again)
    else:
        kills["postgres"] += 1
        for pid in servers.postgres_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def until_acknowledged(drivers: list[Driver], more: int, within_s: float = 20.0) -> None:
    """The service is back when more fixes are acknowledged than could still have been on the way."""
    wanted = sum(len(driver.acknowledged) for driver in drivers) + more
    async with asyncio.timeout(within_s):
        while sum(len(driver.acknowledged) for driver in drivers) < wanted:  # noqa: ASYNC110 - twenty writers
            await asyncio.sleep(0.05)


async def stored_seqs(engine: AsyncEngine, firm: Firm) -> dict[str, list[int]]:
    """What the store has, by device."""
    async with transaction(engine, firm.organisation_id) as connection:
        rows = await connection.execute(sa.text("SELECT device_id, seq FROM fix"))
        stored: dict[str, list[int]] = {}
        for device_id, seq in rows:
            stored.setdefault(device_id.hex, []).append(seq)
    return stored
