"""From the sentences of a GPS receiver to the customer's screen, through everything in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from geoalchemy2.shape import to_shape
from playwright.async_api import Browser, Page, async_playwright

from tech_app.core.gps.gpsd import GpsdSource
from tech_app.core.tap import TapKind
from tests.support.browser import ARGUMENTS, CHROMIUM, PHONE
from tests.support.firm import HOME, METRE, Firm
from tests.support.gps_receiver import receiver
from tests.support.rows import count, rows
from tests.support.server import Server
from tests.support.technician import Technician, until

FROM_M = 250.0
FIXES = 3  # every six seconds, near the door
SEEN_WITHIN_MS = 30_000
GONE_WITHIN_MS = 5_000


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


async def shows(page: Page, showing: str) -> None:
    await page.locator(f'[data-showing="{showing}"]').wait_for(state="attached", timeout=SEEN_WITHIN_MS)


async def test_a_receivers_sentences_move_the_customers_page(
    chromium: Browser, server: Server, firm: Firm, tmp_path: Path
) -> None:
    """NMEA -> gpsd -> the phone, paired by a code -> its queue -> the stream -> the service -> the page in a browser:
    on the way with the van on the map, arriving, and at the door without it; then nothing is left on the phone."""
    south = HOME[1] - FROM_M * METRE
    ana = (await firm.phone("Ana Sousa")).device.technician_id
    job_id = await firm.job(ana)
    page = await (await chromium.new_context(viewport=PHONE)).new_page()
    with receiver() as real:
        if real is None:
            pytest.skip("gpsd is not installed")
        technician = Technician(server, firm, ana, tmp_path, lambda clock: GpsdSource(clock, port=real.port))
        await technician.pair()
        driving = asyncio.create_task(real.drive_north(south, HOME[0], FROM_M - 20))
        async with technician.at_work() as desk:
            await until(desk, lambda: desk.jobs)
            desk.tap(TapKind.shift_start)
            desk.tap(TapKind.en_route, str(job_id))
            await page.goto(f"{server.url}/t/{await firm.link(job_id)}?lang=en")
            await page.locator("#position").wait_for(state="visible", timeout=SEEN_WITHIN_MS)
            assert "Ana Sousa" in await page.inner_text("main")
            await shows(page, "arriving")
            async with asyncio.timeout(60):
                while await count(firm, "fix") < FIXES:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)
            desk.tap(TapKind.arrived, str(job_id))
            await shows(page, "arrived")
            await page.locator("#position").wait_for(state="hidden", timeout=GONE_WITHIN_MS)
            desk.tap(TapKind.done, str(job_id))
            desk.tap(TapKind.shift_end)
            await shows(page, "completed")
            await until(desk, lambda: desk.facts().taps + desk.facts().fixes == 0)
        driving.cancel()
    fixes = sorted(await rows(firm, "fix"), key=lambda fix: fix.fix_time)
    north = [to_shape(fix.geom).y for fix in fixes]
    assert south - 30 * METRE < north[0] < north[-1] < HOME[1]
