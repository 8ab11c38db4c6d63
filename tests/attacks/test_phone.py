"""Attacks on what phones speak to, named by their ids: the stream, jobs, files, pairing."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.attacks.conftest import from_address
from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone, stream_of
from tests.support.rows import count, job_row, rows
from tests.support.server import Server, serving
from tests.support.staff import Browser, begin_session, fresh_address, hire
from tracking_server.accounts.tries import PAIRINGS_BY_ONE_ADDRESS
from tracking_server.app import HotPaths
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.ingest.pictures import picture_to_show

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
TAP = st.fixed_dictionaries(
    {},
    optional={
        "seq": st.integers(-2, 9) | JSON,
        "time": st.floats() | JSON,
        "kind": st.sampled_from(sorted(TapKind)) | JSON,
        "job": st.uuids().map(str) | JSON,
        "reason": st.text() | JSON,
        "text": st.text(max_size=3_000) | JSON,
        "minutes": st.integers() | JSON,
    },
)
MESSAGE = st.fixed_dictionaries(
    {"id": st.integers(1, 2**53) | JSON},
    optional={"stream": st.integers() | JSON, "sent_at": JSON, "taps": st.lists(TAP, max_size=3) | JSON, "fixes": JSON},
)


@pytest.fixture
def server(servers: Installation, database: str) -> Iterator[Server]:
    with serving(servers, database) as server:
        yield server


def stream(server: Server, phone: Phone) -> ClientConnection:
    url = server.url.replace("http", "ws") + "/v1/stream"
    return connect(url, additional_headers={"authorization": f"Bearer {phone.key}"}, compression=None)


def answer(connection: ClientConnection) -> dict[str, object]:
    while True:
        said = dict(json.loads(connection.recv(10)))
        if "news" not in said:
            return said


def fine(now_s: float, id_: int = 1) -> str:
    taps = [{"seq": id_, "time": now_s, "kind": "shift_start"}]
    return json.dumps({"id": id_, "stream": stream_of(now_s), "sent_at": now_s, "taps": taps, "fixes": []})


async def test_a49_whatever_a_phone_sends_is_answered(server: Server, firm: Firm, now_s: float) -> None:
    """Messages of any form and bytes of any kind: each has an answer under its number, and the next one is heard."""
    phone = await firm.phone()

    def talk() -> None:
        with stream(server, phone) as connection:
            connection.send('{"sent_at": Infinity, "id": 8}')
            assert answer(connection)["id"] == 8

            @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(MESSAGE.map(json.dumps) | JSON.map(json.dumps) | st.binary(max_size=200))
            def say(message: str | bytes) -> None:
                connection.send(message)
                said = answer(connection)
                assert {"ack", "error"} & set(said)
                wanted = json.loads(message) if isinstance(message, str) else None
                if isinstance(wanted, dict) and type(wanted.get("id")) is int and 0 <= wanted["id"] < 10**18:
                    assert said["id"] == wanted["id"]

            say()
            connection.send(fine(now_s))
            assert answer(connection)["ack"] == [[1, 1]]

    await asyncio.to_thread(talk)


async def test_a47_bombs_cost_what_they_weigh(server: Server, firm: Firm) -> None:
    """A megabyte that would become a gigabyte, gzip in gzip, a frame of 64 MB, JSON 100,000 deep: told or cut off."""
    phone = await firm.phone()

    def talk() -> None:
        bomb = gzip.compress(b'{"id":5,"x":"' + bytes(1_000_000_000), compresslevel=9)
        deep = '{"id":6,"stream":1,"taps":' + "[" * 100_000 + "]" * 100_000 + "}"
        before = most_resident_kb(server)
        with stream(server, phone) as connection:
            connection.send(bomb)
            assert answer(connection).items() >= {"id": 5, "status": 413}.items()
            connection.send(gzip.compress(gzip.compress(b"{}")))
            assert "unreadable" in answer(connection)
            connection.send(deep)
            assert answer(connection)["unreadable"] == "the body is nested too deeply"
            with pytest.raises(ConnectionClosed):  # as 1009, where that overtakes what is still on its way
                connection.send(b"\0" * 64_000_000)
        assert most_resident_kb(server) - before < 60_000

    await asyncio.to_thread(talk)


def most_resident_kb(server: Server) -> int:
    """The most memory that the service ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def opened(server: Server, phone: Phone) -> socket.socket:
    """A socket after the handshake, for what no client library sends."""
    host, port = server.url.removeprefix("http://").split(":")
    raw = socket.create_connection((host, int(port)), timeout=10)
    raw.sendall(
        (
            f"GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {phone.key}\r\n\r\n"
        ).encode()
    )
    assert b" 101 " in raw.recv(4096)
    return raw


