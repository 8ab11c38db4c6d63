"""A page that stays open: what changes is shown, what is being written stays, and a bad network is said in words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Stage, aside
from tests.support.browser import phone
from tests.support.proxy import Mode, Proxy, proxied
from tracking_server import links
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.schema import job, link, note


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = phone(chromium)
    yield context.new_page()
    context.close()


@contextmanager
def between(staged: Stage) -> Iterator[Proxy]:
    """A proxy between page and service, served by a thread of its own."""
    ready, over, made = Event(), Event(), []

    async def serve() -> None:
        async with proxied(urlsplit(staged.server.url).port or 0) as proxy:
            made.append(proxy)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield made[0]
    finally:
        over.set()
        thread.join()


def change(staged: Stage, scene: str, language: str = "en", **values: Any) -> None:
    """Change a visit behind everybody's back: the comparison of versions brings it within three seconds."""

    async def write() -> None:
        firm = staged.firm(language)
        async with transaction(firm.engine, firm.organisation_id) as connection:
            row = job.update().where(job.c.id == staged.firms[language].jobs[scene])
            await connection.execute(row.values(version=job.c.version + 1, **values))
        await firm.engine.dispose()

    aside(write())


def test_an_update_takes_away_nothing_that_is_written(page: Page, staged: Stage) -> None:
    """The technician arrives while a note is typed: the words change and the map goes, the text and its caret stay."""
    page.goto(staged.link("en_route"))
    page.wait_for_selector(".technician-mark")
    page.locator('[data-opens="note"]').click()
    box = page.locator("#note-text")
    box.type("The gate is o")
    change(staged, "en_route", state="arrived", arrived_at=to_time(staged.now_s))
    expect(page.locator("h1")).to_contain_text("is at your door")
    expect(page.locator("#position")).to_be_hidden()
    box.type("pen")
    assert box.input_value() == "The gate is open"
    page.locator("#form-note button").first.click()
    expect(page.locator(".thanks")).to_contain_text("We have got your note")
    expect(page.locator(".notes")).to_contain_text("The gate is open")


def test_only_what_changed_is_replaced(page: Page, staged: Stage) -> None:
    """A screen reader is told the new words, not all of them again."""
    page.goto(staged.link("in_progress"))
    expect(page.locator(".technician")).to_be_visible()
    page.evaluate("document.querySelectorAll('.technician, .kicker, .steps').forEach((e) => (e.seen = true))")
    change(staged, "in_progress", duration_s=7_200)
    expect(page.locator(".visit")).to_contain_text("2 hr")
    kept = "[...document.querySelectorAll('.technician, .kicker, .steps')].map((e) => e.seen === true)"
    assert page.evaluate(kept) == [True, True, True]


def test_the_page_survives_a_deploy(page: Page, staged: Stage) -> None:
    """Every connection cut and 503 for a while: it says so after 30 s, comes back by itself and is right again."""
    with between(staged) as proxy:
        page.clock.install()
        page.goto(staged.link("today").replace(staged.server.url, proxy.url))
        expect(page.locator("h1")).to_contain_text("comes to you today")
        until(page, proxy, "updates", 1)
        proxy.fail(Mode.answers_503)
        page.clock.run_for(25_000)
        expect(page.locator("#connection")).to_be_empty()
        for _ in range(3):
            page.clock.run_for(10_000)
        expect(page.locator("#connection")).to_have_text("No connection. What you see may be old.")
        change(staged, "today", title="Boiler repair")
        proxy.fail(Mode.passes)
        for _ in range(60):
            page.clock.run_for(5_000)
            if "Boiler repair" in page.locator(".kicker").inner_text():
                break
        expect(page.locator(".kicker")).to_contain_text("Boiler repair")
        expect(page.locator("#connection")).to_be_empty()


def test_a_network_that_holds_streams_back_is_asked_instead(page: Page, staged: Stage) -> None:
    """After two silent streams the page asks every 20 s, and shows what it hears."""
    with between(staged) as proxy:
        proxy.mode = Mode.buffers_streams
        page.clock.install()
        page.goto(staged.link("delayed").replace(staged.server.url, proxy.url))
        until(page, proxy, "updates", 2)
        change(staged, "delayed", title="Boiler exchange")
        until(page, proxy, "status", 1)
        expect(page.locator(".kicker")).to_contain_text("Boiler exchange")
        page.wait_for_selector(".technician-mark")
        until(page, proxy, "status", 2)
        assert sum("/updates" in line for line in proxy.seen) == 2


def until(page: Page, proxy: Proxy, part: str, times: int) -> None:
    """Move the page's clock until it asked for a part so often."""
    for _ in range(60):
        if sum(f"/{part}" in line for line in proxy.seen) >= times:
            return
        page.clock.run_for(1_000)
    raise AssertionError(f"never asked for {part} {times} times: {proxy.seen}")


def test_a_revoked_link_closes_its_page(page: Page, staged: Stage) -> None:
    """The open page becomes the page of a link that is over."""
    page.goto(staged.link("arrived"))
    expect(page.locator("h1")).to_contain_text("is at your door")
    job_id = staged.firms["en"].jobs["arrived"]

    async def revoke() -> None:
        firm = staged.firm()
        async with transaction(firm.engine, firm.organisation_id) as connection:
            link_id = await connection.scalar(link.select().where(link.c.job_id == job_id).with_only_columns(link.c.id))
            await links.revoke_link(connection, firm.organisation_id, link_id, staged.now_s)
        await firm.engine.dispose()

    aside(revoke())
    expect(page.locator("h1")).to_have_text("This link does not work any more", timeout=10_000)


