"""The dispatcher's board over HTTP, without script."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import QueryParams

from tech_app.core.session import read_invitation
from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone, drive_north_to_door
from tests.support.rows import events, job_row, rows
from tests.support.staff import Browser, begin_session, hire, words_of
from tracking_server import words
from tracking_server.app import create_app
from tracking_server.dispatch.board.looking import Looking, looking_at
from tracking_server.dispatch.board.render import Rows
from tracking_server.domain.checkpoint import Checkpoint
from tracking_server.domain.events import TapKind
from tracking_server.domain.note import Author, Note, NoteKind
from tracking_server.domain.role import Role
from tracking_server.embedded import Installation
from tracking_server.invitation import as_picture
from tracking_server.journey import Journey
from tracking_server.push import dispatcher
from tracking_server.push.dispatcher import PIECE_CHARACTERS, WatchedBoards, _Stream
from tracking_server.push.reader import Reader
from tracking_server.settings import Settings
from tracking_server.store.accounts import Session
from tracking_server.store.board import Board
from tracking_server.store.engine import transaction
from tracking_server.store.notes import insert_note
from tracking_server.store.schema import message


@dataclass
class Office:
    """A firm with somebody at its board."""

    firm: Firm
    browser: Browser
    staff_id: UUID


@pytest.fixture
async def office(
    servers: Installation, database: str, firm: Firm, clock: SetClock, engine: AsyncEngine
) -> AsyncIterator[Office]:
    settings = Settings(
        database_url=servers.app_url(database), redis_url=servers.redis_url, public_url="http://doorstep.test"
    )
    transport = httpx.ASGITransport(create_app(settings, clock), client=("10.1.1.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://doorstep.test") as client:
        browser = Browser(client)
        staff = await hire(firm)
        browser.wear(await begin_session(engine, staff, clock.now_s))
        yield Office(firm, browser, staff.id)


async def at_work(journey: Journey, clock: SetClock, phone: Phone, north_m: float, age_s: float = 10.0) -> None:
    """On shift, and seen so far north of the door so long ago."""
    start = phone.tap(clock.now_s - 3000, TapKind.shift_start)
    fix = phone.fix(clock.now_s - age_s, north_m, accuracy_m=8.0, battery_pct=9.0)
    await journey.accept(phone.delivery(clock.now_s, [fix], [start]))


async def test_the_nearest_technician_comes_first(office: Office, journey: Journey, clock: SetClock) -> None:
    """With metres and the age of the fix; an old fix is no distance, and stands last."""
    near, far, old = [await office.firm.phone(name) for name in ("Ana Near", "Rui Far", "Eva Old")]
    await office.firm.phone("Zoe Off")
    await at_work(journey, clock, far, 4200.0)
    await at_work(journey, clock, near, 850.0, 12.0)
    await at_work(journey, clock, old, 100.0, 600.0)
    job_id = await office.firm.job()
    page = await office.browser.get(f"/board?job={job_id}")
    assert re.findall(r'<option value="[^"]+">(.*?)</option>', page.text) == [
        "Ana Near · 850 m · 12 s ago · free",
        "Rui Far · 4.2 km · 10 s ago · free",
        "Eva Old · no fresh position · free",
        "Zoe Off · no fresh position · off shift",
    ]


async def test_a_job_en_route_is_reassigned(office: Office, journey: Journey, clock: SetClock) -> None:
    """By a form, in one step, with who did it in the audit."""
    first, second = await office.firm.phone("Ana Sousa"), await office.firm.phone("Rui Costa")
    job_id = await office.firm.job(first.device.technician_id)
    taps = [first.tap(clock.now_s + 1, TapKind.shift_start), first.tap(clock.now_s + 2, TapKind.en_route, job_id)]
    clock.now_s += 10
    await journey.accept(first.delivery(clock.now_s, taps=taps))
    page = await office.browser.get(f"/board?job={job_id}")
    assert "On the way" in page.text
    assert "Ana Sousa" in page.text
    answer = await office.browser.post(
        f"/board/jobs/{job_id}/assign", technician=str(second.device.technician_id), assignment="1"
    )
    assert answer.status_code == 303
    job = await job_row(office.firm, job_id)
    assert (job.state, job.technician_id) == ("assigned", second.device.technician_id)
    audit = [row for row in await rows(office.firm, "audit") if row.action == "reassigned"]
    assert [row.actor for row in audit] == [f"staff:{office.staff_id}"]


async def test_a_late_click_is_told_who_was_faster(office: Office) -> None:
    """409 with the present state, and nothing changed; the same holds for work that has begun."""
    first, second = await office.firm.phone("Ana Sousa"), await office.firm.phone("Rui Costa")
    job_id = await office.firm.job()
    path = f"/board/jobs/{job_id}/assign"
    won = await office.browser.post(path, technician=str(first.device.technician_id), assignment="0")
    assert won.status_code == 303
    late = await office.browser.post(path, technician=str(second.device.technician_id), assignment="0")
    assert late.status_code == 409
    assert "Now Planned · Ana Sousa" in words_of(late)
    assert (await job_row(office.firm, job_id)).technician_id == first.device.technician_id
    assert (await office.browser.post(f"/board/jobs/{job_id}/cancel", reason="Storm")).status_code == 303
    for undoable in ("assign", "cancel", "undo"):
        answer = await office.browser.post(
            f"/board/jobs/{job_id}/{undoable}", technician=str(second.device.technician_id)
        )
        assert (answer.status_code, "Cancelled" in answer.text) == (409, True)


async def test_a_wrong_arrival_is_undone(office: Office, journey: Journey, clock: SetClock) -> None:
    """The job is where it was, its technician's memory too, and the customer is owed a correction."""
    phone = await office.firm.phone()
    job_id = await office.firm.job(phone.device.technician_id)
    kinds = (TapKind.shift_start, TapKind.en_route, TapKind.arrived)
    taps = [phone.tap(clock.now_s + at, kind, job_id) for at, kind in enumerate(kinds)]
    clock.now_s += 10
    await journey.accept(phone.delivery(clock.now_s, taps=taps))
    assert "Not arrived: take it back" in (await office.browser.get(f"/board?job={job_id}")).text
    assert (await office.browser.post(f"/board/jobs/{job_id}/undo")).status_code == 303
    assert (await job_row(office.firm, job_id)).state == "en_route"
    assert [event.kind for event in await events(office.firm, job_id)][-1] == "undone"
    assert "correction" in [row.kind for row in await rows(office.firm, "message")]
    (technician,) = await rows(office.firm, "technician")
    presence = Checkpoint.from_json(technician.checkpoint).stays[job_id].presence
    assert "undone" in str(presence), "the next arrival needs the technician to come in again"
    clock.now_s += 10
    await journey.accept(phone.delivery(clock.now_s, [phone.fix(clock.now_s - 1, 500.0, accuracy_m=8.0)]))
    assert (await job_row(office.firm, job_id)).state == "en_route"


