"""One technician, one job, one customer, through the real service over HTTP."""

from __future__ import annotations

import httpx

from tests.support.firm import Firm, drive_north_to_door, noon_zone
from tests.support.rows import count
from tests.support.server import PageStream, enter_link, page_stream, send
from tracking_server.domain.events import TapKind


async def is_as_fresh(client: httpx.AsyncClient, link_id: str, page: PageStream, wanted: str) -> None:
    """Wait for words; then what the stream left on the page is what a fresh page says."""
    await page.until(wanted)
    fresh = (await client.get(f"/j/{link_id}")).text
    assert page.status.strip() in fresh


async def test_a_customer_sees_the_drive_and_the_arrival(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """From the link to the door: the position only while the technician drives, the arrival at its own time."""
    phone = await firm.phone("Ana Sousa")
    job_id = await firm.job(phone.device.technician_id, time_zone=noon_zone(now_s))
    start_s = now_s - 290  # the drive ends now
    link_id = await enter_link(client, await firm.link(job_id))
    assert "Your visit is booked" in (await client.get(f"/j/{link_id}")).text

    async with page_stream(client, link_id) as page:
        await is_as_fresh(client, link_id, page, "Your visit is booked")
        taps = [phone.tap(start_s - 2, TapKind.shift_start)]
        assert (await send(client, phone, phone.delivery(now_s, taps=taps))).json()["ack"] == [[1, 1]]
        await is_as_fresh(client, link_id, page, "<bdi>Ana</bdi> comes to you today")
        assert page.positions == []

        taps = [phone.tap(start_s - 1, TapKind.en_route, job_id)]
        await send(client, phone, phone.delivery(now_s, taps=taps))
        await is_as_fresh(client, link_id, page, "is on the way to you")

        drive = drive_north_to_door(phone, start_s)
        moving = [fix for fix in drive if fix.speed_mps]
        answer = await send(client, phone, phone.delivery(now_s, moving))
        assert answer.json()["verdicts"] == {}
        await is_as_fresh(client, link_id, page, "arriving now")
        await send(client, phone, phone.delivery(now_s, drive[len(moving) :]))
        await is_as_fresh(client, link_id, page, "is at your door")
        seen = len(page.positions)
        assert seen >= 1

        taps = [phone.tap(drive[-1].time_s + 1, TapKind.start, job_id)]
        await send(client, phone, phone.delivery(now_s, taps=taps))
        await is_as_fresh(client, link_id, page, "is at work")
        taps = [phone.tap(drive[-1].time_s + 2, TapKind.done, job_id)]
        await send(client, phone, phone.delivery(now_s, taps=taps))
        await is_as_fresh(client, link_id, page, "The work is done")

        assert len(page.positions) == seen, "no position outside the drive"
    assert await count(firm, "fix") == len(drive)


async def test_a_link_keeps_the_language_it_was_opened_in(client: httpx.AsyncClient, firm: Firm) -> None:
    """`?lang=` first, else what the browser prefers, else English."""
    token = await firm.link(await firm.job())
    for asked, accepts, language, direction in (
        ("ar", "en", "ar", "rtl"),
        ("th", "en", "th", "ltr"),
        ("xx", "th-TH,en;q=0.5", "th", "ltr"),
        (None, "ar-EG, en;q=0.8", "ar", "rtl"),
        (None, "fi", "en", "ltr"),
    ):
        parameters = {"lang": asked} if asked else {}
        page = await client.get(
            f"/t/{token}", params=parameters, headers={"accept-language": accepts}, follow_redirects=True
        )
        assert f'<html lang="{language}" dir="{direction}">' in page.text


async def test_an_unknown_link_and_a_foreign_cookie_open_nothing(client: httpx.AsyncClient, firm: Firm) -> None:
    """410 with the same bytes, whether the link never was, is somebody else's, or comes without its cookie."""
    phone = await firm.phone()
    token = await firm.link(await firm.job(phone.device.technician_id))
    link_id = await enter_link(client, token)
    client.cookies.clear()
    without_cookie = await client.get(f"/j/{link_id}")
    unknown_token = await client.get(f"/t/{token[:-1]}x")
    unknown_link = await client.get("/j/00000000000000000000000000000000")
    assert {answer.status_code for answer in (without_cookie, unknown_token, unknown_link)} == {410}
    assert without_cookie.content == unknown_token.content == unknown_link.content


async def test_a_phone_is_paired_once_by_its_code(client: httpx.AsyncClient, firm: Firm) -> None:
    """A code gives one key; the key sends fixes; the code is then used up."""
    code = await firm.pairing_code()
    paired = await client.post("/v1/devices", json={"code": f"{code[:4]}-{code[4:]}".lower(), "name": "Ana's phone"})
    assert paired.status_code == 201
    key = paired.json()["key"]
    body = {"stream": 20_000 << 20, "fixes": []}
    assert (await client.post("/v1/fixes", json=body, headers={"authorization": f"Bearer {key}"})).status_code == 200
    assert (await client.post("/v1/fixes", json=body, headers={"authorization": f"Bearer {key}x"})).status_code == 401
    assert (await client.post("/v1/devices", json={"code": code, "name": "thief"})).status_code == 404
