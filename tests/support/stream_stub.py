"""A stand-in for the service's side of a phone: it reads with the service's own reader and keeps in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from tracking_server.domain.checkpoint import merge
from tracking_server.domain.fix import Fix
from tracking_server.ingest import wire
from tracking_server.store.devices import Device

DEVICE = Device(UUID(int=1), UUID(int=2), UUID(int=3))
KEY = "org.secret"


@dataclass
class StreamStub:
    """What it has kept, by stream and number, and how it behaves.

    `refuse` gives the answer to a message in place of the ordinary one; `lose_answers` keeps that many deliveries and
    hangs up without a word.
    """

    now: Callable[[], float]
    kept: dict[tuple[int, int], Fix | None] = field(default_factory=dict)
    order: list[tuple[int, int]] = field(default_factory=list)
    messages: list[str | bytes] = field(default_factory=list)
    refuse: Callable[[int], dict[str, object] | None] = lambda _: None
    lose_answers: int = 0
    handshake: HTTPStatus | None = None
    jobs: str = '{"jobs": []}'
    asked_for_jobs: list[str | None] = field(default_factory=list)  # the etag of each request
    url: str = ""
    connections: list[ServerConnection] = field(default_factory=list)

    async def speak(self, connection: ServerConnection) -> None:
        """One phone's connection."""
        self.connections.append(connection)
        async for message in connection:
            self.messages.append(message)
            body = message.encode() if isinstance(message, str) else wire.inflate(message, "gzip")
            id_ = json.loads(body)["id"]
            refusal = self.refuse(id_)
            if refusal is not None:
                await connection.send(json.dumps({**refusal, "id": id_}))
                continue
            delivery = wire.read(body, DEVICE, self.now())
            for item in (*delivery.taps, *delivery.fixes):
                if (item.stream, item.seq) not in self.kept:
                    self.order.append((item.stream, item.seq))
                self.kept.setdefault((item.stream, item.seq), item if isinstance(item, Fix) else None)
            if self.lose_answers:
                self.lose_answers -= 1
                await connection.close()
                return
            answer = {"id": id_, "ack": merge((), delivery.numbers), "verdicts": {}, "server_time": self.now()}
            await connection.send(json.dumps(answer))

    def greet(self, connection: ServerConnection, request: Request) -> Response | None:
        """The handshake."""
        if self.handshake is not None:
            return connection.respond(self.handshake, "no")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "pair this phone again")
        if request.path == "/v1/jobs":
            return self._tell_jobs(connection, request.headers.get("if-none-match"))
        return None if request.path == "/v1/stream" else connection.respond(HTTPStatus.NOT_FOUND, "no")

    async def tell(self, news: str) -> None:
        """To all phones that are connected."""
        for connection in self.connections:
            await connection.send(json.dumps({"news": news}))

    def _tell_jobs(self, connection: ServerConnection, etag: str | None) -> Response:
        self.asked_for_jobs.append(etag)
        now = f'"{hash(self.jobs)}"'
        response = connection.respond(HTTPStatus.NOT_MODIFIED if etag == now else HTTPStatus.OK, self.jobs)
        response.headers["etag"] = now
        return response


@asynccontextmanager
async def streaming(now: Callable[[], float]) -> AsyncIterator[StreamStub]:
    """A stub that listens until the block ends."""
    stub = StreamStub(now)
    async with serve(stub.speak, "127.0.0.1", 0, process_request=stub.greet, compression=None) as server:
        stub.url = f"http://127.0.0.1:{port_of(server)}"
        yield stub


def port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