def test_the_age_counts_and_the_marker_goes(page: Page, staged: Stage) -> None:
    """Second by second in the server's words, grey after a minute, gone after three: nobody guesses."""
    page.clock.install()
    page.goto(staged.link("reassigned", "ar"))
    page.wait_for_selector(".technician-mark")
    page.context.set_offline(True)
    age = page.locator("#age")
    page.clock.run_for(20_000)
    expect(age).to_contain_text("ثانية")
    page.clock.run_for(60_000)
    expect(age).to_have_text("الموقع قبل دقيقة واحدة")
    expect(age).to_have_class("old")
    for _ in range(10):
        page.clock.run_for(10_000)
    expect(page.locator("#position")).to_be_hidden()


def test_a_phone_that_slept_shows_no_old_position_as_new(page: Page, staged: Stage) -> None:
    """The clock that pages count by may stand still meanwhile; the phone's own went on."""
    page.goto(staged.link("reassigned", "th"))
    page.wait_for_selector(".technician-mark")
    page.evaluate("const { now } = Date; Date.now = () => now() + 240_000")
    expect(page.locator("#position")).to_be_hidden()


def test_a_page_is_shared_by_the_phone_s_own_sheet(page: Page, staged: Stage) -> None:
    """One second link however often it is handed on; when there were enough of them it says so."""
    page.add_init_script("shared = []; navigator.share = async ({ url }) => (document.title = shared.push(url))")
    page.clock.install()
    page.goto(staged.link("completed", "th"))
    button = page.locator("#share button")
    for times in (1, 2):
        button.click()
        expect(page).to_have_title(str(times))
        page.clock.run_for(6_000)
    first, again = page.evaluate("shared")
    assert first == again
    origin = {"origin": staged.server.url}
    for _ in range(links.MOST_SHARED - 1):
        page.request.post(f"{page.url.partition('?')[0]}/share", headers=origin)
    page.reload()
    button.click()
    expect(page.locator("main")).to_contain_text("หน้านี้ถูกแชร์หลายครั้งแล้ว")


def test_the_page_is_whole_without_script(chromium: Browser, staged: Stage) -> None:
    """Words, age, forms and thanks; and no empty place for a map."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(staged.link("stale"))
    expect(page.locator("h1")).to_contain_text("is on the way to you")
    expect(page.locator("#age")).to_have_text("Position 2 minutes old")
    expect(page.locator("#map")).to_be_hidden()
    page.locator('[data-opens="note"]').click()
    page.locator("#note-text").fill("Please ring twice")
    page.locator("button").click()
    expect(page.locator(".thanks")).to_contain_text("We have got your note")
    expect(page.locator(".notes")).to_contain_text("Please ring twice")
    page.locator("#share button").click()
    assert page.locator("input.address").input_value().startswith(f"{staged.server.url}/t/")
    context.close()


def test_the_map_is_followed_until_it_is_moved(page: Page, staged: Stage) -> None:
    """A button brings the view back to the technician."""
    page.goto(staged.link("arriving"))
    page.wait_for_selector(".technician-mark")
    expect(page.locator("#follow")).to_be_hidden()
    page.mouse.move(195, 500)
    page.locator("#map").hover()
    page.mouse.down()
    page.mouse.move(250, 560, steps=5)
    page.mouse.up()
    expect(page.locator("#follow")).to_be_visible()
    page.locator("#follow").click()
    expect(page.locator("#follow")).to_be_hidden()


@pytest.mark.parametrize(("language", "said"), [("en", "has it on their phone"), ("ar", "وصلت ملاحظتك إلى هاتف")])
def test_a_note_says_when_it_is_on_the_technicians_phone(page: Page, staged: Stage, language: str, said: str) -> None:
    """On the open page, beside the note; and no longer when somebody else is to come."""
    page.goto(staged.link("today", language))
    page.locator('[data-opens="note"]').click()
    page.locator("#note-text").type("The bell is broken")
    page.locator("#form-note .button").first.click()
    line = page.locator("[data-note] .reached").last
    expect(page.locator("[data-note]").last).to_contain_text("The bell is broken")
    expect(line).to_be_hidden()
    job_id = staged.firms[language].jobs["today"]
    technician = sa.select(job.c.technician_id).where(job.c.id == job_id).scalar_subquery()
    write(staged, language, note.update().where(note.c.job_id == job_id).values(reached_by=technician))
    change(staged, "today", language)
    expect(line).to_be_visible()
    expect(line).to_contain_text(said)
    write(staged, language, note.update().where(note.c.job_id == job_id).values(reached_by=None))
    change(staged, "today", language)
    expect(line).to_be_hidden()


def write(staged: Stage, language: str, statement: sa.Executable) -> None:
    """Behind everybody's back."""

    async def write() -> None:
        firm = staged.firm(language)
        async with transaction(firm.engine, firm.organisation_id) as connection:
            await connection.execute(statement)
        await firm.engine.dispose()

    aside(write())
