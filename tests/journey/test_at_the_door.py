"""What happens at a door, from the technician's phone to the customer's open page."""

from __future__ import annotations

import hashlib
import io
from typing import Any
from uuid import UUID, uuid4

import httpx
from PIL import Image

from tests.support.firm import Firm, Phone
from tests.support.rows import rows
from tests.support.server import Server, body_of, enter_link, page_stream, send
from tracking_server.domain.events import TapKind
from tracking_server.push.render import note_name
from tracking_server.store.engine import to_time, transaction
from tracking_server.store.schema import promise


async def tap(client: httpx.AsyncClient, phone: Phone, at_s: float, kind: TapKind, job_id: UUID, **said: Any) -> None:
    """As the phone sends it, with its words."""
    body = body_of(phone.delivery(at_s, taps=[phone.tap(at_s, kind, job_id)]))
    body["taps"][0] |= said
    answer = await client.post("/v1/fixes", json=body, headers={"authorization": f"Bearer {phone.key}"})
    assert answer.json()["verdicts"] == {}, kind


async def photograph(client: httpx.AsyncClient, phone: Phone, job_id: UUID, kind: str, at_s: float) -> UUID:
    id_, written = uuid4(), io.BytesIO()
    Image.new("RGB", (300, 200), "teal").save(written, "JPEG")
    data = written.getvalue()
    headers = {
        "authorization": f"Bearer {phone.key}",
        "content-type": "image/jpeg",
        "content-range": f"bytes 0-{len(data) - 1}/{len(data)}",
        "x-job": str(job_id),
        "x-kind": kind,
        "x-made-at": str(at_s),
        "x-sha256": hashlib.sha256(data).hexdigest(),
    }
    answer = await client.put(f"/v1/files/{id_}", content=data, headers=headers)
    assert answer.json()["sha256"] == headers["x-sha256"]
    return id_


async def on_shift(client: httpx.AsyncClient, firm: Firm, now_s: float) -> Phone:
    phone = await firm.phone()
    await send(client, phone, phone.delivery(now_s, taps=[phone.tap(now_s - 300, TapKind.shift_start)]))
    return phone


async def test_a_customer_sees_that_the_technician_has_their_note(
    server: Server, client: httpx.AsyncClient, firm: Firm, now_s: float
) -> None:
    """On their open page, once the phone has stored it, and not a moment earlier."""
    phone = await on_shift(client, firm, now_s)
    job_id = await firm.job(phone.device.technician_id)
    link_id = await enter_link(client, await firm.link(job_id))
    origin = {"origin": server.url, "sec-fetch-site": "same-origin"}
    await client.post(f"/j/{link_id}/note", data={"text": "the bell is broken"}, headers=origin)
    (note,) = await rows(firm, "note")
    mine = f'data-reached="{note_name(note.id)}"'
    key = {"authorization": f"Bearer {phone.key}"}
    async with page_stream(client, link_id) as page:
        await page.until('data-reached=""')
        tag = (await client.get("/v1/jobs", headers=key)).headers["etag"]
        assert "has it on their phone" not in text_of(await client.get(f"/j/{link_id}"))
        await client.get("/v1/jobs", headers=key | {"if-none-match": tag})
        await page.until(mine)
        assert "Ana\u2069 has it on their phone" in page.status
    assert "<bdi>Ana</bdi> has it on their phone" in text_of(await client.get(f"/j/{link_id}"))


def text_of(page: httpx.Response) -> str:
    """A page's own part, without what is said for later."""
    return page.text[page.text.index('class="card words notes"') :]


async def test_nobody_opens_then_somebody_does(
    server: Server, client: httpx.AsyncClient, firm: Firm, now_s: float
) -> None:
    """The page says that the technician waits, until they are let in; then what they could not do, and why."""
    phone = await on_shift(client, firm, now_s)
    job_id = await firm.job(phone.device.technician_id)
    async with page_stream(client, await enter_link(client, await firm.link(job_id))) as page:
        await tap(client, phone, now_s - 200, TapKind.arrived, job_id)
        await tap(client, phone, now_s - 100, TapKind.not_home, job_id)
        await page.until("nobody has opened yet")
        await tap(client, phone, now_s - 50, TapKind.start, job_id)
        await page.until("is at work")
        assert "nobody has opened" not in page.status
        await tap(client, phone, now_s - 40, TapKind.no_access, job_id, reason="part_missing", text="he was rude")
        await page.until("A part that is needed was missing.")
        assert "We could not do the work" in page.status
        assert "rude" not in page.status
        await tap(client, phone, now_s - 30, TapKind.undo, job_id)
        await page.until("is at work")
        await tap(client, phone, now_s - 20, TapKind.no_access, job_id, reason="<b>mine</b>")
        await page.until("We could not get in")
        assert "mine" not in page.status