@pytest.mark.parametrize("language", words.LANGUAGES)
async def test_a_story_is_told_in_words(office: Office, journey: Journey, clock: SetClock, language: str) -> None:
    """Every piece of evidence has a name in the reader's language and a value with its unit; nothing is raw."""
    phone = await office.firm.phone()
    job_id = await office.firm.job(phone.device.technician_id)
    start_s = clock.now_s
    taps = [phone.tap(start_s, TapKind.shift_start), phone.tap(start_s + 1, TapKind.en_route, job_id)]
    fixes = drive_north_to_door(phone, start_s + 2, 800.0)
    clock.now_s = fixes[-1].time_s
    await journey.accept(phone.delivery(clock.now_s, fixes, taps))
    page = await office.browser.get(f"/board?job={job_id}&lang={language}")
    told = re.findall(r"<dt>(.*?)</dt><dd><bdi>(.*?)</bdi></dd>", page.text.split('class="story"')[1])
    assert {name for name, _ in told if re.fullmatch(r"\w+_\w+|", name)} == set()
    assert not any("[" in value or re.fullmatch(r"[\d.]{6,}", value) for _, value in told)
    if language == "en":
        names = {name for name, _ in told}
        assert {"Distance to the door", "Accuracy", "Stayed", "Positions used"} <= names
        assert ("Technician", "Ana Sousa") in told
        assert dict(told)["Accuracy"] == "8 m"


