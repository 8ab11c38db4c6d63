"""Who sees what through the real service: one link, one technician, one drive."""

from __future__ import annotations

import asyncio
import signal
import time
from uuid import UUID

import httpx
import sqlalchemy as sa

from tests.support.firm import Firm, Phone, noon_zone
from tests.support.server import Server, enter_link, page_stream, send
from tracking_server import links
from tracking_server.domain.events import TapKind
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.schema import link


async def enter(client: httpx.AsyncClient, firm: Firm, job_id: UUID) -> tuple[str, str]:
    """Open a link; returns its token and its id."""
    token = await firm.link(job_id)
    return token, await enter_link(client, token)


async def set_off(client: httpx.AsyncClient, phone: Phone, job_id: UUID, at_s: float, now_s: float) -> None:
    taps = [phone.tap(at_s - 1, TapKind.shift_start), phone.tap(at_s, TapKind.en_route, job_id)]
    await send(client, phone, phone.delivery(now_s, taps=taps))


async def test_a_reassigned_technician_is_not_seen_any_more(
    client: httpx.AsyncClient, firm: Firm, now_s: float
) -> None:
    """Not one position after the commit, though nobody tells the open stream of it."""
    first, second = await firm.phone("Ana Sousa"), await firm.phone("Rui Costa")
    job_id = await firm.job(first.device.technician_id)
    _, link_id = await enter(client, firm, job_id)
    async with page_stream(client, link_id) as page:
        await set_off(client, first, job_id, now_s - 100, now_s)
        await send(client, first, first.delivery(now_s, [first.fix(now_s - 90, 3000.0, accuracy_m=8.0)]))
        await page.until("on the way to you")
        await page.until_position()
        await firm.assign(job_id, second.device.technician_id, now_s)
        for age_s in (80, 70, 60):
            fix = first.fix(now_s - age_s, 3000.0 - 10 * age_s, accuracy_m=8.0)
            assert (await send(client, first, first.delivery(now_s, [fix]))).status_code == 200
        await page.until("Your visit is booked")
        await asyncio.sleep(0.3)
        assert len(page.positions) == 1
        assert "Ana Sousa" not in page.status


async def test_a_position_from_before_the_drive_is_not_shown(
    client: httpx.AsyncClient, firm: Firm, now_s: float
) -> None:
    """Where the technician was when they set off is another customer's home; the first of the drive is shown."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    _, link_id = await enter(client, firm, job_id)
    taps = [phone.tap(now_s - 100, TapKind.shift_start)]
    before = [phone.fix(now_s - 60, 3000.0, accuracy_m=8.0)]
    await send(client, phone, phone.delivery(now_s, before, taps))
    async with page_stream(client, link_id) as page:
        taps = [phone.tap(now_s - 30, TapKind.en_route, job_id)]
        await send(client, phone, phone.delivery(now_s, taps=taps))
        await page.until("on the way to you")
        assert "The position is not shown at the moment." in page.status
        assert page.positions == []
        await send(client, phone, phone.delivery(now_s, [phone.fix(now_s - 20, 2900.0, accuracy_m=8.0)]))
        await page.until_position()
        assert [position["age_s"] < 40 for position in page.positions] == [True]


async def test_a_visit_of_another_day_is_not_today(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """An open shift makes only today's visits today's."""
    phone = await firm.phone()
    pages = {}
    for days in (0, 1):
        later = Firm(firm.engine, firm.organisation_id, firm.now_s + days * 86_400)
        job_id = await later.job(time_zone=noon_zone(now_s))
        await firm.assign(job_id, phone.device.technician_id, now_s - 500)
        pages[days] = (await enter(client, firm, job_id))[1]
    await send(client, phone, phone.delivery(now_s, taps=[phone.tap(now_s - 100, TapKind.shift_start)]))
    assert "comes to you today" in (await client.get(f"/j/{pages[0]}")).text
    assert "Your visit is booked" in (await client.get(f"/j/{pages[1]}")).text


async def test_an_expired_link_says_no_more_than_an_unknown_one(
    client: httpx.AsyncClient, firm: Firm, now_s: float
) -> None:
    """The same bytes on all three paths, no cookie, no status."""
    token, link_id = await enter(client, firm, await firm.job())
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await connection.execute(link.update().values(expires_at=to_time(now_s - 1)))
    unknown = await client.get("/j/00000000000000000000000000000000")
    for path in (f"/t/{token}", f"/j/{link_id}", f"/j/{link_id}/updates"):
        answer = await client.get(path)
        assert (answer.status_code, answer.content) == (410, unknown.content)
        assert "set-cookie" not in answer.headers


async def test_a_revoked_link_ends_its_open_streams(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """Within the comparison's three seconds, even when nothing was published; the other link lives on."""
    job_id = await firm.job()
    _, other_id = await enter(client, firm, job_id)
    token, link_id = await enter(client, firm, job_id)
    async with page_stream(client, link_id) as page, page_stream(client, other_id) as other:
        await page.until("Your visit is booked")
        async with transaction(firm.engine, firm.organisation_id) as connection:
            change = await links.revoke_link(connection, firm.organisation_id, UUID(link_id), now_s)
            version = await connection.scalar(sa.text("SELECT version FROM job"))
        assert change is not None
        assert change.version == version
        await page.until_closed(4.0)
        assert page.updates[-1].name == "end"
        assert not other.closed
    assert (await client.get(f"/t/{token}")).status_code == 410
    assert (await client.get(f"/j/{link_id}")).status_code == 410


