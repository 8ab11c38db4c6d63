"""Attacks by clients who do not get to the point, named by their ids: heads, bodies and messages without an end.

The service runs in the test's own loop, so that its look at connections can be had at any time.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.attacks.test_phone import frame
from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone
from tracking_server import connections
from tracking_server.app import create_app
from tracking_server.connections import (
    BODY_WITHIN_S,
    HEAD_WITHIN_S,
    LEAST_BYTES_PER_S,
    HttpConnection,
    drop_slow,
)
from tracking_server.embedded import Installation
from tracking_server.http_server import Server, listen, server_of
from tracking_server.settings import Settings

WITHIN_S = 20.0  # generous: nothing here takes time of its own
CHUNKED = b"POST /v1/devices HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
SMALL_BYTES = 4_096  # of buffers, so that what nobody takes fills them soon
GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Client:
    """A socket to the service, for what no client library sends."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        """Send, as far as anybody listens."""
        self.writer.write(data)
        try:
            await self.writer.drain()
        except ConnectionError:
            return

    async def hear(self, wanted: bytes) -> bytes:
        async with asyncio.timeout(WITHIN_S):
            return await self.reader.readuntil(wanted)

    async def end(self) -> bytes:
        """What was said until the service hung up."""
        said = b""
        async with asyncio.timeout(WITHIN_S):
            try:
                while data := await self.reader.read(65_536):
                    said += data
            except ConnectionError:
                pass
        return said

    def is_open(self) -> bool:
        return not self.reader.at_eof() and self.reader.exception() is None


class Service:
    """The real service, and its connections."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self._port = port

    async def client(self, said: bytes = b"") -> Client:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self._port))
        client = Client(*await asyncio.open_connection(sock=raw, limit=SMALL_BYTES))
        await client.say(said)
        return client

    async def look_in(self, seconds: float, *clients: Client) -> list[bool]:
        """As if it looked at its connections so much later; says which of these it left open."""
        ours = {client.writer.get_extra_info("sockname")[1] for client in clients}
        async with asyncio.timeout(WITHIN_S):
            while not ours <= {one.client[1] for one in self.server.server_state.connections}:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # what was said before is read
        drop_slow(self.server.server_state.connections, time.monotonic() + seconds)
        left = {one.client[1] for one in self.server.server_state.connections if not one.transport.is_closing()}
        return [client.writer.get_extra_info("sockname")[1] in left for client in clients]


@pytest.fixture
async def service(servers: Installation, database: str, clock: SetClock, tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        database_url=servers.app_url(database), redis_url=servers.redis_url, attachments=str(tmp_path / "files")
    )
    ready = asyncio.Event()
    server = server_of(create_app(settings, clock), ready.set)
    with listen("127.0.0.1", 0) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BYTES)
        serving = asyncio.create_task(server.serve([listening]))
        await ready.wait()
        yield Service(server, listening.getsockname()[1])
        server.should_exit = True
        await serving


async def test_a50_a_head_takes_ten_seconds_at_most(service: Service) -> None:
    """Nothing at all, half a head, empty lines, half a second request: gone; who has been answered may be silent."""
    slow = [await service.client(said) for said in (b"", b"G", GET[:-2], b"\r\n\r\n")]
    idle, again, blank = [await service.client(GET) for _ in range(3)]
    for client in (idle, again, blank):
        await client.hear(b"}")
    await again.say(b"GET /heal")
    await blank.say(b"\r\n")
    slow += [again, blank]
    assert await service.look_in(HEAD_WITHIN_S - 1, *slow, idle) == [True] * 7
    assert await service.look_in(HEAD_WITHIN_S + 1, *slow, idle) == [False] * 6 + [True]
    await idle.say(GET)
    await idle.hear(b"}")


