"""`POST /v1/fixes`, the phones' way in: plain ASGI, as it is the hottest path. `POST /v1/devices` pairs a phone."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, HTTPException
from pydantic import AfterValidator, BaseModel, Field
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tracking_server.accounts.tries import WITHIN_MIN, Tries
from tracking_server.clock import Clock
from tracking_server.domain.fix import Verdict
from tracking_server.domain.note import cut_text
from tracking_server.group_commit import Acknowledgement
from tracking_server.ingest import wire
from tracking_server.ingest.devices import Devices
from tracking_server.ingest.room import Place, Room, come_again_s
from tracking_server.journey import Journey
from tracking_server.store.devices import Device
from tracking_server.store.engine import Unavailable
from tracking_server.store.fixes import MOST_BODY_BYTES as MOST_QUARANTINED_BYTES
from tracking_server.store.fixes import Rejected
from tracking_server.turn import Delivery

log = structlog.get_logger()
MOST_NAME = 100
TRIES_WITHIN_S = WITHIN_MIN * 60
TOO_MANY_CODES = f"too many wrong codes: wait {WITHIN_MIN} minutes, then ask for a new one"
_encoder = msgspec.json.Encoder()


class FixesEndpoint:
    """Reads a body, hands the delivery to the journey, answers when it is committed.

    A known phone is never refused for what it says, only for how much at once: it would send it again for ever.
    """

    def __init__(self, journey: Journey, devices: Devices, room: Room, clock: Clock) -> None:
        self._journey = journey
        self._devices = devices
        self._room = room
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_s = self._clock.now()  # before the body is read: a slow upload is not a wrong clock
        headers = dict(scope["headers"])
        try:
            device = await self._devices.authenticate(headers.get(b"authorization", b"").decode("latin-1"))
            if device is None:
                await _refuse(send, 401, "unknown device key: pair this phone again")
                return
            encoding = headers.get(b"content-encoding", b"").decode("latin-1")
            with self._room.place(device.id) as place:
                delivery, unreadable = read_delivery(await _read_body(receive, place), encoding, device, received_s)
                place.empty()
                acknowledgement = await self._journey.accept(delivery)
        except wire.TooLarge as error:
            await _refuse(send, 413, str(error.__doc__))
        except Unavailable as error:
            await _refuse(send, 503, str(error), retry_after_s=come_again_s())
        except Disconnected:
            return
        else:
            await _answer(send, 200, encode_acknowledgement(acknowledgement, self._clock.now(), unreadable))


class Disconnected(Exception):
    """The phone hung up before its body was whole."""


async def _read_body(receive: Receive, place: Place) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > wire.MOST_BODY_BYTES:
            raise wire.TooLarge
        place.take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def read_delivery(body: bytes, encoding: str, device: Device, received_s: float) -> tuple[Delivery, str | None]:
    """A delivery, or a body that cannot be read, kept as it came, and why: the phone need not send it again."""
    try:
        return wire.read(wire.inflate(body, encoding), device, received_s), None
    except wire.Unreadable as error:
        log.info("delivery_unreadable", device=str(device.id), reason=str(error), size=len(body))
        rejected = Rejected(device.id, Verdict.unreadable, body[:MOST_QUARANTINED_BYTES], received_s)
        return Delivery(device, 0, None, received_s, rejected=[rejected]), str(error)


def encode_acknowledgement(acknowledgement: Acknowledgement, now_s: float, unreadable: str | None = None) -> bytes:
    """The answer to a delivery, as JSON."""
    return _encoder.encode(acknowledgement_facts(acknowledgement, now_s, unreadable))


def acknowledgement_facts(
    acknowledgement: Acknowledgement, now_s: float, unreadable: str | None = None
) -> dict[str, Any]:
    """What is durable, and what became of what is not trusted."""
    answer = {"ack": acknowledgement.ack, "verdicts": acknowledgement.verdicts, "server_time": now_s}
    return answer if unreadable is None else {**answer, "unreadable": unreadable}


async def _refuse(send: Send, status: int, error: str, *, retry_after_s: int | None = None) -> None:
    await _answer(send, status, _encoder.encode({"error": error}), retry_after_s=retry_after_s)


async def _answer(send: Send, status: int, data: bytes, *, retry_after_s: int | None = None) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % retry_after_s))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _clean_name(name: str) -> str:
    """A phone's name without what is no text. Raises `ValueError` when nothing is left."""
    clean = cut_text(name, MOST_NAME)
    if not clean:
        raise ValueError("it has no letters")
    return clean


class PairingRequest(BaseModel):
    """A phone that wants to be paired."""

    code: Annotated[str, Field(min_length=8, max_length=20)]
    name: Annotated[str, Field(min_length=1, max_length=MOST_NAME), AfterValidator(_clean_name)]
    # Those it had before: paired again with the same technician it stays the same phone.
    earlier_keys: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=20)] = []


def pairing_router(devices: Devices, tries: Tries) -> APIRouter:
    """The route by which a phone gets its key."""
    router = APIRouter()

    @router.post("/v1/devices", status_code=201)
    async def pair(wanted: PairingRequest, request: Request) -> dict[str, str]:
        """Exchange a one-time code (at most ten minutes old) for a device key."""
        address = request.client.host if request.client else ""
        if not await tries.pairing(address):
            raise HTTPException(429, TOO_MANY_CODES, {"retry-after": str(TRIES_WITHIN_S)})
        pairing = await devices.pair(wanted.code, wanted.name, wanted.earlier_keys)
        if pairing is None:
            raise HTTPException(404, "this code is unknown, used or older than ten minutes: ask for a new one")
        await tries.paired(address)
        return {
            "device": str(pairing.device_id),
            "technician": str(pairing.technician_id),
            "key": pairing.key,
            "technician_name": pairing.technician_name,
            "organisation_name": pairing.organisation_name,
        }

    return router