async def test_a_finished_visit_can_be_undone_before_open_pages(
    client: httpx.AsyncClient, firm: Firm, now_s: float
) -> None:
    """The stream of a completed job stays open and tells what is true again."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    _, link_id = await enter(client, firm, job_id)
    async with page_stream(client, link_id) as page:
        taps = [phone.tap(now_s - 50, TapKind.shift_start), phone.tap(now_s - 40, TapKind.start, job_id)]
        taps.append(phone.tap(now_s - 30, TapKind.done, job_id))
        await send(client, phone, phone.delivery(now_s, taps=taps))
        await page.until("The work is done")
        await send(client, phone, phone.delivery(now_s, taps=[phone.tap(now_s - 20, TapKind.undo, job_id)]))
        await page.until("is at work")
        assert not page.closed


async def test_another_program_s_odd_cookie_locks_nobody_out(client: httpx.AsyncClient, firm: Firm) -> None:
    """Cookies are not only ours on a host."""
    token, link_id = await enter(client, firm, await firm.job())
    client.cookies.clear()
    odd = f'settings={{"a":[1,2]}}; näive=1; broken"; j-{link_id}={token}; other=x'
    page = await client.get(f"/j/{link_id}", headers={"cookie": odd.encode()})
    assert page.status_code == 200


async def test_the_service_stops_at_once_with_pages_open(server: Server, client: httpx.AsyncClient, firm: Firm) -> None:
    """The stream ends without `end`, so that the page connects again."""
    _, link_id = await enter(client, firm, await firm.job())
    async with page_stream(client, link_id) as page:
        await page.until("Your visit is booked")
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.process.wait, 10)
        assert time.monotonic() - begun < 2.0
        await page.until_closed(1.0)
        assert page.updates[-1].name == "status"


async def test_positions_are_pushed_as_they_come(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """Each new fix of the drive reaches the page by itself, long before the next comparison with the store."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    _, link_id = await enter(client, firm, job_id)
    async with page_stream(client, link_id) as page:
        await set_off(client, phone, job_id, now_s - 100, now_s)
        await page.until("on the way to you")
        for n in range(12):
            fix = phone.fix(now_s - 50 + n, 3000.0 - 10 * n, accuracy_m=8.0)
            await send(client, phone, phone.delivery(now_s, [fix]))
            await page.until_position_at(fix.lat)
    assert len(page.positions) >= 12
