"""The whole phone without its screen, and the real service: paired by a code, it works through a day."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tech_app.core.jobs import News
from tech_app.core.tap import TapKind
from tests.support.firm import Firm
from tests.support.rows import count, job_row
from tests.support.server import Server
from tests.support.technician import Technician, until
from tracking_server.store import devices
from tracking_server.store.engine import transaction


@pytest.fixture
async def ana(server: Server, firm: Firm, tmp_path: Path) -> Technician:
    return Technician(server, firm, (await firm.phone()).device.technician_id, tmp_path / "ana")


async def test_a_visit(ana: Technician, firm: Firm) -> None:
    """A job comes by itself, the drive is seen, and what is tapped is what the office has."""
    await ana.pair()
    async with ana.at_work() as desk:
        desk.tap(TapKind.shift_start)
        await until(desk, lambda: desk.facts().taps == 0)
        job_id = await firm.job(ana.id)
        await until(desk, lambda: desk.jobs)
        (job,) = desk.jobs
        assert (job.id, job.customer, job.summary) == (str(job_id), "Maria Lopes", "Leaking tap")
        assert [untold.tiding.news for untold in desk.tidings()] == [News.new]
        for kind, state in ((TapKind.en_route, "en_route"), (TapKind.arrived, "arrived"), (TapKind.done, "completed")):
            desk.tap(kind, job.id)
            await until(desk, lambda: desk.facts().taps == 0)
            assert (await job_row(firm, job_id)).state == state
        desk.tap(TapKind.shift_end)
        await until(desk, lambda: desk.facts().taps + desk.facts().fixes == 0)
        assert desk.dead_taps() == []
    assert await count(firm, "fix") >= 1


async def test_a_job_that_goes_to_somebody_else(ana: Technician, firm: Firm) -> None:
    """The phone is told at once, tells its technician, and what was tapped meanwhile is kept without effect."""
    await ana.pair()
    job_id = await firm.job(ana.id)
    ben = (await firm.phone("Ben")).device.technician_id
    async with ana.at_work() as desk:
        desk.tap(TapKind.shift_start)
        await until(desk, lambda: desk.jobs and desk.facts().taps == 0)
        await firm.assign(job_id, ben, firm.now_s)
        await until(desk, desk.tidings)
        (untold,) = desk.tidings()
        assert (untold.tiding.news, untold.tiding.job.id) == (News.gone, str(job_id))
        assert desk.jobs == ()


async def test_a_lost_phone_that_is_found(ana: Technician, firm: Firm, engine: AsyncEngine) -> None:
    """Revoked it says so and keeps what it sees; paired again it is the same phone, and nothing is lost or doubled.

    What had come before, and was never acknowledged, comes again under the same numbers.
    """
    device = await ana.pair()
    async with ana.at_work() as desk:
        desk.tap(TapKind.shift_start)
        await until(desk, lambda: desk.facts().taps == 0)
        async with transaction(engine, firm.organisation_id) as connection:
            await devices.revoke_devices(connection, firm.organisation_id, ana.id, firm.now_s)
        desk.tap(TapKind.break_start)
        await until(desk, lambda: not desk.status().paired)
        desk.tap(TapKind.break_end)
        assert desk.facts().taps >= 1
    assert await ana.pair() == device
    async with ana.at_work() as desk:
        await until(desk, lambda: desk.facts().taps == 0)
        assert desk.status().paired
    assert await count(firm, "tap") == 3


async def test_somebody_elses_phone_now(ana: Technician, server: Server, firm: Firm, tmp_path: Path) -> None:
    """What waits of the first technician is not sent as the second's; it goes when the first has the phone again."""
    await ana.pair()
    desk = ana.home.desk()
    desk.tap(TapKind.shift_start)
    desk.close()
    ana.home.unpair()
    ben = Technician(server, firm, (await firm.phone("Ben")).device.technician_id, tmp_path / "ana")
    await ben.pair()
    async with ben.at_work() as desk:
        desk.tap(TapKind.shift_start)
        desk.tap(TapKind.shift_end)
        await until(desk, lambda: desk.facts().taps + desk.facts().fixes == 0)
    assert await count(firm, "tap") == 2
    ben.home.unpair()
    assert len(ben.home.earlier()) == 1, "what was Ben's is all sent, and gone from the phone"
    await ana.pair()
    async with ana.at_work() as desk:
        await until(desk, lambda: desk.facts().taps == 0)
    assert await count(firm, "tap") == 3
