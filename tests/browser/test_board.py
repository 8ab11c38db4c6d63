"""The dispatcher's board in a real browser: for everybody, by keyboard, live, and without script."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Stage, aside
from tests.browser.test_look import check
from tests.support.firm import Firm
from tests.support.staff import begin_session, hire
from tracking_server.domain.note import Author, Note, NoteKind
from tracking_server.domain.role import Role
from tracking_server.store.engine import transaction
from tracking_server.store.notes import insert_note
from tracking_server.store.schema import note as note_table
from tracking_server.words import LANGUAGES

WIDE = {"width": 1280, "height": 800}
NARROW = 320  # CSS pixels: WCAG 1.4.10
EVIL = "<img src=x onerror=alert(1)>"


@dataclass
class Desk:
    """Somebody at the board."""

    page: Page
    stage: Stage
    firm: Firm
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.stage.server.url + path)

    def new_job(self) -> str:
        """An unassigned job of this desk's firm."""
        return str(aside(make_job(self.stage, self.firm)))


async def make_job(stage: Stage, firm: Firm) -> object:
    fresh = Firm(stage.firm().engine, firm.organisation_id, time.time())
    try:
        return await fresh.job()
    finally:
        await fresh.engine.dispose()


async def write_note(stage: Stage, firm: Firm, job_id: str) -> UUID:
    """A customer's."""
    fresh = Firm(stage.firm().engine, firm.organisation_id, time.time())
    note = Note(uuid4(), UUID(job_id), NoteKind.access, Author.customer, None, "by the red gate", stage.now_s - 50)
    async with transaction(fresh.engine, fresh.organisation_id) as connection:
        await insert_note(connection, fresh.organisation_id, note)
    await fresh.engine.dispose()
    return note.id


async def give(stage: Stage, firm: Firm, job_id: str) -> None:
    """To a new technician."""
    fresh = Firm(stage.firm().engine, firm.organisation_id, time.time())
    phone = await fresh.phone("Rui Costa")
    await fresh.assign(UUID(job_id), phone.device.technician_id, time.time())
    await fresh.engine.dispose()


async def make_older(stage: Stage, firm: Firm, note_id: UUID) -> None:
    """By an hour."""
    fresh = Firm(stage.firm().engine, firm.organisation_id, time.time())
    async with transaction(fresh.engine, fresh.organisation_id) as connection:
        made_at = note_table.c.made_at - timedelta(hours=1)
        await connection.execute(note_table.update().where(note_table.c.id == note_id).values(made_at=made_at))
    await fresh.engine.dispose()


async def hire_technician(stage: Stage, firm: Firm) -> None:
    fresh = Firm(stage.firm().engine, firm.organisation_id, time.time())
    await fresh.phone("Newly Hired")
    await fresh.engine.dispose()


async def sign_in(stage: Stage, language: str) -> str:
    """A session of an owner who reads that language."""
    firm = stage.firm(language)
    try:
        staff = await hire(firm, Role.owner, email=f"{uuid4().hex}@ribeira.example", language=language)
        return await begin_session(firm.engine, staff, time.time())
    finally:
        await firm.engine.dispose()


def desk_in(chromium: Browser, staged: Stage, language: str, **options: bool) -> Iterator[Desk]:
    context = chromium.new_context(viewport=WIDE, reduced_motion="reduce", **options)  # type: ignore[arg-type]
    token = aside(sign_in(staged, language))
    context.add_cookies([{"name": "board", "value": token, "url": staged.server.url}])
    desk = Desk(context.new_page(), staged, staged.firm(language))
    desk.page.on("console", lambda said: desk.complaints.append(said.text) if said.type == "error" else None)
    desk.page.on("pageerror", lambda error: desk.complaints.append(str(error)))
    desk.page.on("dialog", lambda dialog: (desk.complaints.append("a script ran"), dialog.dismiss()))
    yield desk
    context.close()


@pytest.fixture
def desk(chromium: Browser, staged: Stage) -> Iterator[Desk]:
    yield from desk_in(chromium, staged, "en")


@pytest.fixture(params=LANGUAGES)
def open_desk(request: pytest.FixtureRequest, chromium: Browser, staged: Stage) -> Iterator[Desk]:
    """In every language, for a checker that is no script of ours."""
    yield from desk_in(chromium, staged, str(request.param), bypass_csp=True)