async def test_only_the_step_that_was_seen_is_undone(office: Office, journey: Journey, clock: SetClock) -> None:
    """Who takes back an arrival, when the work has begun meanwhile, takes back nothing and reads so."""
    phone = await office.firm.phone()
    job_id = await office.firm.job(phone.device.technician_id)
    kinds = (TapKind.shift_start, TapKind.en_route, TapKind.arrived)
    taps = [phone.tap(clock.now_s + at, kind, job_id) for at, kind in enumerate(kinds)]
    clock.now_s += 10
    await journey.accept(phone.delivery(clock.now_s, taps=taps))
    page = await office.browser.get(f"/board?job={job_id}")
    form = page.text.split(f'action="/board/jobs/{job_id}/undo"')[1].split("</form>")[0]
    seen = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form))
    await journey.accept(phone.delivery(clock.now_s, taps=[phone.tap(clock.now_s, TapKind.start, job_id)]))
    late = await office.browser.post(f"/board/jobs/{job_id}/undo", **seen)
    assert (late.status_code, "At work" in late.text) == (409, True)
    assert (await job_row(office.firm, job_id)).state == "in_progress"


async def test_a_job_is_made_by_a_form(office: Office, now_s: float) -> None:
    """Its window is in the firm's time zone; what is missing is said, and what was typed is kept."""
    form = {"customer": "Maria Lopes", "title": "Leaking tap", "address": "Rua 1", "lat": "41.1496", "lon": "-8.6109"}
    for wrong, said in (
        ({"lat": "91"}, "Where is the door"),
        ({"lat": "NaN"}, "Where is the door"),
        ({"begins": "2026-11-22T14:00"}, "The window needs"),
        ({"begins": "2026-11-22T14:00", "ends": "2026-11-22T13:00"}, "The window needs"),
        ({"begins": "9999999-01-01T14:00", "ends": "x"}, "The window needs"),
        ({"begins": "9999-12-31T20:00", "ends": "9999-12-31T23:59"}, "years away"),
        ({"begins": "2025-07-01T14:00", "ends": "2025-07-01T16:00"}, "over already"),
        ({"begins": "0001-01-01T00:00", "ends": "0001-01-01T01:00"}, "over already"),
        ({"customer": " "}, "Who is the customer"),
    ):
        page = await office.browser.post("/board/jobs/new", **{**form, **wrong})
        assert (page.status_code, said in page.text, "Leaking tap" in page.text) == (422, True, True)
    summer = f"{datetime.fromtimestamp(now_s, UTC).year + 1}-07-01"
    made = await office.browser.post("/board/jobs/new", **form, begins=f"{summer}T14:00", ends=f"{summer}T16:00")
    assert made.status_code == 303
    page = await office.browser.get(made.headers["location"])
    assert re.search(r"2:00\W+4:00\WPM", page.text)
    (promise,) = await rows(office.firm, "promise")
    assert promise.earliest.isoformat() == f"{summer}T13:00:00+00:00", "Lisbon is an hour ahead in summer"
    drafted = await office.browser.post("/board/jobs/new", **form)
    assert "No window yet" in (await office.browser.get(drafted.headers["location"])).text


async def test_a_form_sent_twice_makes_one_job(office: Office, now_s: float) -> None:
    """A double click makes one job and one message; the same page gone back to, and changed, makes another job."""
    day = datetime.fromtimestamp(now_s + 86_400, UTC).date().isoformat()
    page = await office.browser.get("/board/jobs/new")
    form = dict(re.findall(r'name="(id)" value="([0-9a-f-]{36})"', page.text))
    form |= {"customer": "Maria Lopes", "title": "Leaking tap", "email": "maria@x.example"}
    form |= {"lat": "41.1", "lon": "-8.6", "begins": f"{day}T14:00", "ends": f"{day}T16:00"}
    made = await asyncio.gather(*(office.browser.post("/board/jobs/new", **form) for _ in range(3)))
    assert len({answer.headers["location"] for answer in made}) == 1
    assert [len(await rows(office.firm, table)) for table in ("job", "customer", "message")] == [1, 1, 1]
    for change in ({"title": "Boiler service"}, {"ends": f"{day}T18:00"}):
        assert (await office.browser.post("/board/jobs/new", **form | change)).status_code == 303
    assert len(await rows(office.firm, "job")) == 3


