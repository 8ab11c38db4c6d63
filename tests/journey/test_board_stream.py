"""The dispatcher's live board through the real service."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa

from tests.support.firm import Firm
from tests.support.server import PageStream, Server, send
from tests.support.staff import Browser, begin_session, hire
from tracking_server.domain.events import TapKind
from tracking_server.domain.note import Author, Note, NoteKind
from tracking_server.domain.role import Role
from tracking_server.store import accounts
from tracking_server.store.accounts import Staff
from tracking_server.store.engine import transaction
from tracking_server.store.notes import insert_note
from tracking_server.store.schema import device

SOON_S = 5.0


class Watching(PageStream):
    """What a board has heard, put together as the page does it."""

    @property
    def rows(self) -> dict[str, dict[str, str]]:
        lists: dict[str, dict[str, str]] = {}
        for update in self.updates:
            if update.name == "rows":
                for name, changed in update.facts.items():
                    known = {**lists.get(name, {}), **changed["rows"]}
                    lists[name] = {row: known[row] for row in changed["order"]}
        return lists

    @property
    def places(self) -> dict[str, dict[str, Any]]:
        told = [one for update in self.updates if update.name == "positions" for one in json.loads(update.data)]
        return {one["id"]: one for one in told}

    async def until_true(self, what: Any, within_s: float = SOON_S) -> None:
        """Wait until the board is so."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(what)


@asynccontextmanager
async def board_stream(client: httpx.AsyncClient, query: str = "") -> AsyncIterator[Watching]:
    stream = Watching()
    async with client.stream("GET", f"/board/updates{query}", timeout=None) as response:
        response.raise_for_status()
        reading = asyncio.create_task(stream._read(response))
        try:
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@pytest.fixture
async def staff(firm: Firm, client: httpx.AsyncClient) -> Staff:
    """Somebody signed in with the client."""
    staff = await hire(firm)
    Browser(client).wear(await begin_session(firm.engine, staff, time.time()))
    return staff


async def test_what_happens_is_on_the_board_at_once(
    client: httpx.AsyncClient, firm: Firm, staff: Staff, now_s: float
) -> None:
    """A tap moves a job to another group, a fix moves a marker, and only the rows that changed are sent."""
    phone, idle = await firm.phone("Ana Sousa"), await firm.phone("Rui Costa")
    job_id, other_id = await firm.job(phone.device.technician_id), await firm.job()
    row = f"job-{job_id.hex}"
    async with board_stream(client) as board:
        await board.until_true(lambda: row in board.rows.get("jobs", {}))
        taps = [phone.tap(now_s - 50, TapKind.shift_start), phone.tap(now_s - 40, TapKind.en_route, job_id)]
        fix = phone.fix(now_s - 20, 900.0, accuracy_m=8.0)
        await send(client, phone, phone.delivery(now_s, [fix], taps))
        await board.until_true(lambda: "On the way" in board.rows["jobs"][row])
        key = str(phone.device.technician_id)
        await board.until_true(lambda: board.places.get(key, {}).get("doing") == "driving")
        assert list(board.rows["jobs"])[:2] == ["group-unassigned", f"job-{other_id.hex}"]
        for n in range(1, 4):
            fix = phone.fix(now_s - 20 + n, 900.0 - 10 * n, accuracy_m=8.0)
            await send(client, phone, phone.delivery(now_s, [fix]))
            await board.until_true(lambda lat=fix.lat: board.places[key]["lat"] == round(lat, 6), 3.0)
        later = [update for update in board.updates if update.name == "rows"][1:]
        sent = {name for update in later for name in update.facts.get("technicians", {}).get("rows", {})}
        assert f"technician-{idle.device.technician_id.hex}" not in sent


async def test_the_rows_that_came_are_those_of_a_fresh_page(
    client: httpx.AsyncClient, firm: Firm, staff: Staff, now_s: float
) -> None:
    """Snapshot and updates together say what a page made anew says."""
    phone = await firm.phone()
    async with board_stream(client) as board:
        await board.until_true(lambda: "jobs" in board.rows)
        jobs = [await firm.job(phone.device.technician_id) for _ in range(3)]
        await firm.assign(jobs[1], (await firm.phone("Rui Costa")).device.technician_id, now_s)
        await board.until_true(lambda: "Rui Costa" in board.rows["jobs"].get(f"job-{jobs[1].hex}", ""))
        page = (await client.get("/board")).text
        for row, html in board.rows["jobs"].items():
            assert f'<div id="{row}" class="row">{html}</div>' in page