async def test_a50_it_looks_by_itself(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anybody's call, while it serves."""
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", -1.0)
    assert await (await service.client(b"GET /")).end() == b""


async def test_a50_a_body_may_be_slow_but_not_for_nothing(service: Service, firm: Firm) -> None:
    """A byte at a time holds nobody for longer than half a minute, on any path; a piece of a photo that comes at a
    kilobyte a second has all the time it needs, and is kept."""
    phone = await firm.phone()
    begun = [
        await service.client(head(phone, method, path, 1000) + b"{")
        for method, path in (("POST", "/v1/fixes"), ("POST", "/v1/devices"), ("POST", "/board/sign-in"), ("GET", "/"))
    ]
    data = b"\xff\xd8" + bytes(100_000)
    said = {"content-range": f"bytes 0-{len(data) - 1}/{2 * len(data)}", "content-type": "image/jpeg"}
    said |= {"x-kind": "photo", "x-sha256": hashlib.sha256(data).hexdigest(), "x-made-at": "1795320000"}
    photo = await service.client(
        head(phone, "PUT", f"/v1/files/{uuid4()}", len(data), **said, **{"x-job": str(uuid4())})
    )
    await photo.say(data[:60_000])
    assert await service.look_in(BODY_WITHIN_S - 1, *begun, photo) == [True] * 5
    assert await service.look_in(BODY_WITHIN_S + 1, *begun, photo) == [False] * 4 + [True]
    assert await service.look_in(60_000 / 1_000, photo) == [True]
    await photo.say(data[60_000:])
    assert b'"received":100002' in await photo.hear(b"}")
    given_up = await service.client(head(phone, "PUT", f"/v1/files/{uuid4()}", len(data), **said) + data[:60_000])
    assert await service.look_in(BODY_WITHIN_S + 60_000 / LEAST_BYTES_PER_S + 1, given_up) == [False]


async def test_a50_a_message_may_be_slow_but_not_for_nothing(service: Service, firm: Firm) -> None:
    """A phone that stops in the middle of a frame, or of a message in many, is let go; a silent one is not."""
    begun = []
    for n, said in enumerate((frame(1, b'{"id":1}')[:5], frame(1, b"{", fin=False), frame(1, b'{"id":7}'))):
        client = await service.client(
            head(await firm.phone(f"Technician {n}"), "GET", "/v1/stream", None, upgrade="websocket")
        )
        assert b" 101 " in await client.hear(b"\r\n\r\n")
        await client.say(said)
        begun.append(client)
    await begun[-1].hear(b'"id":7')
    assert await service.look_in(BODY_WITHIN_S - 1, *begun) == [True, True, True]
    assert await service.look_in(BODY_WITHIN_S + 1, *begun) == [False, False, True]


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET / HTTP/1.1\r\nx: ", b"x" * 60_000),
        (b"GET /", b"x" * 60_000),
        (b"GET / HTTP/1.1\r\n", b"x: y\r\n" * 9_000),
        (b"POST /v1/devices HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;x=", b"x" * 60_000),
        (
            b"POST /v1/devices HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n",
            b"x: y\r\n" * 9_000,
        ),
        (b"POST /v1/devices HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n", b" " * 500_000),
        (b"", GET * 20),
    ],
    ids=["header", "address", "headers", "chunk", "trailers", "body", "pipeline"],
)
async def test_a48_what_has_no_end_is_ended(service: Service, begin: bytes, more: bytes) -> None:
    """A header, an address, a chunk's extension, trailers, a body, requests without waiting: cut off, and the next
    client is answered."""
    client = await service.client(begin)
    ended = asyncio.create_task(client.end())
    for _ in range(60):
        await client.say(more)
        if ended.done():
            break
    await ended
    other = await service.client(GET)
    await other.hear(b"}")


async def test_a48_a_head_of_many_lines_is_refused(service: Service) -> None:
    """Though it is short, and has an end."""
    client = await service.client(GET[:-2] + b"x: y\r\n" * 150 + b"\r\n")
    assert b" 400 Bad Request" in await client.end()


async def test_a49_a_long_body_is_refused_before_it_is_whole(service: Service) -> None:
    """Where a framework would read it to its end before it looks at it."""
    client = await service.client(b"POST /v1/devices HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
    await client.say(b" " * 200_000)
    assert b" 413 " in await client.hear(b"}")


async def test_a50_there_is_room_for_so_many_and_no_more(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it a client is told to come again, and is let in when somebody has gone."""
    monkeypatch.setattr(HttpConnection, "most", 3)
    held = [await service.client(GET) for _ in range(3)]
    for client in held:
        await client.hear(b"}")
    assert b"503 Service Unavailable\r\nretry-after: 2" in await (await service.client()).end()
    held[0].writer.close()
    async with asyncio.timeout(WITHIN_S):
        while b" 200 OK" not in await (await service.client(b"GET /healthz HTTP/1.0\r\n\r\n")).end():
            pass


async def test_a50_who_takes_nothing_does_not_hold_a_restart_up(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """It asks more and more and does not listen: when the service is to stop, nothing has to be cancelled."""
    client = await service.client(GET)
    await client.hear(b"}")
    (connection,) = service.server.server_state.connections
    async with asyncio.timeout(WITHIN_S):
        while not connection.transport.get_write_buffer_size():
            answered = service.server.server_state.total_requests
            client.writer.write(GET)
            while service.server.server_state.total_requests == answered:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.001)
        service.server.should_exit = True
        while service.server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.05)
    assert "graceful" not in caplog.text


def head(phone: Phone, method: str, path: str, length: int | None, upgrade: str = "", **more: str) -> bytes:
    """A request's head, with the phone's key."""
    headers = {"host": "x", "authorization": f"Bearer {phone.key}", **more}
    if length is not None:
        headers["content-length"] = str(length)
    if upgrade:
        headers |= {"upgrade": upgrade, "connection": "Upgrade", "sec-websocket-version": "13"}
        headers["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
