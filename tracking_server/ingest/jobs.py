"""`GET /v1/jobs`: what a technician has before them today and tomorrow, and what they ended today.

The ETag names, beside the answer, the customers' notes in it. A phone that sends it back has kept that answer: this,
and nothing less, is what "your technician has your note on their phone" is told from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tracking_server import words
from tracking_server.clock import Clock
from tracking_server.domain.audience import technician_may_know
from tracking_server.domain.job import OPEN, UNDOABLE
from tracking_server.domain.note import Author, Note, NoteKind
from tracking_server.domain.proof import rules
from tracking_server.ingest.devices import Devices
from tracking_server.live.bus import Bus
from tracking_server.organisation_settings import OrganisationSettings, read_settings
from tracking_server.store.days import Stop, notes_reached, read_firms_settings, read_stops_of
from tracking_server.store.devices import Device
from tracking_server.store.engine import transaction

SIGN_LENGTH = 12  # of a note in an ETag: nobody has so many that two begin alike
MOST_SIGNS = 100
HEADERS = {"cache-control": "private, no-cache", "x-content-type-options": "nosniff"}


class JobsEndpoint:
    """Answers phones."""

    def __init__(self, engine: AsyncEngine, bus: Bus, devices: Devices, clock: Clock) -> None:
        self._engine = engine
        self._bus = bus
        self._devices = devices
        self._clock = clock

    def route(self) -> Route:
        return Route("/v1/jobs", self._jobs, methods=["GET"])

    async def _jobs(self, request: Request) -> Response:
        device = await self._devices.authenticate(request.headers.get("authorization", ""))
        if device is None:
            return JSONResponse({"error": "unknown device key: pair this phone again"}, 401, HEADERS)
        now_s = self._clock.now()
        kept = read_tags(request.headers.get("if-none-match", ""))
        firm, stops = await self._read(device, {sign for _, signs in kept for sign in signs}, now_s)
        jobs = [facts for stop in stops if (facts := facts_of(stop, firm, now_s)) is not None]
        told = {job["id"] for job in jobs}
        digest = hashlib.sha256(json.dumps([str(device.technician_id), jobs]).encode()).hexdigest()[:32]
        unreached = (
            note for stop in stops if str(stop.job.id) in told for note in not_reached(stop) if is_told(stop, note)
        )
        headers = HEADERS | {"etag": write_tag(digest, unreached)}
        if any(digest == known for known, _ in kept):
            return Response(status_code=304, headers=headers)
        return JSONResponse({"server_time": now_s, "jobs": jobs}, headers=headers)

    async def _read(
        self, device: Device, signs: Collection[str], now_s: float
    ) -> tuple[OrganisationSettings, list[Stop]]:
        """The stops, once the notes that the phone has by these signs are marked as such."""
        organisation_id, technician_id = device.organisation_id, device.technician_id
        async with transaction(self._engine, organisation_id) as connection:
            firm = read_settings(await read_firms_settings(connection, organisation_id))
            stops = await read_stops_of(connection, organisation_id, technician_id, now_s)
            reached = [note.id for stop in stops for note in not_reached(stop) if sign(note) in signs]
            changes = []
            if reached:
                changes = await notes_reached(connection, organisation_id, technician_id, reached, now_s)
                stops = await read_stops_of(connection, organisation_id, technician_id, now_s)
        await self._bus.publish(changes)
        return firm, stops


def facts_of(stop: Stop, firm: OrganisationSettings, now_s: float) -> dict[str, Any] | None:
    """A job as the phone reads it; None when it is not of today or tomorrow at its door."""
    job = stop.job
    today = words.iso_day(now_s, stop.time_zone)
    if job.state in OPEN:
        day = max(words.iso_day(job.promised[0], stop.time_zone), today) if job.promised else today
        if day > words.iso_day(words.days_later(now_s, 1, stop.time_zone), stop.time_zone):
            return None
    else:
        day = today
        if job.ended_at_s is None or words.iso_day(job.ended_at_s, stop.time_zone) != today:
            return None
    lon, lat = job.geofence.entrance or (job.geofence.lon, job.geofence.lat)
    access = (note.text for note in stop.notes if _is_access(note) and note.text and is_told(stop, note))
    return {
        "id": str(job.id),
        "number": stop.number,
        "state": job.state.value,
        "previous_state": job.previous_state.value if job.previous_state and job.state in UNDOABLE else None,
        "version": job.version,
        "day": day,
        "stop_number": job.stop_number,
        "promised": job.promised,
        "lat": lat,
        "lon": lon,
        "address": stop.address,
        "summary": stop.title,
        "customer": stop.customer,
        "phone": stop.phone if technician_may_know(job.state) else None,
        "access": "\n".join(access),
        "proof": rules(firm.proof, stop.proof),
        "notes": [
            {"author": note.author.value, "text": note.text, "time_s": note.made_s}
            for note in stop.notes
            if note.text and not _is_access(note)
        ],
    }


def _is_access(note: Note) -> bool:
    return note.kind is NoteKind.access


def is_told(stop: Stop, note: Note) -> bool:
    """Whether the phone is sent this note: how to get in is told no longer than the visit lasts."""
    return technician_may_know(stop.job.state) or not _is_access(note)


def not_reached(stop: Stop) -> list[Note]:
    """The customer's notes of which it is not known that they are on this technician's phone."""
    return [
        note
        for note in stop.notes
        if note.author is Author.customer and note.text and note.reached_by != stop.job.technician_id
    ]


def sign(note: Note) -> str:
    """A note's name in an ETag."""
    return note.id.hex[:SIGN_LENGTH]


def write_tag(digest: str, notes: Iterable[Note]) -> str:
    """The name of an answer and of the notes in it that were not known to have reached the phone."""
    return f'"{".".join([digest, *sorted(sign(note) for note in notes)[:MOST_SIGNS]])}"'


def read_tags(header: str) -> list[tuple[str, list[str]]]:
    """The answers that an `If-None-Match` names, each with its notes. A proxy may have made them weak."""
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header[:8_000].split(",")]
    return [(digest, signs) for digest, *signs in (tag.split(".") for tag in tags) if digest]