async def test_who_never_came_was_not_at_the_door(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """A visit that is given up on the way, as a part is missing: the page says when and why, and not that somebody was
    there. Who was there is said to have been."""
    phone = await on_shift(client, firm, now_s)
    job_id = await firm.job(phone.device.technician_id)
    async with page_stream(client, await enter_link(client, await firm.link(job_id))) as page:
        await tap(client, phone, now_s - 200, TapKind.no_access, job_id, reason="part_missing")
        await page.until("A part that is needed was missing.")
        assert "at your door" not in page.status
        await tap(client, phone, now_s - 100, TapKind.undo, job_id)
        await page.until("Ana")
        await tap(client, phone, now_s - 50, TapKind.arrived, job_id)
        await tap(client, phone, now_s - 40, TapKind.no_access, job_id, reason="nobody_home")
        await page.until("We were at your door at")


async def test_late_is_told_as_a_new_window(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """The old window is struck out on the page, and one message is owed for it, however often it is tapped."""
    phone = await on_shift(client, firm, now_s)
    job_id = await firm.job(phone.device.technician_id)
    async with page_stream(client, await enter_link(client, await firm.link(job_id))) as page:
        await tap(client, phone, now_s - 20, TapKind.late, job_id, minutes=25)
        await page.until("later than planned")
        assert "<s>" in page.status
        again = body_of(phone.delivery(now_s, taps=[phone.tap(now_s - 10, TapKind.late, job_id)]))
        again["taps"][0] |= {"minutes": 25}
        answer = await client.post("/v1/fixes", json=again, headers={"authorization": f"Bearer {phone.key}"})
        assert list(answer.json()["verdicts"].values()) == ["not_now"]
    assert [row.kind for row in await rows(firm, "message") if row.kind == "delayed"] == ["delayed"]


async def test_photos_and_signature_are_on_the_finished_visits_page(
    client: httpx.AsyncClient, firm: Firm, now_s: float
) -> None:
    """Live, for this link alone, and only while the page itself shows the finished visit; as pictures and no more."""
    phone = await on_shift(client, firm, now_s)
    job_id = await firm.job(phone.device.technician_id)
    neighbour = await firm.job(phone.device.technician_id)
    link_id = await enter_link(client, await firm.link(job_id))
    theirs = await enter_link(client, await firm.link(neighbour))
    photo = await photograph(client, phone, job_id, "photo", now_s)
    async with page_stream(client, link_id) as page:
        await tap(client, phone, now_s - 100, TapKind.start, job_id)
        await page.until("is at work")
        assert (await client.get(f"/j/{link_id}/proof/{photo.hex}")).status_code == 404
        await tap(client, phone, now_s - 50, TapKind.done, job_id)
        await page.until(f"/proof/{photo.hex}")
        signature = await photograph(client, phone, job_id, "signature", now_s)
        await page.until("Photos and signature")
        assert f'/j/{link_id}/proof/{signature.hex}" alt="Signature"' in page.status
        assert 'alt="Photo 1 of 1 of the work"' in page.status
        assert (await client.get(f"/j/{theirs}/proof/{photo.hex}")).status_code == 404
        shown = await client.get(f"/j/{link_id}/proof/{photo.hex}")
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
        assert shown.headers["cache-control"] == "no-store"
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert shown.headers["content-security-policy"] == "default-src 'none'; sandbox"
        await tap(client, phone, now_s - 40, TapKind.undo, job_id)
        await page.until("is at work")
        assert "/proof/" not in page.status
        assert (await client.get(f"/j/{link_id}/proof/{photo.hex}")).status_code == 404
    client.cookies.clear()
    assert (await client.get(f"/j/{link_id}/proof/{photo.hex}", follow_redirects=True)).status_code == 410


async def test_a_promise_broken_twice_is_told_twice(client: httpx.AsyncClient, firm: Firm, now_s: float) -> None:
    """Nobody came, and nothing was known; then the technician says when: the page strikes out the window that was
    promised, and a second message is owed."""
    phone = await on_shift(client, firm, now_s)
    job_id = await firm.job(phone.device.technician_id)
    async with transaction(firm.engine, firm.organisation_id) as connection:
        window = {"earliest": to_time(now_s - 4_500), "latest": to_time(now_s - 900)}
        await connection.execute(promise.update().where(promise.c.job_id == job_id).values(**window))
    async with page_stream(client, await enter_link(client, await firm.link(job_id))) as page:
        await tap(client, phone, now_s - 30, TapKind.note, job_id, text="stuck")  # whatever makes it look at the clock
        await page.until("The new time will be on the page")
        await tap(client, phone, now_s - 20, TapKind.late, job_id, minutes=40)
        await page.until('<p class="window')
        assert "<s>" in page.status
    assert [row.kind for row in await rows(firm, "message") if row.kind == "delayed"] == ["delayed"] * 2
