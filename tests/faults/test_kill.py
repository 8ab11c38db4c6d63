"""Acknowledged fixes survive SIGKILL of the service and of the whole PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tech_app.core.clock import PhoneClock
from tech_app.core.fix import Fix
from tech_app.core.http_line import HttpLine
from tech_app.core.line import Answer, Line
from tech_app.core.outbox import Batch, Outbox
from tech_app.core.tap import Tap, TapKind
from tech_app.core.uplink import Uplink, Way
from tech_app.core.websocket_line import WebSocketLine
from tests.support.firm import HOME, METRE, Firm, Phone
from tests.support.rows import events, rows
from tests.support.server import Server, serving
from tracking_server.embedded import Installation
from tracking_server.store.engine import create_engine, transaction

PHONES = 20
ROUNDS, LONG_ROUNDS = 20, 200
FIX_EVERY_S = 0.05
MOST_ON_THE_WAY = 50
SHORT_OF_PATIENCE = 0.1  # of the phone's backoff, which a real one spreads from 0 to 1


class Driver:
    """A phone of the app's own core that keeps fixes all the time and sends them by its stream, or by HTTP."""

    def __init__(self, phone: Phone, url: str, folder: Path) -> None:
        self.phone = phone
        self.outbox = Outbox(folder / f"{phone.device.id}.db", PhoneClock())
        ways: dict[Way, Line] = {
            Way.websocket: WebSocketLine(url, phone.key, None, lambda _: None),
            Way.http: HttpLine(url, phone.key, None),
        }
        self.lines = {way: Watched(line) for way, line in ways.items()}
        self.uplink = Uplink(self.outbox, self.lines, PhoneClock(), luck=lambda: SHORT_OF_PATIENCE)
        self.uplink.followed = True
        self.made: set[int] = set()
        self.taps = 0

    @property
    def acknowledged(self) -> set[int]:
        return set().union(*(line.acknowledged for line in self.lines.values())) & self.made

    @property
    def resent(self) -> int:
        return sum(line.failed for line in self.lines.values())

    async def make(self, stop: asyncio.Event, start_s: float) -> None:
        while not stop.is_set():
            n = len(self.made)
            self.made.add(self.outbox.append_fix(Fix(start_s + n * 0.1, HOME[1] + n % 1000 * METRE, HOME[0])))
            self.uplink.poke()
            await asyncio.sleep(FIX_EVERY_S)

    def tap(self, now_s: float, job_id: UUID, turn: int) -> None:
        """En route, and taken back at the next turn, in the moment of a kill."""
        kind = TapKind.undo if turn % 2 else TapKind.en_route
        self.outbox.append_tap(Tap(now_s - 60, kind, str(job_id)))
        self.uplink.poke(urgent=True)
        self.taps += 1

    async def send(self, stop: asyncio.Event) -> None:
        """Until all is acknowledged after the end."""
        while not stop.is_set() or (facts := self.outbox.facts()).taps + facts.fixes:
            await self.uplink.step()
        for line in self.lines.values():
            await line.close()
        self.outbox.close()


class Watched:
    """A way to the service: what it acknowledged, and how much has to be sent again."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.acknowledged: set[int] = set()
        self.failed = 0

    async def exchange(self, batch: Batch) -> Answer:
        try:
            answer = await self._line.exchange(batch)
        except Exception:
            self.failed += batch.size
            raise
        self.acknowledged |= {seq for first, last in answer.ack for seq in range(first, last + 1)}
        return answer

    async def close(self) -> None:
        await self._line.close()


async def test_no_acknowledged_fix_is_lost_or_doubled(
    servers: Installation, database: str, firm: Firm, now_s: float, long: bool, tmp_path: Path
) -> None:
    """Twenty phones under load; twenty times the service or PostgreSQL is killed at a random moment.

    A tap is on its way at each kill: its event and its message are there exactly once, too.
    """
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    kills = {"service": 0, "postgres": 0}
    with serving(servers, database) as server:
        drivers = [Driver(await firm.phone(f"Technician {n}"), server.url, tmp_path) for n in range(PHONES)]
        stop = asyncio.Event()
        jobs = [await firm.job(driver.phone.device.technician_id) for driver in drivers]
        for driver in drivers:
            driver.outbox.append_tap(Tap(now_s - 3600, TapKind.shift_start))
        async with asyncio.TaskGroup() as tasks:
            for driver in drivers:
                tasks.create_task(driver.make(stop, now_s - 3500))
                tasks.create_task(driver.send(stop))
            for n in range(LONG_ROUNDS if long else ROUNDS):
                await asyncio.sleep(chance.uniform(0.3, 1.5))
                drivers[n % PHONES].tap(now_s, jobs[n % PHONES], n // PHONES)
                await kill_and_restart(server, servers, chance, kills)
                await until_acknowledged(drivers, PHONES * MOST_ON_THE_WAY)
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