async def test_the_inbox_misses_nothing(client: httpx.AsyncClient, firm: Firm, staff: Staff, now_s: float) -> None:
    """A note about a visit of another day is there within seconds, though nobody tells the open board of it."""
    later = Firm(firm.engine, firm.organisation_id, now_s + 3 * 86_400)
    job_id = await later.job()
    async with board_stream(client) as board:
        await board.until_true(lambda: "inbox" in board.rows)
        note = Note(uuid4(), job_id, NoteKind.access, Author.customer, None, "by the red gate", now_s)
        async with transaction(firm.engine, firm.organisation_id) as connection:
            await insert_note(connection, firm.organisation_id, note)
        await board.until_true(lambda: "by the red gate" in board.rows["inbox"].get(f"note-{note.id.hex}", ""))


async def test_a_phone_that_is_paired_is_on_the_board(client: httpx.AsyncClient, firm: Firm, staff: Staff) -> None:
    """Who gave out the code sees that it was used; and that a phone was shut out."""
    phone = await firm.phone()
    row = f"technician-{phone.device.technician_id.hex}"
    async with board_stream(client) as board:
        await board.until_true(lambda: row in board.rows.get("technicians", {}))
        async with transaction(firm.engine, firm.organisation_id) as connection:
            await connection.execute(device.update().values(revoked_at=sa.func.now()))
        await board.until_true(lambda: "no phone paired" in board.rows["technicians"][row])
        async with transaction(firm.engine, firm.organisation_id) as connection:
            await connection.execute(device.update().values(revoked_at=None))
        await board.until_true(lambda: "no phone paired" not in board.rows["technicians"][row])


async def test_a06_a_dead_session_ends_its_open_board(client: httpx.AsyncClient, firm: Firm, staff: Staff) -> None:
    """Signed out elsewhere, shut out, or with another role: within five seconds, and nothing is sent after it."""
    owner = await hire(firm, Role.owner)

    async def signs_out() -> None:
        async with transaction(firm.engine, firm.organisation_id) as connection:
            await accounts.end_sessions(connection, firm.organisation_id, staff.id, time.time())

    async def loses_role() -> None:
        async with transaction(firm.engine, firm.organisation_id) as connection:
            await connection.execute(sa.text("UPDATE staff SET role = 'viewer' WHERE role = 'dispatcher'"))

    async def is_shut_out() -> None:
        async with transaction(firm.engine, firm.organisation_id) as connection:
            await accounts.disable(connection, firm.organisation_id, staff.id, time.time())

    assert owner.role is Role.owner
    for ends in (signs_out, loses_role, is_shut_out):
        Browser(client).wear(await begin_session(firm.engine, staff, time.time()))
        async with board_stream(client) as board:
            await board.until_true(lambda: "jobs" in board.rows)
            await ends()
            await board.until_closed(5.0)
            assert board.updates[-1].name == "end"
        if ends is loses_role:
            async with transaction(firm.engine, firm.organisation_id) as connection:
                await connection.execute(sa.text("UPDATE staff SET role = 'dispatcher' WHERE role = 'viewer'"))


async def test_a29_a_board_opens_to_its_own_pages_only(client: httpx.AsyncClient, staff: Staff, server: Server) -> None:
    """No session, or a page of somebody else's: refused before anything is read."""
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": server.url.replace("127.0.0.1", "127.0.0.1.evil.example")},
        {"sec-fetch-site": "cross-site"},
    ):
        assert (await client.get("/board/updates", headers=headers)).status_code == 403
    client.cookies.clear()
    assert (await client.get("/board/updates")).status_code == 401


async def test_another_firm_s_board_hears_nothing(client: httpx.AsyncClient, firm: Firm, staff: Staff) -> None:
    """What happens in one organisation wakes the boards of that one only."""
    other = await Firm.create(firm.engine, firm.now_s, "Another firm")
    async with board_stream(client) as board:
        await board.until_true(lambda: "jobs" in board.rows)
        phone = await other.phone("Secret Name")
        foreign, own = await other.job(phone.device.technician_id), await firm.job()
        await board.until_true(lambda: f"job-{own.hex}" in board.rows["jobs"])
        heard = " ".join(update.data for update in board.updates)
        assert foreign.hex not in heard
        assert "Secret Name" not in heard


async def test_the_service_stops_at_once_with_boards_open(
    client: httpx.AsyncClient, staff: Staff, server: Server
) -> None:
    """The stream ends without `end`, so that the page connects again."""
    async with board_stream(client) as board:
        await board.until_true(lambda: "jobs" in board.rows)
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, 10)
        await board.until_closed(2.0)
        assert board.updates[-1].name != "end"
