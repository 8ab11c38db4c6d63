"""The phone's own core on the real service's stream: batches, news, and what ends a stream."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tech_app.core.outbox import Outbox
from tech_app.core.tap import Tap, TapKind
from tech_app.core.websocket_line import WebSocketLine
from tests.support.firm import Firm, Phone, stream_of
from tests.support.phone_clock import SetPhoneClock
from tests.support.rows import count, job_row, rows
from tests.support.server import Server, serving
from tracking_server.embedded import Installation
from tracking_server.ingest.phones import MOST_REPLACED
from tracking_server.store import devices
from tracking_server.store.engine import transaction

EXAMPLES = Path(__file__).parents[1] / "contract" / "examples"


async def stream(server: Server, phone: Phone, **headers: str) -> ClientConnection:
    url = server.url.replace("http", "ws") + "/v1/stream"
    return await connect(url, additional_headers={"authorization": f"Bearer {phone.key}", **headers}, compression=None)


async def ask(connection: ClientConnection, body: str | bytes) -> dict[str, Any]:
    """Send and take the answer; news in between is passed over."""
    await connection.send(body)
    return await answer(connection)


async def answer(connection: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            said = dict(json.loads(await connection.recv()))
            if "news" not in said:
                return said


async def news(connection: ClientConnection, within_s: float = 6.0) -> None:
    async with asyncio.timeout(within_s):
        while "news" not in json.loads(await connection.recv()):
            pass


async def end_of(connection: ClientConnection, within_s: float = 5.0) -> int | None:
    """The code that a stream is closed with."""
    async with asyncio.timeout(within_s):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.recv()
    return connection.close_code


def body_of(id_: int, stream: int, first: int, time_s: float, fixes: int = 3) -> str:
    taps = [{"seq": first, "time": time_s, "kind": "shift_start"}]
    more = [{"seq": first + 1 + n, "time": time_s + n, "lat": 41.0, "lon": -8.6} for n in range(fixes)]
    return json.dumps({"id": id_, "stream": stream, "sent_at": time_s + fixes, "taps": taps, "fixes": more})


async def test_a_batch_is_answered_under_its_own_number(server: Server, firm: Firm, now_s: float) -> None:
    """As text and as gzip; two sent at once are both answered, in their order; sent again, all is kept once."""
    phone = await firm.phone()
    async with await stream(server, phone) as connection:
        body = body_of(7, stream_of(now_s), 1, now_s - 10)
        first = await ask(connection, body)
        assert (first["id"], first["ack"], first["verdicts"]) == (7, [[1, 4]], {})
        await connection.send(gzip.compress(body_of(8, stream_of(now_s), 1, now_s - 10).encode()))
        await connection.send(body_of(9, stream_of(now_s), 11, now_s - 5))
        assert [(await answer(connection))["id"] for _ in range(2)] == [8, 9]
    assert (await count(firm, "fix"), await count(firm, "tap")) == (6, 2)


@pytest.mark.parametrize("fixes", [2, 20, 4_000])
async def test_an_answer_of_any_length_arrives_whole(server: Server, firm: Firm, now_s: float, fixes: int) -> None:
    """Without a verdict, with some, and with more than a frame's short lengths can say."""
    phone = await firm.phone()
    bad = [{"seq": n, "time": now_s, "lat": 99.0, "lon": 0.0} for n in range(1, fixes)]
    good = [{"seq": fixes, "time": now_s - 1e9, "lat": 41.0, "lon": -8.6}]
    body = json.dumps({"id": 1, "stream": stream_of(now_s), "fixes": bad[: fixes if fixes > 2 else 0] + good})
    async with await stream(server, phone) as connection:
        said = await ask(connection, gzip.compress(body.encode()))
    assert len(said["verdicts"]) == (fixes if fixes > 2 else 1)
    assert said["ack"] == ([[1, fixes]] if fixes > 2 else [[fixes, fixes]])


async def test_what_is_wrong_is_said_in_the_answer(server: Server, firm: Firm, now_s: float) -> None:
    """Too large, a bomb, no gzip, no JSON, no number: each is answered and the stream goes on."""
    phone = await firm.phone()
    async with await stream(server, phone) as connection:
        large = '{"id":1,"stream":1,"pad":"' + "x" * 2_200_000 + '"}'
        assert (await ask(connection, large)).items() >= {"id": 1, "status": 413}.items()
        assert (await ask(connection, gzip.compress(large.encode()))).items() >= {"id": 1, "status": 413}.items()
        assert (await ask(connection, b"\x1f\x8b nothing"))["unreadable"] == "the body is not gzip"
        assert (await ask(connection, '{"id": 4, "stream":'))["id"] == 4
        assert (await ask(connection, "[]"))["id"] is None
        fine = await ask(connection, body_of(6, stream_of(now_s), 1, now_s - 10))
        assert fine["ack"] == [[1, 4]]
    assert {row.reason for row in await rows(firm, "quarantine")} == {"unreadable"}


async def test_only_a_paired_phone_gets_a_stream(server: Server, firm: Firm) -> None:
    """No key, a wrong key, a customer's link in its place: 401. A page of whatever origin: 403."""
    phone = await firm.phone()
    link = await firm.link(await firm.job(phone.device.technician_id))
    for key in ("", "x" * 60, link):
        with pytest.raises(InvalidStatus) as refused:
            await stream(server, phone, authorization=f"Bearer {key}")
        assert refused.value.response.status_code == 401
    for origin in ("null", "https://evil.example", server.url):
        with pytest.raises(InvalidStatus) as refused:
            await stream(server, phone, origin=origin)
        assert refused.value.response.status_code == 403