async def test_a_technician_is_made_and_paired(office: Office) -> None:
    """The code is shown once, pairs one phone, and a lost phone is shut out."""
    made = await office.browser.post("/board/technicians", name="Ana Sousa", vehicle="white van", plate="12-AB-34")
    technician_id = UUID(hex=made.headers["location"].partition("#technician-")[2])
    page = await office.browser.post(f"/board/technicians/{technician_id}/pair")
    code = re.sub(r"\s", "", re.findall(r'<bdi dir="ltr">([2-9A-Z]{4} [2-9A-Z]{4})</bdi>', page.text)[0])
    assert code not in (await office.browser.get("/board/technicians")).text.replace(" ", "")
    paired = await office.browser.client.post("/v1/devices", json={"code": code, "name": "phone"})
    assert paired.status_code == 201
    assert "Phone lost" in (await office.browser.get("/board/technicians")).text
    await office.browser.post(f"/board/technicians/{technician_id}/revoke")
    assert all(row.revoked_at for row in await rows(office.firm, "device"))


async def test_a_code_is_shown_for_cameras_and_for_fingers(office: Office) -> None:
    """The QR code holds the service's address with the code behind it, as the phone's core reads it."""
    technician_id = (await office.firm.phone()).device.technician_id
    page = await office.browser.post(f"/board/technicians/{technician_id}/pair")
    code = re.findall(r'<bdi dir="ltr">([2-9A-Z]{4} [2-9A-Z]{4})</bdi>', page.text)[0].replace(" ", "")
    picture = html.unescape(re.findall(r'<img src="(data:image/svg[^"]+)"', page.text)[0])
    assert picture == as_picture(f"http://doorstep.test/#{code}")
    assert read_invitation(f"https://doorstep.test/#{code}").code == code


async def test_what_a_technician_says_stands_on_the_board(
    office: Office, journey: Journey, clock: SetClock, now_s: float
) -> None:
    """Late, waiting, why not, and their notes with who wrote them."""
    phone = await office.firm.phone()
    job_id = await office.firm.job(phone.device.technician_id)
    clock.now_s += 60
    start = phone.tap(now_s, TapKind.shift_start)
    late = phone.tap(now_s + 1, TapKind.late, job_id, minutes=25)
    await journey.accept(phone.delivery(clock.now_s, taps=[start, late]))
    page = words_of(await office.browser.get(f"/board?job={job_id}"))
    assert "says 25 min late" in page
    arrived = phone.tap(now_s + 10, TapKind.arrived, job_id)
    waits = phone.tap(now_s + 20, TapKind.not_home, job_id)
    note = phone.tap(now_s + 30, TapKind.note, job_id, text="<i>valve</i> behind the fridge")
    await journey.accept(phone.delivery(clock.now_s, taps=[arrived, waits, note]))
    page = await office.browser.get(f"/board?job={job_id}")
    assert "waits since" in words_of(page)
    assert "the technician" in words_of(page)
    assert "&lt;i&gt;valve&lt;/i&gt; behind the fridge" in page.text
    gone = phone.tap(now_s + 58, TapKind.no_access, job_id, reason="nobody_home")
    await journey.accept(phone.delivery(clock.now_s, taps=[gone]))
    page = words_of(await office.browser.get(f"/board?job={job_id}"))
    assert "nobody at home" in page
    assert "Waited 1 min" in page
    assert "waits since" not in page