def frame(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """A masked frame, the mask all zeros."""
    length = struct.pack("!BH", 0x80 | 126, len(data)) if len(data) > 125 else struct.pack("!B", 0x80 | len(data))
    return bytes([(0x80 if fin else 0) | opcode]) + length + bytes(4) + data


def never_ending() -> Iterator[bytes]:
    yield frame(1, b'{"id":1,', fin=False)
    for _ in range(200):
        yield frame(0, b" " * 60_000, fin=False)


def tiny_frames() -> Iterator[bytes]:
    yield from (frame(1, b"{}") * 1_000 for _ in range(10))


def pings() -> Iterator[bytes]:
    yield from (frame(9, b"x" * 100) * 1_000 for _ in range(10))


@pytest.mark.parametrize("flood", [never_ending, tiny_frames, pings])
async def test_a52_a_flood_drowns_nobody_else(
    server: Server, firm: Firm, now_s: float, flood: Callable[[], Iterator[bytes]]
) -> None:
    """Fragments without an end, ten thousand tiny frames, as many pings, none of whose answers are read: the next
    phone is answered, and the service grew by little."""
    phone, other = await firm.phone(), await firm.phone("Rui Costa")

    def talk() -> None:
        before = most_resident_kb(server)
        with opened(server, phone) as raw:
            try:
                for part in flood():
                    raw.sendall(part)
            except OSError:
                pass  # cut off, or told by its own connection to wait
            with stream(server, other) as connection:
                connection.send(fine(now_s))
                assert answer(connection)["ack"] == [[1, 1]]
            assert most_resident_kb(server) - before < 30_000

    await asyncio.to_thread(talk)


async def test_a50_half_a_message_holds_nobody_up(server: Server, firm: Firm, now_s: float) -> None:
    """Forty phones that stop in the middle of a frame, and sockets that stop in the middle of a handshake."""
    phones = [await firm.phone(f"Technician {n}") for n in range(40)]
    other = await firm.phone("Rui Costa")

    def talk() -> None:
        halves = [opened(server, phone) for phone in phones]
        for raw in halves:
            raw.sendall(frame(1, b'{"id":1,"stream":' + b" " * 5_000)[:2_000])
        host, port = server.url.removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port))) for _ in range(40)]
        for raw in slow:
            raw.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n")
        with stream(server, other) as connection:
            connection.send(fine(now_s))
            assert answer(connection)["ack"] == [[1, 1]]
        for raw in (*halves, *slow):
            raw.close()

    await asyncio.to_thread(talk)


async def test_a05_no_other_secret_opens_a_phones_doors(
    app: HotPaths, browser: Browser, firm: Firm, clock: SetClock
) -> None:
    """A customer's link, a session, a pairing code, another firm's prefix: 401 everywhere; and a phone's key opens
    neither the board nor a page."""
    phone = await firm.phone()
    other = await Firm.create(firm.engine, firm.now_s, "Another firm")
    link = await firm.link(await firm.job(phone.device.technician_id))
    session = await begin_session(firm.engine, await hire(firm), clock.now_s)
    foreign = (await other.phone()).key.partition(".")[0] + "." + phone.key.partition(".")[2]
    for secret in (link, session, await firm.pairing_code(), foreign, phone.key + "x", phone.key[:-1]):
        headers = {"authorization": f"Bearer {secret}"}
        for method, path in (("GET", "/v1/jobs"), ("PUT", f"/v1/files/{uuid4()}"), ("POST", "/v1/fixes")):
            refused = await browser.client.request(method, path, headers=headers)
            assert refused.status_code == 401, (method, path)
    browser.wear(phone.key)
    assert (await browser.get("/board")).status_code == 303
    assert (await browser.get(f"/t/{phone.key}")).status_code == 410


