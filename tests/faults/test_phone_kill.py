"""What the phone kept survives SIGKILL of the phone, whatever it was doing."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tech_app.core import outbox
from tech_app.core.clock import PhoneClock
from tech_app.core.fix import Fix
from tech_app.core.tap import Tap, TapKind
from tech_app.core.uplink import Uplink, Way
from tech_app.core.websocket_line import WebSocketLine
from tests.support.firm import Firm, Phone
from tests.support.phone_process import TAP_EVERY
from tests.support.server import CLONE, Server, send, serving
from tracking_server.domain import events
from tracking_server.embedded import Installation
from tracking_server.store.engine import transaction

KILLS, LONG_KILLS = 50, 200
LONGEST_LATER_S = 0.1
MOST_SAID = 500


@pytest.fixture
def server(servers: Installation, database: str) -> Iterator[Server]:
    with serving(servers, database) as server:
        yield server


async def open_shift(server: Server, phone: Phone, now_s: float) -> None:
    """From an hour ago on, as another stream of the phone told it."""
    phone.stream -= 1 << 20
    async with httpx.AsyncClient(base_url=server.url) as client:
        start = phone.tap(now_s - 3600, events.TapKind.shift_start)
        answer = await send(client, phone, phone.delivery(now_s, taps=[start], sent_s=now_s))
        assert answer.status_code == 200


def start(server: Server, phone: Phone, folder: Path, way: str, first: int, most: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.phone_process"]
    arguments = [str(folder), server.url, phone.key, way, str(first), str(most)]
    return subprocess.Popen([*command, *arguments], cwd=CLONE, stdout=subprocess.PIPE, text=True)


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after the phone has said `what` so many times. A phone that never says it is killed after
    all that it can do without."""

    what: str
    times: int
    later_s: float

    @classmethod
    def any(cls, chance: random.Random) -> Moment:
        what = chance.choice(("kept", "sends", "was answered", "forgot"))
        return cls(what, chance.randint(1, 20), chance.choice((0.0, chance.uniform(0, LONGEST_LATER_S))))


def live_and_die(process: subprocess.Popen[str], moment: Moment) -> list[int]:
    """Kill it at a moment; returns what it said that it kept."""
    assert process.stdout is not None
    said: list[str] = []
    while sum(line.startswith(moment.what) for line in said) < moment.times and len(said) < MOST_SAID:
        said.append(process.stdout.readline())
        assert said[-1], "the phone ended by itself"
    time.sleep(moment.later_s)
    process.kill()
    said += process.stdout.read().splitlines(keepends=True)
    process.wait()
    return [int(line.split()[1]) for line in said if line.startswith("kept ") and line.endswith("\n")]


async def stored(engine: AsyncEngine, firm: Firm) -> tuple[list[int], int]:
    """The fixes that the service has, by the number in their latitude, and how many taps."""
    async with transaction(engine, firm.organisation_id) as connection:
        latitudes = (await connection.execute(sa.text("SELECT ST_Y(geom) FROM fix"))).scalars().all()
        taps = (await connection.execute(sa.text("SELECT count(*) FROM tap"))).scalar_one()
    return [round((latitude - 41) * 1e6) for latitude in latitudes], taps


async def test_a_killed_phone_loses_and_doubles_nothing(
    server: Server, engine: AsyncEngine, firm: Firm, now_s: float, tmp_path: Path, long: bool
) -> None:
    """Fifty times while it keeps, sends, was answered or has just forgotten, over the WebSocket and over HTTP; the
    service dies a few times too.

    Twice the phone is reinstalled. Its file is gone then, so it is emptied before: what matters is that nothing of the
    new file is taken for what the service has already.
    """
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    phone = await firm.phone()
    await open_shift(server, phone, now_s)
    folder = tmp_path / "phone"
    kept: list[int] = []
    queued = 0
    moments: Counter[str] = Counter()
    for kill in range(LONG_KILLS if long else KILLS):
        first = kept[-1] + 2 if kept else 0  # one may have been kept without being told
        moment, way = Moment.any(chance), chance.choice(("websocket", "websocket", "http"))
        moments[f"{way}: {moment.what}"] += 1
        kept += live_and_die(start(server, phone, folder, way, first), moment)
        with sqlite3.connect(folder / "phone" / "outbox.db") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            queued += db.execute("SELECT count(*) FROM item").fetchone()[0]
        if kill % 10 == 5:
            server.kill()
            kept += live_and_die(start(server, phone, folder, way, kept[-1] + 2), Moment("kept", 50, 0.0))
            server.start_again()
        if kill in (15, 30):
            assert start(server, phone, folder, way, kept[-1] + 2, most=1).wait(60) == 0
            kept.append(kept[-1] + 2)
            folder = tmp_path / f"phone-{kill}"
    assert start(server, phone, folder, "websocket", kept[-1] + 2, most=1).wait(60) == 0
    kept.append(kept[-1] + 2)

    fixes, taps = await stored(engine, firm)
    had = Counter(fixes)
    print(f"seed {seed}: {len(kept)} fixes kept, {queued} queued at the kills, {dict(moments)}")  # noqa: T201
    assert queued > 0, "every kill came when all was sent"
    assert set(kept) <= set(had), "a fix was lost after its commit"
    assert set(had.values()) == {1}, "a fix was doubled"
    assert taps > sum(n % TAP_EVERY == 0 for n in had), "a tap was lost"


async def test_a_full_queue_gives_up_old_fixes_and_no_tap(
    server: Server, engine: AsyncEngine, firm: Firm, now_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A week without a network: what was thinned is counted; the rest and all taps reach the service, once."""
    monkeypatch.setattr(outbox, "MOST_FIXES", 300)
    phone = await firm.phone()
    queue = outbox.Outbox(tmp_path / "outbox.db", PhoneClock())
    queue.append_tap(Tap(now_s - 3600, TapKind.shift_start))
    for n in range(1_000):
        if n % 100 == 50:
            queue.append_tap(Tap(now_s - 3500 + 3 * n, TapKind.break_end))
        queue.append_fix(Fix(now_s - 3500 + 3 * n, round(41 + n * 1e-6, 6), -8.61, 8.0))
    left = queue.facts()
    assert (left.taps, left.fixes <= 300, left.fixes + left.thinned) == (11, True, 1_000)
    uplink = Uplink(queue, {Way.websocket: WebSocketLine(server.url, phone.key, None, lambda _: None)}, PhoneClock())
    uplink.followed = True
    async with asyncio.timeout(60):
        while queue.facts().taps + queue.facts().fixes:
            await uplink.step()
    fixes, taps = await stored(engine, firm)
    assert (len(fixes), len(set(fixes)), taps) == (left.fixes, left.fixes, 11)
    assert set(range(900, 1_000)) <= set(fixes), "the newest were given up"
    queue.close()