async def test_the_inbox_holds_what_waits_for_somebody(office: Office, now_s: float) -> None:
    """Customers' notes and failed messages, until each is handled, once."""
    job_id = await office.firm.job()
    note = Note(uuid4(), job_id, NoteKind.cannot_find, Author.customer, None, "by the <b>red</b> gate", now_s - 90)
    async with transaction(office.firm.engine, office.firm.organisation_id) as connection:
        await insert_note(connection, office.firm.organisation_id, note)
        await connection.execute(message.update().values(state="failed", reason="mailbox full"))
    (failed,) = await rows(office.firm, "message")
    page = await office.browser.get("/board")
    for said in ("by the &lt;b&gt;red&lt;/b&gt; gate", "1 min ago", "Message not delivered", "mailbox full"):
        assert said in page.text
    assert "Nobody goes there yet" in page.text
    assert (await office.browser.post(f"/board/messages/{failed.id}/retry")).status_code == 303
    assert {row.state for row in await rows(office.firm, "message")} == {"owed"}
    assert (await office.browser.post(f"/board/messages/{failed.id}/retry")).status_code == 404
    handled = f"/board/messages/{failed.id}/handled"
    assert (await office.browser.post(handled)).status_code == 404, "it is not failed now, and may fail again"
    async with transaction(office.firm.engine, office.firm.organisation_id) as connection:
        await connection.execute(message.update().values(state="failed", settled_at=sa.func.now()))
    assert "Message not delivered" in (await office.browser.get("/board")).text
    for path in (f"/board/notes/{note.id}/handled", handled):
        answer = await office.browser.post(path, back="/board?job=1")
        assert answer.status_code == 303, (path, words_of(answer))
        assert answer.headers["location"] == "/board?job=1"
        assert (await office.browser.post(path, back="//evil.example")).status_code == 404
    (seen_to,) = await rows(office.firm, "message")
    assert seen_to.handled_by == f"staff:{office.staff_id}"
    await office.browser.post(f"/board/jobs/{job_id}/cancel")
    assert "Nothing waits for you." in (await office.browser.get("/board")).text


async def test_the_page_is_seen_as_the_customer_sees_it(office: Office, clock: SetClock) -> None:
    """Through a link of its own that ends within the hour; another one is made to be sent."""
    job_id = await office.firm.job()
    seen = await office.browser.post(f"/board/jobs/{job_id}/see")
    shown = await office.browser.get(seen.headers["location"], follow_redirects=True)
    assert (shown.status_code, "Your visit is booked" in shown.text) == (200, True)
    page = await office.browser.get(f"/board?job={job_id}")
    contact = re.findall(r'name="contact" value="([^"]+)"', page.text)[0]
    sent = await office.browser.post(f"/board/jobs/{job_id}/link", contact=contact)
    token = re.findall(r"/t/([^\"]+)", sent.text)[0]
    clock.now_s += 3601
    assert (await office.browser.get(seen.headers["location"])).status_code == 410
    assert (await office.browser.get(f"/t/{token}")).status_code == 303


async def test_days_and_searches_show_what_they_are_asked_for(office: Office, now_s: float) -> None:
    """Today's board has today's jobs and what is left over; nonsense is as if it were not there."""
    ahead = Firm(office.firm.engine, office.firm.organisation_id, now_s + 3 * 86_400)
    behind = Firm(office.firm.engine, office.firm.organisation_id, now_s - 3 * 86_400)
    today, later, earlier = await office.firm.job(), await ahead.job(), await behind.job()

    async def shown(query: str) -> set[UUID]:
        page = await office.browser.get(f"/board{query}")
        return {job_id for job_id in (today, later, earlier) if f"job-{job_id.hex}" in page.text}

    assert await shown("") == {today, earlier}
    assert "min late" in (await office.browser.get("/board")).text
    for nonsense in ("?day=yesterday", "?day=9999-12-31", "?day=0001-01-01", "?q="):
        assert await shown(nonsense) == {today, earlier}
    assert await shown("?q=maria") == {today, earlier}
    assert await shown("?q=nobody") == set()


async def test_no_page_is_made_anew_while_somebody_types(office: Office) -> None:
    """Without script the board reads itself anew every minute, but not with a job open: its forms hold text."""
    job_id = await office.firm.job()
    assert 'http-equiv="refresh"' in (await office.browser.get("/board")).text
    for path in (f"/board?job={job_id}", "/board/jobs/new", "/board/technicians"):
        assert 'http-equiv="refresh"' not in (await office.browser.get(path)).text


async def test_a_viewer_sees_everything_and_does_nothing(office: Office, engine: AsyncEngine, clock: SetClock) -> None:
    """The page has no forms for what the role does not allow."""
    job_id = await office.firm.job()
    office.browser.wear(await begin_session(engine, await hire(office.firm, Role.viewer), clock.now_s))
    page = await office.browser.get(f"/board?job={job_id}")
    assert page.status_code == 200
    assert "/assign" not in page.text
    assert "New job" not in page.text