async def test_a_lost_phone_is_shut_out_within_five_seconds(
    server: Server, client: httpx.AsyncClient, firm: Firm
) -> None:
    """Its open stream too, and what it asks at once when that ends is refused."""
    phone, job_id = await firm.phone(), await firm.job()
    async with await stream(server, phone) as connection:
        await news(connection)
        key = {"authorization": f"Bearer {phone.key}"}
        assert (await client.get("/v1/jobs", headers=key)).status_code == 200
        async with transaction(firm.engine, firm.organisation_id) as store:
            await devices.revoke_devices(store, firm.organisation_id, phone.device.technician_id, firm.now_s)
        redis_url = server.environment["DOORSTEP_REDIS_URL"]
        await firm.reassign_and_tell(
            job_id, phone.device.technician_id, firm.now_s, redis_url
        )  # so that it is seen now
        assert await end_of(connection) == 4401
        assert (await client.get("/v1/jobs", headers=key)).status_code == 401


async def test_a_phone_hears_that_its_jobs_changed(server: Server, firm: Firm) -> None:
    """When it connects; when a job is given to it, also by somebody who tells nobody; when it is taken away."""
    phone, other = await firm.phone(), await firm.phone("Rui Costa")
    job_id = await firm.job()
    async with await stream(server, phone) as connection:
        await news(connection)
        await firm.assign(job_id, phone.device.technician_id, firm.now_s)
        await news(connection)
        await firm.assign(job_id, other.device.technician_id, firm.now_s)
        await news(connection)
        with pytest.raises(TimeoutError):
            await news(connection, 4)


async def test_a_newer_stream_takes_the_place_of_the_older(server: Server, firm: Firm) -> None:
    """The older is told so; two phones with one key, which would go on with it for ever, are sent to plain HTTP."""
    phone = await firm.phone()
    first = await stream(server, phone)
    async with await stream(server, phone) as second:
        assert await end_of(first) == 4409
        await news(second)
        held = [await stream(server, phone) for _ in range(2)]
        with pytest.raises(InvalidStatus) as refused:
            await stream(server, phone)
        assert [await end_of(connection) for connection in held[:-1]] == [4409]
        assert refused.value.response.status_code == 409
        assert "retry-after" not in refused.value.response.headers


async def test_a_newer_stream_in_another_process_takes_the_place_of_the_older(
    servers: Installation, database: str, server: Server, firm: Firm
) -> None:
    """Told over the bus; two phones with one key that have a process each are sent to plain HTTP all the same."""
    phone = await firm.phone()
    with serving(servers, database) as other:
        older = await stream(server, phone)
        for n in range(2 * MOST_REPLACED - 1):
            newer = await stream((other, server)[n % 2], phone)
            await news(newer)
            assert await end_of(older) == 4409
            older = newer
        with pytest.raises(InvalidStatus) as refused:
            await stream(server, phone)
        assert refused.value.response.status_code == 409
        await older.close()


async def test_a_restart_does_not_wait_for_streams(server: Server, firm: Firm, now_s: float, tmp_path: Path) -> None:
    """It ends within a second with 1012, and the phone's core goes on with the next process as if nothing was."""
    phone = await firm.phone()
    clock = SetPhoneClock(now_s)
    queue = Outbox(tmp_path / "outbox.db", clock)
    line = WebSocketLine(server.url, phone.key, None, lambda _: None)
    connection = await stream(server, await firm.phone())
    server.process.terminate()
    async with asyncio.timeout(2):
        await asyncio.to_thread(server.process.wait)
    assert await end_of(connection) == 1012
    await asyncio.to_thread(server.start_again)
    queue.append_tap(Tap(clock.now(), TapKind.shift_start))
    batch = queue.next_batch(10)
    assert batch is not None
    assert (await line.exchange(batch)).ack == ((1, 1),)
    await line.close()
    queue.close()


async def test_words_of_a_technician_reach_the_store(
    server: Server, client: httpx.AsyncClient, firm: Firm, now_s: float
) -> None:
    """The contract's example, sent by a phone: late, not home, no access with its reason, a note."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    said = json.loads((EXAMPLES / "job_taps.json").read_text())
    said |= {"id": 1, "stream": stream_of(now_s), "sent_at": now_s}
    for n, tap in enumerate(said["taps"]):
        tap |= {"job": str(job_id), "time": now_s - 40 + n * 10, "seq": n + 5}
    arrived = {"seq": 6, "time": now_s - 35, "kind": "arrived", "job": str(job_id)}
    said["taps"] = [{"seq": 1, "time": now_s - 60, "kind": "shift_start"}, *said["taps"], arrived | {"seq": 20}]
    async with await stream(server, phone) as connection:
        answered = await ask(connection, json.dumps(said))
    assert answered["verdicts"] == {}
    row = await job_row(firm, job_id)
    assert (row.state, row.ended_reason, row.late_min) == ("no_access", "nobody_home", 20)
    assert [note.text for note in await rows(firm, "note")] == [
        "rang three times",
        "the main valve is behind the fridge",
    ]
    got = await client.get("/v1/jobs", headers={"authorization": f"Bearer {phone.key}"})
    (job,) = got.json()["jobs"]
    assert (job["state"], job["previous_state"]) == ("no_access", "arrived")
