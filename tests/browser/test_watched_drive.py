"""A drive watched in a real browser, from the morning to the rating, while what carries it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
import redis.asyncio as redis
import sqlalchemy as sa
from playwright.async_api import Browser, Page, async_playwright

from tests.support.browser import ARGUMENTS, CHROMIUM, PHONE
from tests.support.firm import Firm, Phone, noon_zone
from tests.support.proxy import Mode, Proxy, proxied
from tests.support.server import Server, send
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.store.engine import transaction
from tracking_server.store.schema import rating

RIGHT_WITHIN_MS = 5_000
HIDDEN_WITHIN_MS = 1_000
# Looks at every frame: a position beside words that do not allow one is kept for the end of the test.
WITNESS = """
window.leaks = [];
const look = () => {
  const shown = document.querySelector('#position');
  const showing = document.querySelector('[data-showing]')?.dataset.showing;
  if (shown && !shown.hidden && !['en_route', 'arriving'].includes(showing)) window.leaks.push(showing);
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with proxied(urlsplit(server.url).port or 0) as proxy:
        yield proxy


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


class Drive:
    """A technician's drive to one customer, told to the service as a phone tells it."""

    def __init__(self, client: httpx.AsyncClient, firm: Firm, phone: Phone, job_id: UUID, now_s: float) -> None:
        self.client, self.firm, self.phone, self.job_id = client, firm, phone, job_id
        self.now_s = now_s
        self.time_s = now_s - 300

    @classmethod
    async def booked(cls, client: httpx.AsyncClient, firm: Firm, now_s: float) -> Drive:
        phone = await firm.phone("Ana Sousa")
        job_id = await firm.job(phone.device.technician_id, time_zone=noon_zone(now_s))
        return cls(client, firm, phone, job_id, now_s)

    async def tap(self, kind: TapKind) -> None:
        self.time_s += 1
        job_id = None if kind is TapKind.shift_start else self.job_id
        tap = self.phone.tap(self.time_s, kind, job_id)
        await send(self.client, self.phone, self.phone.delivery(self.now_s, taps=[tap]))

    async def at(self, north_m: float, age_s: float = 30.0) -> None:
        """Be so far from the door, so long ago."""
        self.time_s = max(self.time_s + 1, self.now_s - age_s)
        fix = self.phone.fix(self.time_s, north_m, accuracy_m=8.0, speed_mps=8.0)
        await send(self.client, self.phone, self.phone.delivery(self.now_s, [fix]))

    async def set_off(self) -> None:
        await self.tap(TapKind.shift_start)
        await self.tap(TapKind.en_route)
        await self.at(4000.0)


async def open_page(browser: Browser, url: str, firm: Firm, job_id: UUID, *, script: bool = True) -> Page:
    """The customer opens the link of their message."""
    context = await browser.new_context(viewport=PHONE, java_script_enabled=script)
    page = await context.new_page()
    if script:
        await page.add_init_script(WITNESS)
    await page.goto(f"{url}/t/{await firm.link(job_id)}?lang=en")
    return page


async def on_the_way(
    browser: Browser, url: str, client: httpx.AsyncClient, firm: Firm, now_s: float
) -> tuple[Drive, Page]:
    """A technician on the way, and a customer who watches them."""
    drive = await Drive.booked(client, firm, now_s)
    await drive.set_off()
    page = await open_page(browser, url, firm, drive.job_id)
    await position_is(page, True)
    return drive, page


async def shows(page: Page, showing: str, within_ms: float = RIGHT_WITHIN_MS) -> None:
    await page.locator(f'[data-showing="{showing}"]').wait_for(state="attached", timeout=within_ms)


async def position_is(page: Page, shown: bool, within_ms: float = RIGHT_WITHIN_MS) -> None:
    await page.locator("#position").wait_for(state="visible" if shown else "hidden", timeout=within_ms)


async def no_leak(page: Page) -> None:
    assert await page.evaluate("window.leaks") == []


async def ratings(firm: Firm) -> list[tuple[int, str]]:
    async with transaction(firm.engine, firm.organisation_id) as connection:
        rows = await connection.execute(sa.select(rating.c.stars, rating.c.comment))
        return [(row.stars, row.comment) for row in rows]


async def test_a_drive_is_watched_from_today_to_rated(
    chromium: Browser, client: httpx.AsyncClient, server: Server, firm: Firm, now_s: float
) -> None:
    """Each state comes by itself; the map is there on the drive only, and gone within a second of the arrival."""
    drive = await Drive.booked(client, firm, now_s)
    page = await open_page(chromium, server.url, firm, drive.job_id)
    await shows(page, "scheduled")
    await drive.tap(TapKind.shift_start)
    await shows(page, "today")
    await position_is(page, False)
    await drive.tap(TapKind.en_route)
    await shows(page, "en_route")
    await drive.at(4000.0, age_s=170.0)
    await position_is(page, True)
    await drive.at(140.0)
    await shows(page, "arriving")
    await position_is(page, True)
    await drive.tap(TapKind.arrived)
    await position_is(page, False, HIDDEN_WITHIN_MS)
    await shows(page, "arrived")
    await drive.tap(TapKind.start)
    await shows(page, "in_progress")
    await drive.tap(TapKind.done)
    await shows(page, "completed")
    await page.locator('input[name="stars"][value="4"]').check(force=True)
    await page.locator('[data-action="rate"] textarea').fill("Quick and friendly")
    await page.locator('[data-action="rate"] button').first.click()
    await page.get_by_text("Thank you for your rating.").wait_for()
    assert await ratings(firm) == [(4, "Quick and friendly")]
    await no_leak(page)


async def test_a_drive_is_watched_without_script(
    chromium: Browser, client: httpx.AsyncClient, server: Server, firm: Firm, now_s: float
) -> None:
    """Every state, looked at anew; a note and the rating by plain forms."""
    drive = await Drive.booked(client, firm, now_s)
    page = await open_page(chromium, server.url, firm, drive.job_id, script=False)

    async def shows_now(showing: str) -> None:
        await page.reload()
        assert await page.locator("[data-showing]").get_attribute("data-showing") == showing

    await shows_now("scheduled")
    await drive.tap(TapKind.shift_start)
    await shows_now("today")
    await page.locator('[data-action="note"]').click()
    await page.locator('textarea[name="text"]').fill("Gate code 12#")
    await page.locator("form button").first.click()
    assert await page.get_by_text("Gate code 12#").count() == 1
    await drive.tap(TapKind.en_route)
    await shows_now("en_route")
    await drive.at(140.0)
    await shows_now("arriving")
    await drive.tap(TapKind.arrived)
    await shows_now("arrived")
    await drive.tap(TapKind.start)
    await shows_now("in_progress")
    await drive.tap(TapKind.done)
    await shows_now("completed")
    await page.locator('input[name="stars"][value="5"]').check(force=True)
    await page.locator('[data-action="rate"] button').first.click()
    assert await ratings(firm) == [(5, "")]


async def test_a_reassigned_technician_goes_within_a_second(
    chromium: Browser, client: httpx.AsyncClient, server: Server, firm: Firm, now_s: float, servers: Installation
) -> None:
    """From the commit on; the name goes with the position."""
    drive, page = await on_the_way(chromium, server.url, client, firm, now_s)
    other = await firm.phone("Rui Costa")
    await firm.reassign_and_tell(drive.job_id, other.device.technician_id, now_s, servers.redis_url)
    await position_is(page, False, HIDDEN_WITHIN_MS)
    assert "Ana" not in await page.inner_text("main")
    await no_leak(page)


async def test_a_restarted_server_brings_the_present_back(
    chromium: Browser, client: httpx.AsyncClient, server: Server, firm: Firm, now_s: float
) -> None:
    """Killed in the middle of the drive; what happened meanwhile is on the page soon after it is back."""
    drive, page = await on_the_way(chromium, server.url, client, firm, now_s)
    server.kill()
    await asyncio.to_thread(server.start_again)
    await drive.tap(TapKind.arrived)
    await shows(page, "arrived")
    await position_is(page, False)
    await no_leak(page)


async def test_a_wiped_redis_is_not_noticed(
    chromium: Browser, client: httpx.AsyncClient, server: Server, firm: Firm, now_s: float, servers: Installation
) -> None:
    """Everything in it gone, every subscription cut, in the middle of the drive."""
    drive, page = await on_the_way(chromium, server.url, client, firm, now_s)
    async with redis.from_url(servers.redis_url) as cache:
        await cache.flushall()
        await cache.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await drive.tap(TapKind.arrived)
    await shows(page, "arrived")
    await position_is(page, False)
    await no_leak(page)


async def test_a_proxy_that_says_503_does_not_end_the_page(
    chromium: Browser, client: httpx.AsyncClient, proxy: Proxy, firm: Firm, now_s: float
) -> None:
    """A deploy of several seconds: a browser's own stream would be closed for good."""
    drive, page = await on_the_way(chromium, proxy.url, client, firm, now_s)
    proxy.fail(Mode.answers_503)
    before = len(proxy.seen)
    await drive.tap(TapKind.arrived)
    await proxy.has_seen(before + 4)  # it has been refused several times
    proxy.mode = Mode.passes
    await shows(page, "arrived")
    await position_is(page, False)
    await no_leak(page)


async def test_a_hidden_tab_is_right_when_it_is_seen_again(
    chromium: Browser, client: httpx.AsyncClient, proxy: Proxy, firm: Firm, now_s: float
) -> None:
    """It hears nothing while it is hidden, and asks for nothing."""
    drive, page = await on_the_way(chromium, proxy.url, client, firm, now_s)
    await hide(page, True)
    asked = len(proxy.seen)
    await drive.tap(TapKind.arrived)
    await asyncio.sleep(1.0)
    assert len(proxy.seen) == asked
    await hide(page, False)
    await shows(page, "arrived")
    await position_is(page, False)
    await no_leak(page)


async def hide(page: Page, hidden: bool) -> None:
    """As when the customer turns to another app: a headless browser has no other."""
    await page.evaluate(
        """hidden => {
          Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
          document.dispatchEvent(new Event('visibilitychange'));
        }""",
        hidden,
    )


async def test_where_streams_are_held_back_the_page_asks(
    chromium: Browser, client: httpx.AsyncClient, proxy: Proxy, firm: Firm, now_s: float
) -> None:
    """Two silent streams, and the page polls; the page's own clock is moved on, nobody waits."""
    drive = await Drive.booked(client, firm, now_s)
    await drive.set_off()
    proxy.mode = Mode.buffers_streams
    page = await (await chromium.new_context(viewport=PHONE)).new_page()
    await page.clock.install()
    await page.goto(f"{proxy.url}/t/{await firm.link(drive.job_id)}?lang=en")
    await shows(page, "en_route")
    await drive.tap(TapKind.arrived)
    for _ in range(8):
        await page.clock.run_for(10_000)
        await asyncio.sleep(0.2)
    await shows(page, "arrived")
    await position_is(page, False)