async def test_two_dispatchers_at_once_have_one_winner(office: Office) -> None:
    """Whoever commits first; the other is told, and the job has one technician."""
    phones = [await office.firm.phone(name) for name in ("Ana", "Rui")]
    for _ in range(10):
        job_id = await office.firm.job()
        answers = await asyncio.gather(
            *(
                office.browser.post(
                    f"/board/jobs/{job_id}/assign", technician=str(phone.device.technician_id), assignment="0"
                )
                for phone in phones
            )
        )
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        assert (await job_row(office.firm, job_id)).assignment == 1


async def test_a_big_board_is_read_less_often(
    office: Office, engine: AsyncEngine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes meanwhile is told with the next read; a small one is read at once."""
    boards = WatchedBoards(engine, clock)
    today = looking_at(QueryParams(""), "Europe/Lisbon", clock.now_s)
    with boards.watch(office.firm.organisation_id, today.day) as (watched, _):
        await office.firm.job()
        board = await boards.board(watched)
        watched.stale = True
        assert await boards.board(watched) is not board
        monkeypatch.setattr(dispatcher, "EVERY_S_PER_LINE", 60.0)
        watched.stale = True
        board = await boards.board(watched)
        assert await boards.board(watched) is board
        monkeypatch.undo()
        assert await boards.board(watched) is not board


async def test_a_big_update_is_written_in_pieces() -> None:
    """Of one whose reader takes nothing, one piece is held; put together they are the update."""
    sent: list[bytes] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["body"])

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError

    reader = Reader({}, receive, send)
    stream = _Stream(*[None] * 6, reader)  # type: ignore[arg-type]
    rows = {f"row-{n}": f"<b>Ünïcode “{n}”</b>" * 40 for n in range(200)}
    await stream._event("rows", {"jobs": {"order": list(rows), "rows": rows}})
    assert len(sent) > 4
    assert max(map(len, sent)) < 2 * PIECE_CHARACTERS
    name, data, *end = b"".join(sent).decode().split("\n")
    assert (name, end) == ("event: rows", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {"jobs": {"order": list(rows), "rows": rows}}


async def test_rows_are_made_once_for_all_who_see_the_same(
    office: Office, engine: AsyncEngine, clock: SetClock
) -> None:
    """However many look; but anew after a change, and apart for another language, role, search or job."""
    job_id = await office.firm.job()
    made: list[tuple[str, str]] = []

    class Pages:
        async def looking(self, request: object, session: object) -> Looking:
            raise AssertionError

        async def rows(self, session: Session, looking: Looking, language: str, board: Board) -> dict[str, Rows]:
            made.append((session.staff.role, language))
            return {"jobs": [("row", f"{language} {session.staff.role}")]}

    sent: list[bytes] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["body"])

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError

    boards = WatchedBoards(engine, clock)
    today = looking_at(QueryParams(""), "Europe/Lisbon", clock.now_s)
    opened = looking_at(QueryParams(f"job={job_id}"), "Europe/Lisbon", clock.now_s)
    sessions = {role: Session(uuid4(), await hire(office.firm, role, email=f"{role}@x.example"), 0, 0) for role in Role}
    with boards.watch(office.firm.organisation_id, today.day) as (watched, news):
        for n, looking, role, language in (
            (1, today, Role.dispatcher, "en"),
            (1, today, Role.dispatcher, "en"),
            (2, today, Role.dispatcher, "th"),
            (3, today, Role.viewer, "en"),
            (4, opened, Role.dispatcher, "en"),
            (4, opened, Role.dispatcher, "en"),
        ):
            stream = _Stream(None, boards, Pages(), clock, watched, news, Reader({}, receive, send))  # type: ignore[arg-type]
            await stream._tell(sessions[role], looking, language)
            assert (len(made), f"{language} {role}".encode() in b"".join(sent)) == (n, True)
        watched.stale = True
        await stream._tell(sessions[Role.dispatcher], opened, "en")
        assert len(made) == 5