@pytest.mark.parametrize("path", ["", "?job=", "/jobs/new", "/technicians", "/staff", "/account", "/sign-in"])
def test_a_page_is_good_for_everybody(open_desk: Desk, path: str) -> None:
    """No violation by axe in light and dark, nothing cut off at 320 pixels, no error."""
    page = open_desk.page
    open_desk.open(f"/board{path}{open_desk.new_job() if path == '?job=' else ''}")
    if path in ("", "?job="):
        expect(page.locator(".leaflet-container")).to_be_visible()
        expect(page.locator(".pin").first).to_be_visible()
    check(page, {})
    page.emulate_media(color_scheme="dark")
    check(page, {"runOnly": ["color-contrast"]})
    page.set_viewport_size({"width": NARROW, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert open_desk.complaints == []


def test_everything_goes_by_keyboard(desk: Desk) -> None:
    """`/` searches, arrows go through the rows, Enter opens, a letter chooses, Escape closes."""
    page = desk.page
    job_id = desk.new_job().replace("-", "")
    desk.open("/board")
    page.wait_for_function("document.querySelectorAll('.job').length > 2")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("leaking")
    shown = page.locator(".row:not([hidden]) > .job")
    assert 0 < shown.count() <= page.locator(".job").count()
    shown.first.focus()
    if shown.count() > 1:
        page.keyboard.press("ArrowDown")
        expect(shown.nth(1)).to_be_focused()
        page.keyboard.press("ArrowUp")
    expect(shown.first).to_be_focused()
    page.locator(f"#job-{job_id} .job").focus()
    page.keyboard.press("Enter")
    select = page.locator("#assign-to")
    select.focus()
    page.keyboard.press("ArrowDown")
    assert select.input_value()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#detail-facts")).to_contain_text("Planned")
    page.locator("h2").first.click()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_have_count(0)
    assert desk.complaints == []


def test_a_job_is_found_by_its_address(desk: Desk) -> None:
    """While it is typed, and with Enter: the address is not in the row, but people ask by it."""
    page = desk.page
    job_id = desk.new_job().replace("-", "")
    desk.open("/board")
    row = page.locator(f"#job-{job_id}")
    page.fill("#search", "rua das flores")
    expect(row).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**q=rua*")
    expect(row).to_be_visible()
    page.fill("#search", "rua das flores nowhere")
    expect(row).to_be_hidden()


def test_a_row_made_anew_keeps_the_keyboard_s_place(desk: Desk) -> None:
    """Whoever stands on a row's second button stands there still: Enter does what it would have done."""
    page = desk.page
    job_id = desk.new_job()
    note_id = aside(write_note(desk.stage, desk.firm, job_id))
    desk.open("/board")
    row = page.locator(f"#note-{note_id.hex}")
    row.locator("button").focus()
    aside(make_older(desk.stage, desk.firm, note_id))
    expect(row).to_contain_text("1 h ago")
    expect(row.locator("button")).to_be_focused()


def test_a_row_that_moves_takes_the_keyboard_along(desk: Desk) -> None:
    """Into another group of the list, while somebody stands on it; and when one before it goes."""
    page = desk.page
    first, second = desk.new_job(), desk.new_job()
    desk.open("/board")
    link = page.locator(f"#job-{second.replace('-', '')} .job")
    for job_id in (first, second):
        link.focus()
        aside(give(desk.stage, desk.firm, job_id))
        expect(page.locator(f"#job-{job_id.replace('-', '')}")).to_contain_text("Planned")
        expect(link).to_be_focused()


def test_the_board_lives_while_somebody_chooses(desk: Desk) -> None:
    """New rows come without a reload, and a choice that is being made stays."""
    page = desk.page
    job_id = desk.new_job()
    desk.open(f"/board?job={job_id}")
    select = page.locator("#assign-to")
    select.select_option(index=1)
    chosen = select.input_value()
    page.evaluate("window.stayed = true")
    aside(hire_technician(desk.stage, desk.firm))  # one more choice
    other = desk.new_job().replace("-", "")
    expect(page.locator(f"#job-{other}")).to_be_visible()
    expect(page.locator("#technicians")).to_contain_text("Newly Hired")
    assert select.input_value() == chosen
    assert "Newly Hired" not in select.inner_text()
    select.select_option(index=0)
    page.locator("h2").first.click()
    desk.new_job()
    expect(select).to_contain_text("Newly Hired", timeout=25_000)
    assert page.evaluate("window.stayed")


def test_a33_no_name_runs_on_the_board(desk: Desk) -> None:
    """Markup in every name, in rows, live rows, options, pins and tooltips: shown as it was typed, no policy broken."""
    page = desk.page
    desk.open("/board/technicians")
    page.fill("input[name=name]", EVIL)
    page.click("form[action='/board/technicians'] button")
    desk.open("/board/jobs/new")
    for name in ("customer", "title", "address"):
        page.fill(f"input[name={name}]", EVIL)
    page.fill("#lat", "41.15")
    page.fill("#lon", "-8.61")
    page.click("form.fields > p > button.main")
    expect(page.locator("#detail-facts h2")).to_have_text(EVIL)
    expect(page.locator(".pin.chosen")).to_be_visible()
    desk.new_job()
    page.wait_for_timeout(2_500)
    assert EVIL in page.locator("#assign-to").inner_text()
    assert desk.complaints == []


def test_the_board_is_whole_without_script(chromium: Browser, staged: Stage) -> None:
    """The same rows, and the form assigns."""
    for desk in desk_in(chromium, staged, "en", java_script_enabled=False):
        page = desk.page
        desk.open(f"/board?job={desk.new_job()}")
        assert page.locator(".job").count() > 2
        page.locator("#assign-to").select_option(index=1)
        page.click(".assign button")
        expect(page.locator("#detail-facts")).to_contain_text("Planned")


def test_a_place_is_pasted_as_other_maps_copy_it(desk: Desk) -> None:
    """Both numbers in one field are spread over the two; a decimal comma shows the pin, too."""
    page = desk.page
    desk.open("/board/jobs/new")
    page.fill("#lat", "41.150000, -8.610000")
    page.locator("#lon").focus()
    expect(page.locator("#lat")).to_have_value("41.150000")
    expect(page.locator("#lon")).to_have_value("-8.610000")
    page.fill("#lat", "41,15")
    page.locator("#lon").focus()
    expect(page.locator(".pin.chosen")).to_be_visible()
    assert desk.complaints == []