async def test_a10_words_about_somebody_elses_visit_change_nothing(server: Server, firm: Firm, now_s: float) -> None:
    """Late, not home, no access and a note on a colleague's job, another firm's, none: kept, answered, no effect."""
    phone, other = await firm.phone(), await firm.phone("Rui Costa")
    foreign = await Firm.create(firm.engine, now_s, "Another firm")
    jobs = [await firm.job(other.device.technician_id), await foreign.job(), uuid4()]
    before = await job_row(firm, jobs[0])
    said = [(kind, job) for kind in ("late", "not_home", "no_access", "note", "done") for job in jobs]
    taps = [
        {"seq": n, "time": now_s, "kind": kind, "job": str(job), "minutes": 30, "text": "x"}
        for n, (kind, job) in enumerate(said)
    ]
    body = {"stream": stream_of(now_s), "sent_at": now_s, "taps": taps}
    async with httpx.AsyncClient(base_url=server.url) as client:
        answered = await client.post("/v1/fixes", json=body, headers={"authorization": f"Bearer {phone.key}"})
    assert set(answered.json()["verdicts"].values()) == {"not_yours"}
    assert await job_row(firm, jobs[0]) == before
    assert (await count(firm, "note"), await count(foreign, "note")) == (0, 0)
    assert {row.text for row in await rows(firm, "tap")} == {"x"}


async def test_a13_pairing_codes_cannot_be_guessed(app: HotPaths, browser: Browser, firm: Firm) -> None:
    """After twenty wrong ones an address waits, also with a right one, which others can still use; a right one in
    time forgives the wrong ones before it."""
    client = browser.client

    async def guess(code: str) -> httpx.Response:
        return await client.post("/v1/devices", json={"code": code, "name": "thief"})

    for _ in range(PAIRINGS_BY_ONE_ADDRESS - 1):
        assert (await guess("AAAAAAAA")).status_code == 404
    assert (await guess(await firm.pairing_code())).status_code == 201
    for _ in range(PAIRINGS_BY_ONE_ADDRESS):
        assert (await guess("AAAAAAAA")).status_code == 404
    right = await firm.pairing_code()
    refused = await guess(right)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "900")
    async with from_address(app, fresh_address()).client as elsewhere:
        paired = await elsewhere.post("/v1/devices", json={"code": right, "name": "phone"})
    assert paired.status_code == 201


async def test_a36_a_pairing_of_strange_signs_is_answered(browser: Browser, firm: Firm) -> None:
    """NUL, half a character, control characters, in the code, in the phone's name and among its keys: a line that says
    what is wrong, or a phone with the rest of its name; never a fault of the service, and no code is used up by it."""
    client, code = browser.client, await firm.pairing_code()

    async def pair(**said: object) -> httpx.Response:
        body = json.dumps({"code": code, "name": "phone"} | said)
        return await client.post("/v1/devices", content=body, headers={"content-type": "application/json"})

    for wrong in (
        {"code": "\udc00" * 9},
        {"name": "\ud800"},
        {"earlier_keys": ["\ud800"]},
        {"name": 7},
        {"name": "\0"},
    ):
        refused = await pair(**wrong)
        assert (refused.status_code, code in refused.text) == (422, False), wrong
    assert (await pair(code="\0" * 9)).status_code == 404
    paired = await pair(name="Ana's\0 \x1b[31mphone\u202e", earlier_keys=["é.é", "a.b"])
    assert paired.status_code == 201
    assert "Ana's [31mphone" in {row.name for row in await rows(firm, "device")}


def png_of(width: int, height: int) -> bytes:
    """A picture that says it is so large, and holds a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    header = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def whole(kind: str, width: int, height: int) -> bytes:
    """A picture that is one."""
    written = io.BytesIO()
    Image.new("L", (width, height)).save(written, kind)
    return written.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        png_of(50_000, 50_000),
        png_of(30_000, 1_000),
        png_of(100, 100),
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"\xff\xd8\xff\xe0<script>alert(1)</script>",
        whole("GIF", 9, 9),
        whole("PNG", 30_000, 1_000),
        whole("JPEG", 5_000, 5_000),
    ],
)
def test_a46_what_is_no_honest_picture_is_not_shown(data: bytes) -> None:
    """Absurdly large ones, cut ones, other kinds under a picture's name: none is decoded into memory."""
    assert picture_to_show(data, "image/png") is None
    assert picture_to_show(data, "image/jpeg") is None


def test_a44_what_is_hidden_in_a_picture_is_not_in_its_copy() -> None:
    """A place, a comment, a thumbnail, a profile, a script behind the last byte; but it is turned upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010E] = "secret place"
    written = io.BytesIO()
    Image.new("RGB", (60, 30), "teal").save(
        written, "JPEG", exif=exif, comment=b"secret comment", icc_profile=b"secret profile" * 20
    )
    copy = picture_to_show(written.getvalue() + b"<script>secret()</script>", "image/jpeg")
    assert copy is not None
    assert b"secret" not in copy
    with Image.open(io.BytesIO(copy)) as shown:
        assert (shown.format, shown.size) == ("JPEG", (30, 60))
        assert not shown.getexif()
