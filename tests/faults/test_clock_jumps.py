"""The service's clock is moved by an hour or a day while it runs, and put right again: nothing is wrong for good."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from types import SimpleNamespace

import httpx
import pytest

from tests.support.clocks import SetClock
from tests.support.firm import HOME, METRE, Firm, drive_north_to_door
from tests.support.in_process import serving_here
from tests.support.rows import count, events, job_row, rows
from tests.support.server import enter_link, page_stream, send
from tests.support.staff import Browser, begin_session, hire
from tracking_server.clock import WallClock
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus
from tracking_server.notify import worker
from tracking_server.sweep import remind, sweep

HOUR_S, DAY_S = 3_600.0, 86_400.0
JUMPS = [HOUR_S, -HOUR_S, DAY_S, -DAY_S]


@pytest.mark.parametrize("jump_s", JUMPS)
async def test_a_drive_goes_on_when_the_clock_is_put_right(
    journey: Journey, firm: Firm, clock: SetClock, bus: Bus, jump_s: float
) -> None:
    """Every fix is kept once, the position moves again at once, and the arrival is found, once, at its own time."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    start_s = firm.now_s + 10
    taps = [phone.tap(start_s - 5, TapKind.shift_start), phone.tap(start_s - 4, TapKind.en_route, job_id)]
    fixes = drive_north_to_door(phone, start_s)
    await journey.accept(phone.delivery(start_s, taps=taps, sent_s=start_s))
    for n in range(0, len(fixes), 2):
        piece = fixes[n : n + 2]
        wrong_s = jump_s if 4 <= n < 8 else 0.0
        sent_s = piece[-1].time_s + 1
        clock.now_s = sent_s + wrong_s
        answer = await journey.accept(phone.delivery(clock.now_s, piece, sent_s=sent_s))
        assert [verdict for verdict in answer.verdicts.values() if verdict != "not_on_shift"] == []
        await sweep(firm.engine, bus, clock.now_s)
    assert await count(firm, "fix") == len(fixes) - (4 if jump_s < 0 else 0)
    (technician,) = await rows(firm, "technician")
    assert technician.position_time.timestamp() == fixes[-1].time_s
    arrived = [event for event in await events(firm, job_id) if event.kind == "arrived"]
    standing_s = next(fix.time_s for fix in fixes if fix.speed_mps == 0)
    assert [abs(event.at.timestamp() - standing_s) <= 15 for event in arrived] == [True]
    assert (await job_row(firm, job_id)).state == "arrived"


async def test_nothing_is_owed_twice(firm: Firm, bus: Bus) -> None:
    """The clock goes a day ahead, back, two days back and ahead again: each message of a visit is owed once."""
    phone = await firm.phone()
    for _ in range(3):
        await firm.job(phone.device.technician_id)
    for jump_s in (0.0, DAY_S, 0.0, HOUR_S, -DAY_S, DAY_S, 0.0, 2 * DAY_S, 0.0):
        await sweep(firm.engine, bus, firm.now_s + jump_s)
        await remind(firm.engine, firm.now_s + jump_s)
    owed = Counter(
        (message.job_id, message.kind, message.occasion, message.channel, message.recipient)
        for message in await rows(firm, "message")
    )
    assert owed
    assert set(owed.values()) == {1}


@pytest.mark.parametrize("jump_s", JUMPS)
async def test_links_sessions_and_streams_outlive_a_jump(
    servers: Installation, database: str, firm: Firm, clock: SetClock, jump_s: float
) -> None:
    """While the clock is wrong a session may rest and a page may say nothing new; then everything is as before."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    session = await begin_session(firm.engine, await hire(firm), firm.now_s)
    async with (
        serving_here(servers, database, clock) as url,
        httpx.AsyncClient(base_url=url) as client,
        httpx.AsyncClient(base_url=url) as board_client,
    ):
        board = Browser(board_client)
        board.wear(session)
        taps = [phone.tap(firm.now_s - 60, TapKind.shift_start), phone.tap(firm.now_s - 50, TapKind.en_route, job_id)]
        await send(client, phone, phone.delivery(firm.now_s, taps=taps))
        link_id = await enter_link(client, await firm.link(job_id))
        async with page_stream(client, link_id) as page:
            for north_m, wrong_s in ((900.0, 0.0), (890.0, jump_s), (880.0, 0.0)):
                clock.now_s += 5 + wrong_s
                made = phone.fix(clock.now_s - wrong_s, north_m, accuracy_m=8.0)
                delivery = phone.delivery(clock.now_s, [made], sent_s=clock.now_s - wrong_s)
                assert (await send(client, phone, delivery)).status_code == 200
                opened = await client.get(f"/j/{link_id}")
                assert opened.status_code == 200
                looked = (await board.get("/board")).status_code
                if not wrong_s:
                    await page.until_position_at(HOME[1] + north_m * METRE, 10)
                    assert looked == 200
                clock.now_s -= wrong_s
            assert not page.closed
            assert all(0 <= position["age_s"] < HOUR_S for position in page.positions)


async def test_no_worker_is_taken_for_dead_because_of_a_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right after it every heartbeat looks old: what others are sending is taken up again a look later only."""
    monkeypatch.setattr(worker, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(worker, "FASTEST_HEARTBEAT_S", 0.1)
    queue = Queue()
    taking_up = asyncio.create_task(worker._take_up_stalled(SimpleNamespace(job_manager=queue), WallClock()))  # type: ignore[arg-type]
    await queue.looked_at(1)
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + DAY_S)
    await queue.looked_at(2)
    taking_up.cancel()
    first_s, second_s = queue.looks_s[:2]
    assert second_s - first_s >= 0.19  # two pauses, not one


class Queue:
    """Notes when it was asked for stalled jobs; there are none."""

    def __init__(self) -> None:
        self.looks_s: list[float] = []
        self._looked = asyncio.Condition()

    async def get_stalled_jobs(self, **_: object) -> list[object]:
        async with self._looked:
            self.looks_s.append(time.monotonic())
            self._looked.notify_all()
        return []

    async def looked_at(self, times: int) -> None:
        async with asyncio.timeout(10), self._looked:
            await self._looked.wait_for(lambda: len(self.looks_s) >= times)
