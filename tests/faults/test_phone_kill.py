"""What the phone kept survives SIGKILL of the phone, whatever it was doing."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.firm import Firm, Phone
from tests.support.phone_process import TAP_EVERY
from tests.support.server import CLONE, Server, send, serving
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.store.engine import transaction

KILLS, LONG_KILLS = 50, 200
LONGEST_LIFE_S = 0.5


@pytest.fixture
def server(servers: Installation, database: str) -> Iterator[Server]:
    with serving(servers, database) as server:
        yield server


async def open_shift(server: Server, phone: Phone, now_s: float) -> None:
    """From an hour ago on, as another stream of the phone told it."""
    phone.stream -= 1 << 20
    async with httpx.AsyncClient(base_url=server.url) as client:
        start = phone.tap(now_s - 3600, TapKind.shift_start)
        answer = await send(client, phone, phone.delivery(now_s, taps=[start], sent_s=now_s))
        assert answer.status_code == 200


def start(server: Server, phone: Phone, path: Path, first: int, most: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.phone_process"]
    arguments = [str(path), server.url, phone.key, str(first), str(most)]
    return subprocess.Popen([*command, *arguments], cwd=CLONE, stdout=subprocess.PIPE, text=True)


def live_and_die(process: subprocess.Popen[str], life_s: float) -> list[int]:
    """Kill it `life_s` after it kept something; returns what it said that it kept."""
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(life_s)
    process.kill()
    rest = process.stdout.read().splitlines(keepends=True)
    process.wait()
    return [int(line) for line in (first, *rest) if line.endswith("\n")]


async def stored(engine: AsyncEngine, firm: Firm) -> tuple[list[int], int]:
    """The fixes that the service has, by the number in their latitude, and how many taps."""
    async with transaction(engine, firm.organisation_id) as connection:
        latitudes = (await connection.execute(sa.text("SELECT ST_Y(geom) FROM fix"))).scalars().all()
        taps = (await connection.execute(sa.text("SELECT count(*) FROM tap"))).scalar_one()
    return [round((latitude - 41) * 1e6) for latitude in latitudes], taps


async def test_a_killed_phone_loses_and_doubles_nothing(
    server: Server, engine: AsyncEngine, firm: Firm, now_s: float, tmp_path: Path, long: bool
) -> None:
    """Fifty times at a random moment of keeping, sending and acknowledging; the service dies a few times too.

    Twice the phone is reinstalled. Its file is gone then, so it is emptied before: what matters is that nothing of the
    new file is taken for what the service has already.
    """
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    phone = await firm.phone()
    await open_shift(server, phone, now_s)
    path = tmp_path / "outbox.db"
    kept: list[int] = []
    queued = 0
    for kill in range(LONG_KILLS if long else KILLS):
        first = kept[-1] + 2 if kept else 0  # one may have been kept without being told
        kept += live_and_die(start(server, phone, path, first), chance.uniform(0, LONGEST_LIFE_S))
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            queued += db.execute("SELECT count(*) FROM item").fetchone()[0]
        if kill % 10 == 5:
            server.kill()
            kept += live_and_die(start(server, phone, path, kept[-1] + 2), LONGEST_LIFE_S)
            server.start_again()
        if kill in (15, 30):
            assert start(server, phone, path, kept[-1] + 2, most=1).wait(60) == 0
            kept.append(kept[-1] + 2)
            path = tmp_path / f"outbox-{kill}.db"
    assert start(server, phone, path, kept[-1] + 2, most=1).wait(60) == 0
    kept.append(kept[-1] + 2)

    fixes, taps = await stored(engine, firm)
    had = Counter(fixes)
    print(f"seed {seed}: {len(kept)} fixes kept, {queued} queued at the kills")  # noqa: T201 - for the failure report
    assert queued > 0, "every kill came when all was sent"
    assert set(kept) <= set(had), "a fix was lost after its commit"
    assert set(had.values()) == {1}, "a fix was doubled"
    assert taps > sum(n % TAP_EVERY == 0 for n in had), "a tap was lost"
