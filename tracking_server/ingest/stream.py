"""`/v1/stream`, a phone's WebSocket: bodies of `POST /v1/fixes`, each with an `id` in front that its answer carries.

Text is JSON, binary is gzip of it. One message is answered before the next is read, so a phone that sends faster is
slowed down by its own connection. Whatever is wrong with a message is said in its answer: the stream goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import zlib
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from tracking_server.clock import Clock
from tracking_server.ingest import wire
from tracking_server.ingest.devices import Devices
from tracking_server.ingest.phones import Connection, Phones, TwoPhones
from tracking_server.ingest.room import Room, come_again_s
from tracking_server.ingest.routes import acknowledgement_facts, read_delivery
from tracking_server.journey import Journey
from tracking_server.store.devices import Device
from tracking_server.store.engine import Unavailable

HEAD_BYTES = 64
GONE_WITHIN_S = 1.0
ID_IN_FRONT = re.compile(rb'\s*\{\s*"id"\s*:\s*(\d{1,18})\s*[,}]')
_encoder = msgspec.json.Encoder()


class Refused(Exception):
    """No stream for this request; the status of HTTP says why."""

    def __init__(self, status: int, error: str, retry_after_s: int | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.retry_after_s = retry_after_s


class PhoneStream:
    """Opens streams for phones with a key, and hands what they send to the journey."""

    def __init__(self, journey: Journey, devices: Devices, phones: Phones, room: Room, clock: Clock) -> None:
        self._journey = journey
        self._devices = devices
        self._room = room
        self._phones = phones
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        try:
            device = await self._admit(scope)
            with self._phones.connected(device, scope, send) as connection:
                await send({"type": "websocket.accept"})
                await self._converse(connection, receive)
        except Refused as error:
            await _refuse(scope, receive, send, error)
        except TwoPhones as error:
            await _refuse(scope, receive, send, Refused(409, str(error)))
        except OSError:
            return  # it hung up

    async def _admit(self, scope: Scope) -> Device:
        """Whose stream this is. Browsers name an origin, phones do not: no page may speak for one."""
        headers = dict(scope["headers"])
        if b"origin" in headers:
            raise Refused(403, "this stream is for phones")
        try:
            device = await self._devices.authenticate(headers.get(b"authorization", b"").decode("latin-1"))
        except Unavailable as error:
            raise Refused(503, str(error), come_again_s()) from error
        if device is None:
            raise Refused(401, "unknown device key: pair this phone again")
        return device

    async def _converse(self, connection: Connection, receive: Receive) -> None:
        try:
            while not connection.closed:  # what it sent ahead is not worked off before it may end
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                packed = message.get("bytes")
                body, encoding = (message["text"].encode(), "") if packed is None else (packed, "gzip")
                answer = await self._answer(connection.device, body, encoding, self._clock.now())
                await connection.say(_encoder.encode({"id": message_id(body, encoding), **answer}))
        except asyncio.CancelledError:
            if not connection.closed:  # it was not we who let it go
                raise

    async def _answer(self, device: Device, body: bytes, encoding: str, received_s: float) -> dict[str, Any]:
        try:
            with self._room.place(device.id):
                delivery, unreadable = read_delivery(body, encoding, device, received_s)
                acknowledgement = await self._journey.accept(delivery)
        except wire.TooLarge as error:
            return {"status": 413, "error": str(error.__doc__)}
        except Unavailable as error:
            return {"status": 503, "error": str(error), "retry_after": come_again_s()}
        return acknowledgement_facts(acknowledgement, self._clock.now(), unreadable)


def message_id(body: bytes, encoding: str) -> int | None:
    """The number of a message, None when it has none. One in front is found also in what cannot be read."""
    head = body[:HEAD_BYTES]
    if encoding:
        try:
            head = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(body, HEAD_BYTES)
        except zlib.error:
            return None
    found = ID_IN_FRONT.match(head)
    if found is not None:
        return int(found[1])
    try:
        said = json.loads(wire.inflate(body, encoding))
    except (ValueError, RecursionError, wire.TooLarge, wire.Unreadable):
        return None
    id_ = said.get("id") if isinstance(said, dict) else None
    return id_ if type(id_) is int and 0 <= id_ <= wire.MOST_NUMBER else None


async def _refuse(scope: Scope, receive: Receive, send: Send, why: Refused) -> None:
    """As an answer of HTTP where the server can give one, so that a phone sees what is wrong."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": str(why)})
        return
    data = _encoder.encode({"error": str(why)})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    if why.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % why.retry_after_s))
    await send({"type": "websocket.http.response.start", "status": why.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": data})
    with contextlib.suppress(TimeoutError):  # uvicorn takes who leaves before the connection does for unfinished
        async with asyncio.timeout(GONE_WITHIN_S):
            for _ in ("refused", "gone"):
                await receive()
